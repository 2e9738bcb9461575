"""Regular expressions as grammars of the JSON strings that match them.

A subset of ECMA-262's syntax: what JSON Schema recommends, without look-around, back references
and word boundaries. Where dialects differ (are letters beyond ASCII a `w`?), only characters that
belong to a class in all of them are taken.
Source: JSON Schema 2020-12, core, section 6.4; ECMA-262, section 22.2.
"""

from __future__ import annotations

from collections.abc import Iterator

from dmr_tui.engine.text.grammar import charset
from dmr_tui.engine.text.grammar.charset import Ranges
from dmr_tui.engine.text.grammar.gbnf import EMPTY, Node, chain, choice, repeat
from dmr_tui.engine.text.grammar.json_text import characters

MAX_COUNT = 32768
_MAX_DEPTH = 50

_DIGITS = charset.of("0123456789")
_ASCII: Ranges = ((0, 0x7F),)
_SURE = charset.difference(_ASCII, ((0x1C, 0x1F),))
"""Characters of which all dialects think alike."""
_WORD = charset.union([(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)])
_BLANKS = charset.of("\t\n\v\f\r ")
_ANY_BLANK = charset.union(
    [
        *((0x09, 0x0D), (0x1C, 0x20), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680)),
        *((0x2000, 0x200B), (0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F)),
        *((0x3000, 0x3000), (0xFEFF, 0xFEFF)),
    ]
)
"""White space of any dialect."""
_CLASSES: dict[str, Ranges] = {
    "d": _DIGITS,
    "w": _WORD,
    "s": _BLANKS,
    "D": charset.difference(_ASCII, _DIGITS),
    "W": charset.difference(_ASCII, _WORD),
    "S": charset.difference(charset.UNICODE, _ANY_BLANK),
}
_DOT = charset.difference(charset.UNICODE, charset.of("\n\r\x85\u2028\u2029"))
_CONTROLS = {"t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r", "0": "\0"}


class PatternError(Exception):
    """The expression is wrong, or uses what has no grammar; the text says what."""


def compile_pattern(pattern: str, *, least: int = 0, most: int | None = None) -> Node:
    """The inside of JSON strings in which `pattern` is found.

    Args:
        pattern: the expression.
        least: fewest characters of the string.
        most: most characters of the string, if there is a limit.

    Raises:
        PatternError: there is no such grammar.
    """
    found = _Parser(pattern).whole()
    if (least, most) == (0, None):
        return choice(*(each.node for each in found))
    return choice(*(_within(each, least, most) for each in found))


class _Found:
    """What a part of an expression matches, and how many characters that is."""

    def __init__(
        self, node: Node, least: int, most: int | None, single: Node | None = None
    ) -> None:
        self.node = node
        self.least = least
        self.most = most
        self.single = single
        """The character, when the part is nothing but repetitions of one."""


def _within(found: _Found, least: int, most: int | None) -> Node:
    low = max(found.least, least)
    high = found.most if most is None else most if found.most is None else min(found.most, most)
    if (low, high) == (found.least, found.most):
        return found.node
    if found.single is None:
        raise PatternError("it cannot be combined with minLength and maxLength")
    return repeat(found.single, low, high)


