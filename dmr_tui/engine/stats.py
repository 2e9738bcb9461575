"""What a worker does and has done: counted in the worker, told once a second while it works."""

from __future__ import annotations

from msgspec import Struct


class Stats(Struct, frozen=True, omit_defaults=True, tag="stats"):
    """The figures of one worker. What is a total counts from the worker's start."""

    busy: int = 0
    """Requests that have a slot."""
    waiting: int = 0
    """Requests that wait for one."""
    kv_used: int = 0
    """Tokens that the requests with a slot hold in KV memory."""
    prompt_tokens: int = 0
    """Total of prompt tokens that were computed."""
    cached_tokens: int = 0
    """Total of prompt tokens that were there already."""
    generated_tokens: int = 0
    """Total of tokens of answers."""
    prompt_seconds: float = 0.0
    """Total time in which prompts were read."""
    generation_seconds: float = 0.0
    """Total time in which answers were written."""
    passes: int = 0
    """Total of passes of the batch."""
    prompt_speed: float = 0.0
    """Prompt tokens per second when prompts were last read; 0: never yet."""
    generation_speed: float = 0.0
    """Tokens per second, all answers together, when some were last written; 0: never yet."""
    first_token_p50: float | None = None
    """Seconds from a request's arrival to its first token: the median of the last requests."""
    first_token_p95: float | None = None
    """The same, for all but one of twenty."""
