"""Random texts that a grammar accepts, drawn by llama.cpp's own sampler."""

from __future__ import annotations

import ctypes
import math
import random
import sys
from pathlib import Path

from dmr_tui.engine.llamacpp.constraint import Candidates, Constraint
from dmr_tui.engine.llamacpp.model import Model, Vocabulary
from dmr_tui.engine.llamacpp.native import NativeLog, llama


class RandomWriter:
    """Draws tokens of a model's vocabulary at random, held to a grammar."""

    def __init__(self, gguf: Path) -> None:
        llama.llama_backend_init()
        log = NativeLog(sys.stderr)
        self._model = Model(gguf, gpu_layers=0, on_progress=lambda _: None, log=log)
        self.vocabulary: Vocabulary = self._model.vocabulary
        self._candidates = Candidates(self.vocabulary.size)
        self._even = (ctypes.c_float * self.vocabulary.size)()

    def write(self, grammar: str, seed: int, *, most: int = 400) -> str | None:
        """A whole text, or None when it was not at its end after so many tokens.

        It ends where it may: a text that could end but goes on would seldom end at all.
        """
        chance = random.Random(seed)
        constraint = Constraint(self.vocabulary, grammar, keep=frozenset())
        written = b""
        try:
            for _ in range(most):
                allowed = self._allowed(constraint)
                if any(self.vocabulary.ends(token) for token in allowed):
                    return written.decode()
                token = chance.choice(self._short(allowed, chance))
                constraint.accept(token)
                written += self.vocabulary.text(token)
        finally:
            constraint.close()
        return None

    def accepts(self, grammar: str, text: str) -> bool:
        """Whether a grammar accepts a text as a whole."""
        constraint = Constraint(self.vocabulary, grammar, keep=frozenset())
        try:
            for token in self.vocabulary.tokenize(text):
                if not constraint.allows(token):
                    return False
                constraint.accept(token)
            return any(self.vocabulary.ends(token) for token in self._allowed(constraint))
        finally:
            constraint.close()

    def _allowed(self, constraint: Constraint) -> list[int]:
        self._candidates.fill(self._even)
        constraint.mask(self._candidates)
        left = [token for token, logit in self._candidates.logits() if math.isfinite(logit)]
        return [token for token in left if constraint.allows(token)]

    def _short(self, allowed: list[int], chance: random.Random) -> list[int]:
        """Mostly what closes a string or a value: random ones would be of any length."""
        closing = [token for token in allowed if self.vocabulary.text(token) in (b'"', b"}", b"]")]
        return closing if closing and chance.random() < 0.3 else allowed
