"""Where OpenAI's and llama-server's routes are."""

from __future__ import annotations

# Fixed names first: a backend's name wins over a model's. LiteLLM leaves out the `/v1`.
PREFIXES = ("/engines/v1", "/engines/llama.cpp/v1", "/engines/llama.cpp", "/v1")
MODEL_PREFIX = "/engines/{model:path}/v1"

LLAMA_SERVER_PREFIXES = ("", "/engines", "/engines/llama.cpp")
HEALTH_PATHS = tuple(
    f"{prefix}{path}" for prefix in LLAMA_SERVER_PREFIXES for path in ("/health", "/v1/health")
)
