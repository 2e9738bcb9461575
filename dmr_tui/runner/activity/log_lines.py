"""Lines of logs as text: `[2026-11-28T10:33:05.114Z] info  load  smollm2  loaded in 2.4 s`.

Docker Model Runner begins its lines with the same stamp, and says the rest in its own words.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from dmr_tui.runner.activity.records import LEVELS, Level, LogLine

_STAMP = re.compile(r"\[(?P<stamp>\d{4}-\d\d-\d\dT[^\]\s]+)\]\s?")
_OURS = re.compile(
    r"(?P<level>debug|info|warn|error) +(?P<source>\S+?)(?P<engine>\*?)  (?P<text>.*)"
)
_MARKED = re.compile(r"(?P<mark>[DIWE]) (?P<text>.*)")
_LEVELS: dict[str, Level] = {level: level for level in LEVELS}
_MARKS: dict[str, Level] = {"D": "debug", "I": "info", "W": "warn", "E": "error"}
_WORDS: tuple[tuple[Level, re.Pattern[str]], ...] = (
    ("error", re.compile(r"\b(error|fatal|failed|panic|traceback)\b|\blevel=error", re.I)),
    ("warn", re.compile(r"\bwarn(ing)?\b", re.I)),
)


def stamp(time: float) -> str:
    """A Unix time as the lines have it, in UTC, with milliseconds."""
    moment = datetime.fromtimestamp(time, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


def line_text(line: LogLine) -> str:
    """A line as `parse_line` reads it."""
    text = line.text.replace("\n", " ")
    star = "*" if line.engine else ""
    return f"[{stamp(line.time)}] {line.level:<5} {line.source or '-'}{star}  {text}"


def parse_line(
    text: str, before: float = 0.0, source: str = "", *, engine: bool = False
) -> LogLine:
    """A line of a log, ours or another's.

    Args:
        text: the line, without its end.
        before: Unix time for a line that has none of its own.
        source: what to call a line that does not say itself.
        engine: the line is from an engine's log.
    """
    time, rest = before, text
    if found := _STAMP.match(text):
        parsed = _unix(found["stamp"])
        time, rest = (before, text) if parsed is None else (parsed, text[found.end() :])
    if ours := _OURS.fullmatch(rest):
        level, from_engine = _LEVELS[ours["level"]], bool(ours["engine"])
        return LogLine(time, ours["text"], level, ours["source"], from_engine)
    if marked := _MARKED.fullmatch(rest):
        return LogLine(time, marked["text"], _MARKS[marked["mark"]], source, engine)
    guess: Level = next((level for level, words in _WORDS if words.search(rest)), "info")
    return LogLine(time, rest, guess, source, engine)


def _unix(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