class _Parser:
    """Recursive descent over one expression."""

    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._at = 0
        self._depth = 0

    def whole(self) -> list[_Found]:
        """The alternatives, each anchored or filled up on both sides."""
        alternatives = [self._anchored()]
        while self._take("|"):
            alternatives.append(self._anchored())
        if self._at < len(self._text):
            raise PatternError(f"unexpected {self._text[self._at]!r}")
        return alternatives

    def _anchored(self) -> _Found:
        anything = characters(charset.UNICODE)
        filler = _Found(repeat(anything, 0), 0, None, anything)
        parts = [] if self._take("^") else [filler]
        parts += self._parts()
        if not self._take("$"):
            parts.append(filler)
        return _joined(parts)

    def _alternatives(self) -> _Found:
        found = [_joined(list(self._parts()))]
        while self._take("|"):
            found.append(_joined(list(self._parts())))
        if len(found) == 1:
            return found[0]
        mosts = [each.most for each in found if each.most is not None]
        return _Found(
            choice(*(each.node for each in found)),
            min(each.least for each in found),
            max(mosts) if len(mosts) == len(found) else None,
        )

    def _parts(self) -> Iterator[_Found]:
        while self._at < len(self._text) and self._text[self._at] not in "|)$":
            yield self._repeated(self._atom())

    def _atom(self) -> _Found:
        sign = self._text[self._at]
        self._at += 1
        if sign == "(":
            return self._group()
        if sign == "[":
            return _one(self._class())
        if sign == ".":
            return _one(_DOT)
        if sign == "\\":
            return _one(self._escape())
        if sign in "*+?{^":
            raise PatternError(f"unexpected {sign!r}")
        return _one(charset.of(sign))

    def _group(self) -> _Found:
        if self._take("?") and not self._take(":"):
            if not self._take("<") or self._peek() in ("=", "!", ""):
                raise PatternError("looking ahead or behind is not supported")
            name_end = self._text.find(">", self._at)
            if name_end < 0:
                raise PatternError("a group's name does not end")
            self._at = name_end + 1
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise PatternError("it nests too deep")
        inside = self._alternatives()
        self._depth -= 1
        if not self._take(")"):
            anchor = self._peek() == "$"
            raise PatternError("'$' inside of a group" if anchor else "a group does not end")
        return inside

    def _repeated(self, atom: _Found) -> _Found:
        counts = self._counts()
        if counts is None:
            return atom
        self._take("?")  # lazy or not: the same texts
        if self._peek() in ("*", "+", "?"):
            raise PatternError(f"unexpected {self._peek()!r}")
        least, most = counts
        single = atom.single if (atom.least, atom.most) == (1, 1) else None
        return _Found(
            repeat(atom.node, least, most),
            atom.least * least,
            None if atom.most is None or most is None else atom.most * most,
            single,
        )

    def _counts(self) -> tuple[int, int | None] | None:
        for sign, counts in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._take(sign):
                return counts
        if not self._take("{"):
            return None
        least = self._number()
        most: int | None = least
        if self._take(","):
            most = None if self._peek() == "}" else self._number()
        if not self._take("}"):
            raise PatternError("a count does not end")
        if most is not None and most < least:
            raise PatternError("a count ends before it begins")
        return least, most

    def _number(self) -> int:
        start = self._at
        while self._peek().isascii() and self._peek().isdigit():
            self._at += 1
        digits = self._text[start : self._at]
        if not digits or int(digits[:9]) > MAX_COUNT:
            raise PatternError(f"a count must be a number up to {MAX_COUNT}")
        return int(digits)

    def _class(self) -> Ranges:
        negated = self._take("^")
        members: list[tuple[int, int]] = []
        while not self._take("]"):
            first = self._member()
            if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in ("]", ""):
                self._at += 1
                first = _span(first, self._member())
            members += first
        known = charset.union(members)
        if not negated:
            return known
        rest = charset.difference(charset.UNICODE, known)
        return charset.intersection(rest, _SURE) if self._unsure(members) else rest

    def _unsure(self, members: list[tuple[int, int]]) -> bool:
        """Whether dialects disagree about what a negated class leaves out."""
        return any(set(_CLASSES[name]) <= set(members) for name in "dws")

    def _member(self) -> Ranges:
        if self._at >= len(self._text):
            raise PatternError("a class does not end")
        sign = self._text[self._at]
        self._at += 1
        if sign != "\\":
            return charset.of(sign)
        return charset.of("\b") if self._take("b") else self._escape()

    def _escape(self) -> Ranges:
        sign = self._peek()
        self._at += 1
        if sign in _CLASSES:
            return _CLASSES[sign]
        if sign in _CONTROLS:
            return charset.of(_CONTROLS[sign])
        if sign in ("x", "u"):
            return self._code(2 if sign == "x" else 4)
        if not sign or sign.isalnum():
            raise PatternError(f"the escape \\{sign} is not supported")
        return charset.of(sign)

    def _code(self, length: int) -> Ranges:
        digits = self._text[self._at : self._at + length]
        self._at += length
        try:
            code = int(digits, 16)
        except ValueError:
            raise PatternError("an escape lacks its digits") from None
        if len(digits) < length or 0xD800 <= code < 0xE000:
            raise PatternError("an escape is no character")
        return ((code, code),)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self, sign: str) -> bool:
        found = self._peek() == sign
        self._at += found
        return found


def _one(ranges: Ranges) -> _Found:
    node = characters(ranges)
    return _Found(node, 1, 1, node)


def _joined(parts: list[_Found]) -> _Found:
    if len(parts) == 1:
        return parts[0]
    mosts = [part.most for part in parts if part.most is not None]
    return _Found(
        chain(*(part.node for part in parts)) if parts else EMPTY,
        sum(part.least for part in parts),
        sum(mosts) if len(mosts) == len(parts) else None,
    )


def _span(first: Ranges, last: Ranges) -> Ranges:
    (low, low_end), *more = first
    (high, high_end), *others = last
    if more or others or low != low_end or high != high_end or high < low:
        raise PatternError("a range of characters is wrong")
    return ((low, high),)
