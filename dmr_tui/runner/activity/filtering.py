"""Expressions that choose requests and lines of logs: `status:>=400 OR model:qwen`.

    expression = all {"OR" all}
    all        = one {["AND"] one}
    one        = ["NOT" | "-"] (word | '"several words"' | field | "(" expression ")")
    field      = name ":" [">=" | "<=" | ">" | "<" | "=" | "!="] value

A word is looked for in all that is shown of a thing, a field's value in that field; case does not
count. The same expression can be put to requests and to lines: what has no such field does not
match it.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from dmr_tui.errors import InvalidRequestError
from dmr_tui.runner.activity.records import LEVELS, LogLine, RequestRecord
from dmr_tui.settings import parse_duration

Value: TypeAlias = str | float | bool | None
Thing: TypeAlias = "RequestRecord | LogLine"
_Test: TypeAlias = Callable[["_View"], bool]

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<open>\() | (?P<close>\))
    | (?P<minus>-)(?=[^\s)])
    | (?P<field>[A-Za-z_]+):(?P<op>>=|<=|!=|>|<|=)?(?P<value>"[^"]*"|[^\s()]*)
    | "(?P<quoted>[^"]*)" | (?P<broken>"[^"]*$)
    | (?P<word>[^\s()"]+)
    )""",
    re.VERBOSE,
)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
    "!=": operator.ne,
    "": operator.eq,
}

_REQUEST: dict[str, Callable[[RequestRecord], Value]] = {
    "status": lambda each: each.status,
    "model": lambda each: each.model,
    "client": lambda each: each.client,
    "route": lambda each: each.protocol,
    "path": lambda each: each.path,
    "error": lambda each: f"{each.error.code} {each.error.message}" if each.error else "",
    "id": lambda each: each.id,
    "in": lambda each: each.prompt_tokens,
    "out": lambda each: each.completion_tokens,
    "cached": lambda each: each.cached_tokens,
    "took": lambda each: each.seconds,
    "first": lambda each: each.first_token_seconds,
    "stream": lambda each: each.stream,
    "running": lambda each: each.running,
}
_LINE: dict[str, Callable[[LogLine], Value]] = {
    "level": lambda each: each.level,
    "source": lambda each: each.source,
    "model": lambda each: f"{each.source} {each.text}",
    "text": lambda each: each.text,
    "engine": lambda each: each.engine,
}
FIELDS = tuple(sorted({*_REQUEST, *_LINE}))
_NUMBERS = {"status", "in", "out", "cached", "took", "first"}
_SPANS = {"took", "first"}
_SWITCHES = {"stream", "running", "engine"}
_ALIASES = {"code": "status", "req": "id", "tokens": "out", "seconds": "took", "ttft": "first"}
_DEEPEST = 50
"""Parentheses and negations within each other; more nobody writes by hand."""
_MISSING = "a word or field:value is missing"
_YES, _NO = {"yes", "true", "1", "on"}, {"no", "false", "0", "off"}


@dataclass(frozen=True)
class _View:
    """One thing, as a test looks at it."""

    thing: Any
    fields: Mapping[str, Callable[[Any], Value]]
    text: str
    """All that words are looked for in, in small letters."""


@dataclass(frozen=True)
class Filter:
    """An expression, ready to choose."""

    source: str
    test: _Test | None = None

    def request(self, record: RequestRecord) -> bool:
        """Whether a request matches."""
        return self.test is None or self.test(_View(record, _REQUEST, _request_text(record)))

    def line(self, line: LogLine) -> bool:
        """Whether a line matches."""
        if self.test is None:
            return True
        return self.test(_View(line, _LINE, f"{line.level} {line.source} {line.text}".lower()))


