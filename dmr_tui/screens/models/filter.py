"""The words that choose models: `qwen size:<8g fits -tag:q8 cap:tools`.

Every word must hold. A word with a known key before a colon asks about that; any other word is
looked for in names and facts. `-` or `!` before a word turns it round.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from dmr_tui.screens.library import Entry
from dmr_tui.screens.models.capabilities import CAPABILITIES, capabilities

if TYPE_CHECKING:
    from dmr_tui.engine.fit import Fit

FitOf = Callable[[Entry], "Fit | None"]
"""What is known of a model's fit; None while it is not known."""

_Test = Callable[[Entry], bool]
_COMPARED = re.compile(r"(<=|>=|<|>|=)(\d+(?:\.\d+)?)([a-z]?)i?b?")
_POWERS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9, "t": 1e12}
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": lambda value, limit: value < limit,
    "<=": lambda value, limit: value <= limit,
    ">": lambda value, limit: value > limit,
    ">=": lambda value, limit: value >= limit,
    "=": lambda value, limit: value == limit,
}


@dataclass(frozen=True)
class Filter:
    """What a person typed, as a test.

    Attributes:
        words: all must be in a model's text.
        tests: all must hold.
        problem: what cannot be understood, and how it would be; such a word chooses nothing yet.
        asks_fit: it needs to know of every model whether it fits.
    """

    words: tuple[str, ...] = ()
    tests: tuple[_Test, ...] = ()
    problem: str = ""
    asks_fit: bool = False

    def choose(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Those of some models that are chosen, in their order."""
        # Words first, each over what the ones before left: so thousands of models cost little.
        for word in self.words:
            entries = [entry for entry in entries if word in entry.text]
        for test in self.tests:
            entries = [entry for entry in entries if test(entry)]
        return entries


@dataclass(frozen=True)
class Filters:
    """Makes filters of what is typed.

    Attributes:
        fit: what is known of a model's fit.
        now: Unix time.
    """

    fit: FitOf
    now: Callable[[], float] = time.time

    def parse(self, text: str) -> Filter:
        """The filter that a text means; an empty one chooses everything."""
        words: list[str] = []
        tests: list[_Test] = []
        problem, asks_fit = "", False
        for word in text.lower().split():
            turned = word[0] in "-!" and len(word) > 1
            term = word[1:] if turned else word
            try:
                test = self._test(term)
            except ValueError as error:
                problem = problem or str(error)
                continue
            asks_fit = asks_fit or term in ("fits", "gpu", "cpu", "split") or term[:5] == "need:"
            if test is None and not turned:
                words.append(term)
            elif test is None:
                tests.append(partial(_lacks, term))
            else:
                tests.append(_turned(test) if turned else test)
        return Filter(tuple(words), tuple(tests), problem, asks_fit)

    def _test(self, term: str) -> _Test | None:
        """What a term asks; None: it is a word."""
        if term in _STATES:
            return _STATES[term]
        if term in ("fits", "gpu", "cpu", "split"):
            return self._fits(term)
        key, colon, value = term.partition(":")
        if colon and key in _NUMBERS:
            return self._compared(key, value)
        if colon and key in _TEXTS:
            read = _TEXTS[key]
            return lambda entry: value in read(entry)
        if colon and key == "cap":
            if value and not any(name.startswith(value) for name in CAPABILITIES):
                raise ValueError(f"cap: is one of {', '.join(CAPABILITIES)}")
            return lambda entry: any(c.startswith(value) for c in capabilities(entry.model))
        return None

    def _fits(self, term: str) -> _Test:
        def test(entry: Entry) -> bool:
            fit = self.fit(entry)
            if fit is None or not fit.fits:
                return False
            where = "cpu" if not fit.gpu_layers else "gpu"
            if 0 < fit.gpu_layers < fit.layers:
                where = "split"
            return term in ("fits", where)

        return test

    def _compared(self, key: str, value: str) -> _Test:
        found = _COMPARED.fullmatch(value)
        example = _NUMBERS[key]
        units = _SECONDS if key == "used" else _POWERS
        if found is None or found[3] not in units:
            raise ValueError(f"{key}: needs a comparison, as in {key}:{example}")
        compare = _COMPARE[found[1]]
        limit = float(found[2]) * units[found[3]]
        if key == "ctx" and found[3] == "k":
            limit = float(found[2]) * 1024

        def test(entry: Entry) -> bool:
            number = self._number(key, entry)
            return number is not None and compare(number, limit)

        return test

    def _number(self, key: str, entry: Entry) -> float | None:
        match key:
            case "size":
                return entry.size or None
            case "params":
                return parameters(entry) or None
            case "ctx":
                return entry.context
            case "used":
                return None if entry.last_used is None else self.now() - entry.last_used
        fit = self.fit(entry)
        return None if fit is None else fit.total


def parameters(entry: Entry) -> float:
    """The number that `361.82M` stands for; 0 for none."""
    text = entry.model.config.parameters.replace(" ", "").lower()
    try:
        return float(text.rstrip("kmbt")) * _POWERS[text[-1:] if text[-1:] in "kmbt" else ""]
    except ValueError:
        return 0.0


_STATES: dict[str, _Test] = {
    "loaded": lambda entry: entry.running is not None,
    "idle": lambda entry: entry.running is None,
    "pinned": lambda entry: entry.pinned,
}
_TEXTS: dict[str, Callable[[Entry], str]] = {
    "tag": lambda entry: " ".join(entry.model.tags).lower(),
    "quant": lambda entry: entry.model.config.quantization.lower(),
    "arch": lambda entry: entry.model.config.architecture.lower(),
    "format": lambda entry: entry.model.config.format.lower(),
}
_NUMBERS = {"size": "<8g", "params": "<10b", "ctx": ">=32k", "used": "<7d", "need": "<12g"}


def _lacks(word: str, entry: Entry) -> bool:
    return word not in entry.text


def _turned(test: _Test) -> _Test:
    return lambda entry: not test(entry)
