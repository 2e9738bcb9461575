"""How likely a model finds tokens, for requests that ask for it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from dmr_tui.engine.llamacpp.constraint import Candidates
from dmr_tui.engine.llamacpp.context import Context
from dmr_tui.engine.llamacpp.native import llama
from dmr_tui.engine.request import Likelihood, TokenLogprobs

IMPOSSIBLE = -9999.0
"""OpenAI's stand-in for minus infinity, which JSON cannot write."""


@dataclass
class LookedAt:
    """What is known of the tokens of a prompt.

    Attributes:
        first: see `PromptLogprobs`.
        tokens: of the second token and those after it.
        told: whether it has been handed out.
    """

    first: bytes | None
    tokens: list[TokenLogprobs] = field(default_factory=list)
    told: bool = False


class Likelihoods:
    """Measures tokens of one sequence. Holds native memory until `close`.

    llama.cpp's samplers do the work: drawing from the whole vocabulary leaves each token's
    probability behind, and cutting it to the likeliest sorts these.
    """

    def __init__(self, context: Context, candidates: Candidates, count: int) -> None:
        """Prepare.

        Args:
            context: whose logits are looked at.
            candidates: room for the vocabulary.
            count: how many of the likeliest tokens to report.
        """
        self._context = context
        self._candidates = candidates
        self._count = count
        # At least one: the likeliest is the measure for all, its probability is never too small.
        self._samplers: list[Any] = [
            llama.llama_sampler_init_dist(0),
            llama.llama_sampler_init_top_k(max(count, 1)),
        ]

    def measure(self, index: int, token: int) -> TokenLogprobs:
        """Report a token that was drawn from the logits at an index of the batch."""
        logits = llama.llama_get_logits_ith(self._context.handle, index)
        self._candidates.fill(logits)
        for sampler in self._samplers:
            self._candidates.apply(sampler)
        top = list(self._candidates.odds())
        _, logit, probability = top[0]
        base = logit - math.log(probability)
        return TokenLogprobs(
            self._likelihood(token, logits[token] - base),
            [self._likelihood(each, logit - base) for each, logit, _ in top[: self._count]],
        )

    def close(self) -> None:
        """Free what C holds."""
        for sampler in self._samplers:
            llama.llama_sampler_free(sampler)
        self._samplers.clear()

    def _likelihood(self, token: int, logprob: float) -> Likelihood:
        piece = self._context.vocabulary.text(token)
        return Likelihood(piece, max(logprob, IMPOSSIBLE))