def parse_filter(expression: str) -> Filter:
    """Read an expression; an empty one matches everything.

    Raises:
        InvalidRequestError: it makes no sense; says where, and what would.
    """
    if not expression.strip():
        return Filter(expression)
    return Filter(expression, _Parser(expression).parse())


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._next = next(self._tokens, None)
        self._depth = 0

    def parse(self) -> _Test:
        test = self._any()
        if self._next is not None:
            raise InvalidRequestError("the filter has a “)” too many")
        return test

    def _take(self) -> re.Match[str]:
        found, self._next = self._next, next(self._tokens, None)
        assert found is not None
        return found

    def _is(self, *words: str) -> bool:
        return self._next is not None and self._next["word"] in words

    def _any(self) -> _Test:
        tests = [self._all()]
        while self._is("OR", "or", "||"):
            self._take()
            tests.append(self._all())
        return tests[0] if len(tests) == 1 else lambda view: any(test(view) for test in tests)

    def _all(self) -> _Test:
        tests = [self._one()]
        while self._next is not None and not self._next["close"] and not self._is("OR", "or", "||"):
            if self._is("AND", "and", "&&"):
                self._take()
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda view: all(test(view) for test in tests)

    def _one(self) -> _Test:
        if self._next is None:
            raise InvalidRequestError("the filter ends too early", _MISSING)
        if self._depth == _DEEPEST:
            raise InvalidRequestError(
                f"the filter is nested more than {_DEEPEST} deep", "write it with fewer parentheses"
            )
        self._depth += 1
        try:
            return self._whole_one()
        finally:
            self._depth -= 1

    def _whole_one(self) -> _Test:
        token = self._take()
        if token["minus"] or token["word"] in ("NOT", "not", "!"):
            test = self._one()
            return lambda view: not test(view)
        if token["open"]:
            inner = self._any()
            if self._next is None or not self._next["close"]:
                raise InvalidRequestError("the filter has a “(” without its “)”")
            self._take()
            return inner
        if token["field"]:
            return _field(token["field"], token["op"] or "", token["value"].strip('"'))
        if token["broken"]:
            raise InvalidRequestError("the filter has a quotation mark too few")
        if token["close"] or token["word"] in ("AND", "OR", "and", "or", "&&", "||"):
            raise InvalidRequestError(
                f"the filter has nothing before “{token[0].strip()}”",
                _MISSING,
            )
        word = (token["word"] or token["quoted"] or "").lower()
        return lambda view: word in view.text


def _tokens(text: str) -> Iterator[re.Match[str]]:
    at = 0
    while text[at:].strip():
        found = _TOKEN.match(text, at)
        assert found is not None  # every character begins a token
        at = found.end()
        yield found


def _field(named: str, op: str, text: str) -> _Test:
    name = _ALIASES.get(named.lower(), named.lower())
    if name not in FIELDS:
        raise InvalidRequestError(
            f"the filter knows no field “{named}”", f"fields: {' '.join(FIELDS)}"
        )
    if not text:
        raise InvalidRequestError(f"the filter has no value after “{named}:{op}”")
    if name in _SWITCHES:
        return _switch(name, named, text)
    if name in _NUMBERS:
        return _number(name, named, op, text)
    if name == "level":
        return _level(op, text)
    return _word(name, named, op, text)


def _word(name: str, named: str, op: str, text: str) -> _Test:
    if op in (">", "<", ">=", "<="):
        raise InvalidRequestError(f"the filter cannot compare “{named}” with {op}", "use : = or !=")
    wanted = text.lower()

    def test(view: _View) -> bool:
        value = _value(view, name)
        if value is None:
            return False
        found = str(value).lower()
        return wanted in found if not op else _COMPARE[op](found, wanted)

    return test


def _number(name: str, named: str, op: str, text: str) -> _Test:
    try:
        wanted = parse_duration(text) if name in _SPANS else float(text)
    except (ValueError, InvalidRequestError):
        example = "took:>2s" if name in _SPANS else f"{named}:>=400"
        raise InvalidRequestError(
            f"the filter expects a number after “{named}:”, not “{text}”", f"for example {example}"
        ) from None
    compare = _COMPARE[op]

    def test(view: _View) -> bool:
        value = _value(view, name)
        return value is not None and compare(value, wanted)

    return test


def _switch(name: str, named: str, text: str) -> _Test:
    if text.lower() not in _YES | _NO:
        raise InvalidRequestError(f"the filter expects yes or no after “{named}:”, not “{text}”")
    wanted = text.lower() in _YES
    return lambda view: _value(view, name) is wanted


def _level(op: str, text: str) -> _Test:
    wanted = {"warning": "warn", "err": "error"}.get(text.lower(), text.lower())
    if wanted not in LEVELS:
        raise InvalidRequestError(
            f"the filter knows no level “{text}”", f"levels: {' '.join(LEVELS)}"
        )
    rank, compare = LEVELS.index(wanted), _COMPARE[op]

    def test(view: _View) -> bool:
        value = _value(view, "level")
        return value is not None and compare(LEVELS.index(str(value)), rank)

    return test


def _value(view: _View, name: str) -> Value:
    read = view.fields.get(name)
    return None if read is None else read(view.thing)


def _request_text(record: RequestRecord) -> str:
    error = f"{record.error.code} {record.error.message}" if record.error else ""
    return (
        f"{record.status or 'running'} {record.model} {record.client} {record.protocol} "
        f"{record.path} {'stream' if record.stream else ''} {error} {record.id}"
    ).lower()
