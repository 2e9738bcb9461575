"""An editor and a pager: what they are called, and what is said when they cannot be started."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from textual.app import App

from dmr_tui.errors import DmrError, InvalidRequestError
from dmr_tui.screens import outside


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that were started; each adds a word to its file."""
    commands: list[list[str]] = []

    async def run(app: App[None], command: Sequence[str]) -> None:
        commands.append(list(command[:-1]))
        with Path(command[-1]).open("a") as file:
            file.write(" more\n")

    monkeypatch.setattr(outside, "run_outside", run)
    return commands


async def test_visual_comes_before_editor_and_may_have_arguments(
    monkeypatch: pytest.MonkeyPatch, started: list[list[str]]
) -> None:
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", "nano")
    assert await outside.edit(App(), "Some") == "Some more"
    monkeypatch.setenv("VISUAL", "code --wait 'my profile'")
    await outside.edit(App(), "")
    assert started == [["nano"], ["code", "--wait", "my profile"]]


async def test_a_command_that_makes_no_sense_is_said(
    monkeypatch: pytest.MonkeyPatch, started: list[list[str]]
) -> None:
    monkeypatch.setenv("PAGER", "less '")
    with pytest.raises(InvalidRequestError, match="is no command: No closing quotation"):
        await outside.page(App(), "text")
    assert started == []


async def test_without_a_terminal_nothing_is_started() -> None:
    async with App[None]().run_test() as pilot:
        with pytest.raises(DmrError, match="no other program can be started here"):
            await outside.run_outside(pilot.app, ["true"])
