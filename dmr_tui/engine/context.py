"""How many tokens of context a model is loaded with, for how many answers, in which portions."""

from __future__ import annotations

DEFAULT_CONTEXT = 8192
"""Most tokens taken when nobody chose: a 128k model must not claim a 128k KV cache unasked."""

SEQUENCES = 16
"""Answers at a time; more wait their turn."""

QUEUE = 8 * SEQUENCES
"""Requests that may wait for a place; more are refused."""

BATCH_TOKENS = 512
"""Most tokens of one pass: llama.cpp's physical batch, beyond which a CPU gains nothing."""

IDS = 48
"""Sequences that KV memory can tell apart: those that run, and finished ones that are kept."""

POOLED_CONTEXT = 2048
"""Most tokens of a text for an embedding model when nobody chose: one pass holds all of them."""

POOLED_SEQUENCES = 64
"""Texts that an embedding model computes at a time."""

TRAINING = -1
"""A wish for as many tokens as the model was trained on."""


def choose_context_size(
    *,
    profile: int | None,
    package: int | None,
    settings: int,
    trained: int,
    default: int = DEFAULT_CONTEXT,
) -> int:
    """Pick the context size: the person's choice, the package's, the settings', else a default.

    Args:
        profile: what was set for this model; `TRAINING` or a positive number counts.
        package: what the model's package asks for; `TRAINING` or a positive number counts.
        settings: what was set for all models; a positive number counts.
        trained: the model's training context.
        default: most tokens when nobody chose.

    Returns:
        Tokens, at least 1.
    """
    for wish in (profile, package):
        if wish is not None and wish > 0:
            return wish
        if wish == TRAINING:
            return max(trained, 1)
    if settings > 0:
        return settings
    return max(min(trained, default), 1)
