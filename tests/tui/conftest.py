"""Fixtures and the few steps that every test of the screens takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from textual import events
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import Input, TextArea

from dmr_tui.app import DmrApp
from tests.tui.stage import SEVEN, StageRunner

LARGE, SMALL = (120, 36), (80, 24)
_SECONDS = 10.0
_LONG = 24


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The time of day is shown, so it must not depend on where the tests run."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture(autouse=True)
def _still_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    """No cursor blinks, neither into a snapshot nor out of it."""
    for kind in (Input, TextArea):
        monkeypatch.setattr(kind.cursor_blink, "_default", False)


@pytest.fixture
def runner() -> StageRunner:
    """Seven models, the first of them in memory."""
    runner = StageRunner(SEVEN)
    runner.run(SEVEN[0])
    return runner


async def until(pilot: Pilot[None], test: Callable[[], object]) -> None:
    """Let the program work until `test` holds."""
    end = time.monotonic() + _SECONDS
    while not test():
        assert time.monotonic() < end, f"not within {_SECONDS} s:\n{screen_text(pilot.app)}"
        await pilot.pause()


async def see(pilot: Pilot[None], *texts: str) -> None:
    """Let the program work until all these texts are on the screen."""
    await until(pilot, lambda: all(text in screen_text(pilot.app) for text in texts))


async def gone(pilot: Pilot[None], text: str) -> None:
    """Let the program work until a text is no longer on the screen."""
    await until(pilot, lambda: text not in screen_text(pilot.app))


async def type_in(pilot: Pilot[None], text: str) -> None:
    """Type a text, key by key; a long one all at once but for its last letter.

    A key takes a test some 50 ms, and what is long is no test of keys.
    """
    if len(text) > _LONG and "\n" not in text:
        focused = pilot.app.focused
        assert focused is not None
        focused.post_message(events.Paste(text[:-1]))
        await pilot.pause()
        text = text[-1]
    await pilot.press(*("space" if character == " " else character for character in text))


def screen_text(app: object) -> str:
    """What a person would read: the rows of the screen."""
    assert isinstance(app, DmrApp)
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips)


def row_with(app: object, text: str) -> str:
    """The first row of the screen that holds a text."""
    return next(line for line in screen_text(app).splitlines() if text in line)


def part(app: DmrApp, selector: str) -> Widget:
    """A widget of the screen that is shown."""
    return app.screen.query_one(selector)
