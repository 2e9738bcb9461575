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

    def write(self, grammar: str, seed: int, *, start: str = "", most: int = 400) -> str | None:
        """A whole text, or None when it was not at its end after so many tokens.

        It ends where it may: a text that could end but goes on would seldom end at all.

        Args:
            grammar: in GBNF.
            seed: of the choices.
            start: what the text has to begin with.
            most: tokens.
        """
        chance = random.Random(seed)
        constraint = Constraint(self.vocabulary, grammar, keep=frozenset())
        tokens: list[int] = []
        given = self.vocabulary.tokenize(start)
        try:
            for _ in range(most):
                allowed = self._allowed(constraint)
                if any(self.vocabulary.ends(token) for token in allowed):
                    return b"".join(map(self.vocabulary.text, tokens)).decode()
                token = given.pop(0) if given else self._choice(allowed, constraint, chance)
                assert constraint.allows(token)
                constraint.accept(token)
                tokens.append(token)
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

    def follows(self, grammar: str, text: str) -> bool:
        """Whether a grammar accepts how a text begins."""
        constraint = Constraint(self.vocabulary, grammar, keep=frozenset())
        try:
            return constraint.follow(text)
        finally:
            constraint.close()

    def _allowed(self, constraint: Constraint) -> list[int]:
        """Tokens of which the grammar has nothing against; some may be no UTF-8."""
        self._candidates.fill(self._even)
        constraint.mask(self._candidates)
        return [token for token, logit in self._candidates.logits() if math.isfinite(logit)]

    def _choice(self, allowed: list[int], constraint: Constraint, chance: random.Random) -> int:
        """Often what closes a string or a value: random ones would be of any length."""
        closing = [token for token in allowed if self.vocabulary.text(token) in (b'"', b"}", b"]")]
        if closing and chance.random() < 0.3:
            return chance.choice(closing)
        while True:
            token = chance.choice(allowed)
            if constraint.allows(token):
                return token
