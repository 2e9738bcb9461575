from __future__ import annotations

import stat
from pathlib import Path

import pytest

from dmr_tui.screens.remembered import EndpointChoice, Memory, Remembered
from tests.tui.conftest import LARGE, see
from tests.tui.stage import StageRunner, stage


def test_everything_is_there_again(tmp_path: Path) -> None:
    file = tmp_path / "state" / "screen.json"
    memory = Memory(file)
    assert memory.state == Remembered()
    memory.update(
        theme="light", screen="chat", endpoint=EndpointChoice(True, "::1", 9000, "secret")
    )
    memory.set_order("models", "size", reverse=True)
    memory.set_view("models", "loaded")
    again = Memory(file)
    assert again.state == memory.state
    assert again.order("models", "used") == ("size", True)
    assert again.order("requests", "time") == ("time", False)
    assert again.state.views == {"models": "loaded"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in file.parent.iterdir()] == ["screen.json"]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b'{"theme": 7, "screen": null, "orders": [], "views": {"a": 1}, "endpoint": "x"}',
        b'{"endpoint": {"on": 1, "port": "80", "host": []}, "new": true}',
        b"\xff\xfe",
    ],
)
def test_what_cannot_be_understood_is_forgotten(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "screen.json"
    file.write_bytes(text)
    assert Memory(file).state == Remembered()


def test_a_folder_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    memory = Memory(tmp_path / "state" / "screen.json")
    memory.update(theme="light")
    assert memory.state.theme == "light"


async def test_theme_and_screen_come_back(runner: StageRunner, tmp_path: Path) -> None:
    async with stage(runner, tmp_path).run_test(size=LARGE) as pilot:
        await see(pilot, "nomic-embed-text")
        await pilot.press("T", "2")
        await see(pilot, "[2 Get]")
    app = stage(runner, tmp_path)
    async with app.run_test(size=LARGE) as pilot:
        await see(pilot, "[2 Get]")
        assert app.theme == "light"
        await pilot.press("alt+1")
        await see(pilot, "[1 Models]", "nomic-embed-text")
