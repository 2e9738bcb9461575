"""llama.cpp's samplers, in the order in which a request wants them."""

from __future__ import annotations

import ctypes
import os
from typing import Any

from dmr_tui.engine.llamacpp.model import Vocabulary
from dmr_tui.engine.llamacpp.native import llama
from dmr_tui.engine.request import MIN_P, TEMPERATURE, TOP_K, TOP_P, Sampling
from dmr_tui.errors import InvalidRequestError

# llama-server's defaults.
REPEAT_LAST_N = 64
XTC_THRESHOLD = 0.1
DRY_BASE = 1.75
DRY_ALLOWED_LENGTH = 2
DRY_BREAKERS = ("\n", ":", '"', "*")
MIROSTAT_TAU = 5.0
MIROSTAT_ETA = 0.1

DEFAULTS = Sampling(
    temperature=TEMPERATURE,
    top_k=TOP_K,
    top_p=TOP_P,
    min_p=MIN_P,
    typical_p=1.0,
    repeat_penalty=1.0,
    repeat_last_n=REPEAT_LAST_N,
    presence_penalty=0.0,
    frequency_penalty=0.0,
    seed=-1,
    top_n_sigma=-1.0,
    xtc_probability=0.0,
    xtc_threshold=XTC_THRESHOLD,
    dry_multiplier=0.0,
    dry_base=DRY_BASE,
    dry_allowed_length=DRY_ALLOWED_LENGTH,
    dry_penalty_last_n=-1,
    dry_sequence_breakers=list(DRY_BREAKERS),
    mirostat=0,
    mirostat_tau=MIROSTAT_TAU,
    mirostat_eta=MIROSTAT_ETA,
)
"""What a request that says nothing gets."""

_MIROSTAT_CANDIDATES = 100
"""`m` of the first Mirostat: how many tokens its estimate looks at."""

_MIN_KEEP = 1
_SEEDS = 2**32 - 1
"""Seeds are below this: the largest 32-bit number means a random one to llama.cpp."""


