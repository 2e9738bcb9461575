"""Answers held to a grammar: which tokens may come next.

llama.cpp's own grammar sampler ends the process when it is handed a token that the grammar does not
allow, so none is accepted here that has not been asked about before. The usual way is to draw
freely and ask about the one token that came: only when it is not allowed is the whole vocabulary
held against the grammar.
"""

from __future__ import annotations

import codecs
import ctypes
import math
import re
from array import array
from collections.abc import Iterator
from functools import partial
from typing import Any

from dmr_tui.engine.llamacpp.model import Vocabulary
from dmr_tui.engine.llamacpp.native import NativeLog, llama
from dmr_tui.errors import InvalidRequestError

_MISTAKE = re.compile(r"error parsing grammar: (.{1,100})")
"""The parser prints it, with all of the text that it has not read."""

_FOUR_BYTES = 0xF0
"""Characters that begin with this byte or a higher one have four of them, in UTF-8."""


class Candidates:
    """The tokens that could come next, with their logits, as llama.cpp's samplers take them."""

    def __init__(self, size: int) -> None:
        """Room for a vocabulary of so many tokens."""
        self._data = (llama.llama_token_data * size)()
        # Each is a token, its logit and its probability: four bytes each.
        memoryview(self._data).cast("B").cast("i")[0::3] = memoryview(array("i", range(size)))
        self._fresh = bytes(self._data)
        self._logits = memoryview(self._data).cast("B").cast("f")[1::3]
        self._array = llama.llama_token_data_array(
            data=self._data, size=size, selected=-1, sorted=False
        )
        self._size = size

    def fill(self, logits: Any) -> None:
        """Start anew from the model's logits, a C array of floats."""
        ctypes.memmove(self._data, self._fresh, len(self._fresh))
        self._array.data = self._data  # samplers may put an array of their own there
        source = ctypes.cast(logits, ctypes.POINTER(ctypes.c_float * self._size)).contents
        self._logits[:] = memoryview(source).cast("B").cast("f")
        self._array.size = self._size
        self._array.selected = -1
        self._array.sorted = False

    def forbid(self, token: int) -> None:
        """Take a token out; only right after `fill` and `apply` of what does not sort."""
        self._data[token].logit = -math.inf

    def apply(self, sampler: Any) -> None:
        """Have a sampler work on the tokens."""
        llama.llama_sampler_apply(sampler, ctypes.byref(self._array))

    def logits(self) -> Iterator[tuple[int, float]]:
        """The tokens with what is left of their logits."""
        for each in self._array.data[: self._array.size]:
            yield int(each.id), float(each.logit)

    def odds(self) -> Iterator[tuple[int, float, float]]:
        """The tokens with their logits and the probabilities that a drawing sampler has left."""
        for each in self._array.data[: self._array.size]:
            yield int(each.id), float(each.logit), float(each.p)

    @property
    def selected(self) -> int | None:
        """The token that a sampler chose; None when it had none to choose from."""
        if self._array.selected < 0:
            return None
        chosen = self._array.data[self._array.selected]
        return int(chosen.id) if math.isfinite(chosen.logit) else None


def choose(candidates: Candidates, logits: Any, chain: Any, constraint: Constraint) -> int | None:
    """Have a chain of samplers draw a token that a constraint allows.

    Args:
        candidates: room to work in.
        logits: the model's, a C array of floats.
        chain: llama.cpp's samplers, the last of which draws. Nothing is accepted here.
        constraint: what is allowed.

    Returns:
        None when the vocabulary has no token with which the answer could go on.
    """
    candidates.fill(logits)
    candidates.apply(chain)
    drawn = candidates.selected
    refused: list[int] = []
    while drawn is None or not constraint.allows(drawn):
        if drawn is not None:
            refused.append(drawn)
        candidates.fill(logits)
        constraint.mask(candidates)
        for token in refused:
            candidates.forbid(token)
        candidates.apply(chain)
        drawn = candidates.selected
        if drawn is None:
            return None
    return drawn


