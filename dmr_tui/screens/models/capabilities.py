"""What a model can do, as far as its package tells."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dmr_tui.runner.base import Model

CAPABILITIES = ("chat", "tools", "thinking", "vision", "embedding")
"""What there are words for, in the order in which they are shown."""

_THOUGHTS = ("<think>", "enable_thinking", "reasoning_content", "<|channel|>", "[THINK]")
_EMBEDDERS = ("bert", "nomic-bert", "jina-bert-v2", "t5encoder", "gemma-embedding")


def capabilities(model: Model) -> tuple[str, ...]:
    """The capabilities of a model: what its chat template handles, and which files it has."""
    facts, architecture = model.config.gguf, model.config.architecture
    pools = facts.get(f"{architecture}.pooling_type", "0") not in ("", "0")
    if pools or architecture in _EMBEDDERS:
        return ("embedding",)
    found = _of_template(facts.get("tokenizer.chat_template", ""))
    return (*found, "vision") if model.projector else found


@lru_cache(maxsize=512)
def _of_template(template: str) -> tuple[str, ...]:
    found = [("chat", bool(template)), ("tools", "tools" in template)]
    found.append(("thinking", any(sign in template for sign in _THOUGHTS)))
    return tuple(name for name, there in found if there)
