"""Every screen in every state, at both sizes, as it looks."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmr_tui.chat.commands import Suggestion
from dmr_tui.errors import UnavailableError
from tests.tui.conftest import LARGE, SMALL
from tests.tui.scenes import PICTURES
from tests.tui.scenes.scene import Scene
from tests.tui.snapshots import FOLDER, compare
from tests.tui.stage import StageClock, StageRunner, stage


@pytest.fixture(autouse=True)
def _commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture of the list of commands does not change with each of them."""
    words = [("/set", "change how the model answers"), ("/show", "show the model and what is set")]

    async def listed(before: str, context: object) -> list[Suggestion]:
        return [Suggestion(word, 0, summary) for word, summary in words]

    monkeypatch.setattr("dmr_tui.screens.chat.asking.suggest", listed)


@pytest.mark.parametrize("name", PICTURES)
async def test_picture(name: str, tmp_path: Path) -> None:
    picture, clock = PICTURES[name], StageClock()
    runner = StageRunner(picture.stored)
    if runner.stored:
        runner.run(runner.stored[0])

    async def nobody() -> None:
        raise UnavailableError("http://127.0.0.1:12434 does not answer", "start it: dmr serve")

    opened = nobody if picture.no_runner else None
    app = stage(runner, tmp_path, clock=clock, gpus=picture.gpus, opened=opened)
    app.theme = picture.theme
    async with app.run_test(size=LARGE) as pilot:
        await picture.play(Scene(pilot, runner, clock))
        for size, cells in (("120x36", LARGE), ("80x24", SMALL)):
            await pilot.resize_terminal(*cells)
            await pilot.pause()
            await pilot.pause()
            compare(f"{name}-{size}", app.export_screenshot(), tmp_path)


def test_every_picture_is_still_taken() -> None:
    taken = {f"{picture}-{size}.svg" for picture in PICTURES for size in ("120x36", "80x24")}
    assert {file.name for file in FOLDER.glob("*.svg")} == taken
