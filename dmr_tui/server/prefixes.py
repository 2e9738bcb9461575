"""Where OpenAI's routes are."""

from __future__ import annotations

# Fixed names first: a backend's name wins over a model's. LiteLLM leaves out the `/v1`.
PREFIXES = ("/engines/v1", "/engines/llama.cpp/v1", "/engines/llama.cpp", "/v1")
MODEL_PREFIX = "/engines/{model:path}/v1"
