"""How the next token is drawn: llama.cpp's sampler chains, one for each sequence."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from dmr_tui.engine.llamacpp.constraint import Candidates, Constraint, choose
from dmr_tui.engine.llamacpp.context import Context
from dmr_tui.engine.llamacpp.native import llama
from dmr_tui.engine.request import Sampling

# llama-server's defaults.
TEMPERATURE = 0.8
TOP_K = 40
TOP_P = 0.95
MIN_P = 0.05
REPEAT_LAST_N = 64

_MIN_KEEP = 1
_SEEDS = 2**32 - 1
"""Seeds are below this: the largest 32-bit number means a random one to llama.cpp."""


class Sampler:
    """Draws the tokens of one sequence. It holds native memory until `close`."""

    def __init__(
        self,
        sampling: Sampling,
        *,
        context: Context,
        vocabulary_size: int,
        prompt: Sequence[int],
        constraint: Constraint | None = None,
        candidates: Candidates | None = None,
    ) -> None:
        """Build the chain.

        Args:
            sampling: what was asked; None means the default.
            context: whose logits are sampled.
            vocabulary_size: tokens that the model knows.
            prompt: counts for the penalties as if it had been drawn.
            constraint: what the answer is held to; from now on this object's to close.
            candidates: room for the vocabulary, needed with a constraint.
        """
        self._constraint = constraint
        self._candidates = candidates
        self._context = context.handle
        parameters = llama.llama_sampler_chain_default_params()
        self._chain: Any = llama.llama_sampler_chain_init(parameters)
        window = _penalty_window(sampling, context.size)
        if window:
            self._add(
                llama.llama_sampler_init_penalties(
                    vocabulary_size,
                    window,
                    _either(sampling.repeat_penalty, 1.0),
                    _either(sampling.frequency_penalty, 0.0),
                    _either(sampling.presence_penalty, 0.0),
                )
            )
        self._add_choice(sampling)
        for token in prompt[-window:] if window else ():
            llama.llama_sampler_accept(self._chain, token)

    def sample(self, index: int) -> int | None:
        """Draw from the logits of a batch's token and remember what was drawn.

        Returns:
            None when the vocabulary has no token that the constraint allows.
        """
        if self._constraint is None or self._candidates is None:
            return int(llama.llama_sampler_sample(self._chain, self._context, index))
        logits = llama.llama_get_logits_ith(self._context, index)
        token = choose(self._candidates, logits, self._chain, self._constraint)
        if token is not None:
            self.accept(token)
        return token

    def allows(self, token: int) -> bool:
        """Whether the answer may go on with a token that was not drawn."""
        return self._constraint is None or self._constraint.allows(token)

    def accept(self, token: int) -> None:
        """Remember a token of the answer."""
        llama.llama_sampler_accept(self._chain, token)
        if self._constraint is not None:
            self._constraint.accept(token)

    def close(self) -> None:
        """Free the chain; it must not be used again."""
        llama.llama_sampler_free(self._chain)
        self._chain = None
        if self._constraint is not None:
            self._constraint.close()

    def _add_choice(self, sampling: Sampling) -> None:
        temperature = _either(sampling.temperature, TEMPERATURE)
        if temperature <= 0:
            self._add(llama.llama_sampler_init_greedy())
            return
        top_k = TOP_K if sampling.top_k is None else sampling.top_k
        top_p, min_p = _either(sampling.top_p, TOP_P), _either(sampling.min_p, MIN_P)
        typical_p = _either(sampling.typical_p, 1.0)
        # The cheapest cut comes first: those after it see few candidates.
        if top_k > 0:
            self._add(llama.llama_sampler_init_top_k(top_k))
        if typical_p < 1:
            self._add(llama.llama_sampler_init_typical(typical_p, _MIN_KEEP))
        if top_p < 1:
            self._add(llama.llama_sampler_init_top_p(top_p, _MIN_KEEP))
        if min_p > 0:
            self._add(llama.llama_sampler_init_min_p(min_p, _MIN_KEEP))
        self._add(llama.llama_sampler_init_temp(temperature))
        self._add(llama.llama_sampler_init_dist(_seed(sampling.seed)))

    def _add(self, sampler: Any) -> None:
        llama.llama_sampler_chain_add(self._chain, sampler)


def _penalty_window(sampling: Sampling, context_size: int) -> int:
    """How many tokens back the penalties look; 0 when there are none."""
    penalties = (
        _either(sampling.repeat_penalty, 1.0) != 1.0,
        _either(sampling.frequency_penalty, 0.0) != 0.0,
        _either(sampling.presence_penalty, 0.0) != 0.0,
    )
    if not any(penalties):
        return 0
    window = REPEAT_LAST_N if sampling.repeat_last_n is None else sampling.repeat_last_n
    return context_size if window < 0 else min(window, context_size)


def _either(value: float | None, default: float) -> float:
    return default if value is None else value


def _seed(wanted: int | None) -> int:
    if wanted is None or wanted < 0:
        return int.from_bytes(os.urandom(4), "big") % _SEEDS
    return wanted % _SEEDS