class Chain:
    """The samplers of one sequence; they are freed by whoever frees `handle`.

    First what changes the odds of single tokens, then the cuts, the cheapest first so that those
    after it see few candidates, then the draw.
    """

    def __init__(self, sampling: Sampling, vocabulary: Vocabulary, context_size: int) -> None:
        """Build it.

        Args:
            sampling: what was asked; None means the default.
            vocabulary: the tokens to choose from.
            context_size: how far "all of the context" reaches back.

        Raises:
            InvalidRequestError: a token of `logit_bias` is not one of the model's.
        """
        _check_bias(sampling, vocabulary.size)
        self.handle: Any = llama.llama_sampler_chain_init(
            llama.llama_sampler_chain_default_params()
        )
        self._sampling = sampling
        self._vocabulary = vocabulary
        self._context_size = context_size
        self.window = 0
        """How many tokens back some sampler looks: so much of the prompt it has to be told."""
        if sampling.logit_bias:
            self._add_bias(sampling.logit_bias)
        self._add_penalties()
        self._add_dry()
        self._add_choice(_either(sampling.temperature, TEMPERATURE))

    def _add(self, sampler: Any) -> None:
        llama.llama_sampler_chain_add(self.handle, sampler)

    def _add_bias(self, wanted: dict[int, float]) -> None:
        size = self._vocabulary.size
        kind = llama.llama_logit_bias * len(wanted)
        biases = kind(*(llama.llama_logit_bias(*each) for each in wanted.items()))
        self._add(llama.llama_sampler_init_logit_bias(size, len(wanted), biases))

    def _add_penalties(self) -> None:
        repeat = _either(self._sampling.repeat_penalty, 1.0)
        frequency = _either(self._sampling.frequency_penalty, 0.0)
        presence = _either(self._sampling.presence_penalty, 0.0)
        last = self._sampling.repeat_last_n
        window = self._reach(REPEAT_LAST_N if last is None else last)
        if (repeat, frequency, presence) != (1.0, 0.0, 0.0) and window:
            self._add(
                llama.llama_sampler_init_penalties(
                    self._vocabulary.size, window, repeat, frequency, presence
                )
            )

    def _add_dry(self) -> None:
        multiplier = _either(self._sampling.dry_multiplier, 0.0)
        if multiplier <= 0:
            return
        sampling = self._sampling
        length, last = sampling.dry_allowed_length, sampling.dry_penalty_last_n
        texts = sampling.dry_sequence_breakers
        breakers = [text.encode() for text in (DRY_BREAKERS if texts is None else texts)]
        window = self._reach(-1 if last is None else last)
        self._add(
            llama.llama_sampler_init_dry(
                self._vocabulary.handle,
                multiplier,
                _either(sampling.dry_base, DRY_BASE),
                DRY_ALLOWED_LENGTH if length is None else length,
                window,
                (ctypes.c_char_p * len(breakers))(*breakers),
                len(breakers),
            )
        )

    def _add_choice(self, temperature: float) -> None:
        if temperature <= 0:
            self._add(llama.llama_sampler_init_greedy())
        elif self._sampling.mirostat:
            self._add(llama.llama_sampler_init_temp(temperature))
            self._add(self._mirostat())
        else:
            self._add_cuts()
            self._add(llama.llama_sampler_init_temp(temperature))
            self._add(llama.llama_sampler_init_dist(_seed(self._sampling.seed)))

    def _mirostat(self) -> Any:
        seed = _seed(self._sampling.seed)
        tau = _either(self._sampling.mirostat_tau, MIROSTAT_TAU)
        eta = _either(self._sampling.mirostat_eta, MIROSTAT_ETA)
        if self._sampling.mirostat == 2:
            return llama.llama_sampler_init_mirostat_v2(seed, tau, eta)
        return llama.llama_sampler_init_mirostat(
            self._vocabulary.size, seed, tau, eta, _MIROSTAT_CANDIDATES
        )

    def _add_cuts(self) -> None:
        sampling = self._sampling
        sigma = _either(sampling.top_n_sigma, -1.0)
        top_k = TOP_K if sampling.top_k is None else sampling.top_k
        top_p, min_p = _either(sampling.top_p, TOP_P), _either(sampling.min_p, MIN_P)
        typical_p = _either(sampling.typical_p, 1.0)
        xtc = _either(sampling.xtc_probability, 0.0)
        # The one cut that measures all of the vocabulary.
        if sigma > 0:
            self._add(llama.llama_sampler_init_top_n_sigma(sigma))
        if top_k > 0:
            self._add(llama.llama_sampler_init_top_k(top_k))
        if typical_p < 1:
            self._add(llama.llama_sampler_init_typical(typical_p, _MIN_KEEP))
        if top_p < 1:
            self._add(llama.llama_sampler_init_top_p(top_p, _MIN_KEEP))
        if min_p > 0:
            self._add(llama.llama_sampler_init_min_p(min_p, _MIN_KEEP))
        if xtc > 0:
            threshold = _either(sampling.xtc_threshold, XTC_THRESHOLD)
            seed = _seed(sampling.seed)
            self._add(llama.llama_sampler_init_xtc(xtc, threshold, _MIN_KEEP, seed))

    def _reach(self, last: int) -> int:
        """How many tokens a wish to look so far back means; negative: all of the context."""
        window = self._context_size if last < 0 else min(last, self._context_size)
        self.window = max(self.window, window)
        return window


def _check_bias(sampling: Sampling, size: int) -> None:
    for token in sampling.logit_bias or {}:
        if not 0 <= token < size:
            raise InvalidRequestError(
                f"logit_bias: token {token} is not one of the model's {size}", param="logit_bias"
            )


def _either(value: float | None, default: float) -> float:
    return default if value is None else value


def _seed(wanted: int | None) -> int:
    if wanted is None or wanted < 0:
        return int.from_bytes(os.urandom(4), "big") % _SEEDS
    return wanted % _SEEDS