class Constraint:
    """A grammar, and how far the answer has come in it. Holds native memory until `close`."""

    def __init__(self, vocabulary: Vocabulary, grammar: str, *, keep: frozenset[int]) -> None:
        """Begin with the grammar's rule `root`.

        Args:
            vocabulary: whose tokens are judged.
            grammar: in GBNF.
            keep: control tokens that are part of the answer's text; no other one may come.

        Raises:
            InvalidRequestError: llama.cpp cannot read the grammar.
        """
        self._vocabulary = vocabulary
        encoded = grammar.encode("utf-8", "replace")
        read = partial(llama.llama_sampler_init_grammar, vocabulary.handle, encoded, b"root")
        self._sampler: Any = read()
        if not self._sampler:
            mistake = _mistake(NativeLog.complaint(read))
            raise InvalidRequestError(f"grammar: it is no GBNF: {mistake}", param="grammar")
        self._banned = vocabulary.controls - keep
        biases = [llama.llama_logit_bias(token, -math.inf) for token in sorted(self._banned)]
        self._ban: Any = llama.llama_sampler_init_logit_bias(
            vocabulary.size, len(biases), (llama.llama_logit_bias * len(biases))(*biases)
        )
        self._one = llama.llama_token_data()
        self._single = llama.llama_token_data_array(data=ctypes.pointer(self._one), size=1)
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")

    def allows(self, token: int) -> bool:
        """Whether the answer may go on with a token, or end, if it is one that ends it."""
        if token in self._banned:
            return False
        self._one.id, self._one.logit = token, 0.0
        llama.llama_sampler_apply(self._sampler, ctypes.byref(self._single))
        if not math.isfinite(self._one.logit):
            return False
        return self._vocabulary.ends(token) or self._is_text(token)

    def follow(self, text: str) -> bool:
        """Go on with a text that has been written already.

        Returns:
            Whether the grammar allows it; if not, the constraint is of no use any more.
        """
        for token in self._vocabulary.spelling(text) or [-1]:
            if token < 0 or not self.allows(token):
                return False
            self.accept(token)
        return True

    def mask(self, candidates: Candidates) -> None:
        """Take out what is not allowed; what is left may still be no UTF-8."""
        candidates.apply(self._ban)
        candidates.apply(self._sampler)

    def accept(self, token: int) -> None:
        """Go on with a token that `allows` allows."""
        llama.llama_sampler_accept(self._sampler, token)
        if not self._vocabulary.ends(token):
            self._decoder.decode(self._vocabulary.text(token))

    def close(self) -> None:
        """Free what C holds; the constraint must not be used again."""
        for sampler in (self._sampler, self._ban):
            llama.llama_sampler_free(sampler)
        self._sampler = self._ban = None

    def _is_text(self, token: int) -> bool:
        """The token's bytes continue valid UTF-8: the grammar itself takes surrogates, too."""
        before = self._decoder.getstate()
        try:
            self._decoder.decode(self._vocabulary.text(token))
            pending = self._decoder.getstate()[0]
            if len(pending) > 1:
                # Its second byte decides whether there can be such a character.
                length = 3 if pending[0] < _FOUR_BYTES else 4
                pending.ljust(length, b"\x80").decode("utf-8")
        except UnicodeDecodeError:
            return False
        finally:
            self._decoder.setstate(before)
        return True


def _mistake(complaint: str) -> str:
    """What is wrong with a grammar, from what llama.cpp says of it."""
    if "left recursion" in complaint:
        return "a rule can begin with itself; let it repeat with * or + instead"
    if "'root'" in complaint:
        return "there is no rule `root`"
    printed = _MISTAKE.search(complaint)
    mistake = printed[1].strip() if printed else "llama.cpp does not say why"
    return f"{mistake} the end" if mistake.endswith(" at") else mistake
