"""Whoever waits for a load sees its end, however it ends."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dmr_tui.engine.files import ModelFiles
from dmr_tui.engine.protocol import Load
from dmr_tui.engine.slot import Slot
from dmr_tui.engine.worker import Worker
from dmr_tui.errors import EngineError, UnavailableError


@pytest.fixture
def slot(tmp_path: Path) -> Slot:
    """A slot whose worker is never started."""
    files = ModelFiles(id="x", name="x", gguf=tmp_path / "x.gguf")
    load = Load(str(files.gguf), None, None, None, 0, 1, -1)
    return Slot(files, Worker(files, load, tmp_path), 300)


async def test_an_end_is_seen_that_comes_while_nobody_waits(slot: Slot) -> None:
    ready = asyncio.Event()

    async def work() -> None:
        await ready.wait()

    slot.load(work())
    progress = slot.progress()
    assert await anext(progress) == 0.0
    slot.report(0.5)
    assert await anext(progress) == 0.5
    ready.set()
    for _ in range(5):
        await asyncio.sleep(0)
    async with asyncio.timeout(20):
        assert [fraction async for fraction in progress] == []


async def test_all_who_wait_get_an_error_of_their_own(slot: Slot) -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        raise EngineError("cannot load x", "try another")

    slot.load(work())
    waiting = [slot.wait_ready() for _ in range(2)]
    one, two = await asyncio.gather(*waiting, return_exceptions=True)
    for error in (one, two):
        assert isinstance(error, EngineError)
        assert (error.message, error.hint) == ("cannot load x", "try another")
    assert one is not two
    assert slot.dead


async def test_a_load_that_is_called_off_is_told(slot: Slot) -> None:
    slot.load(asyncio.Event().wait())  # type: ignore[arg-type]  # its result is not used
    waiting = asyncio.create_task(slot.wait_ready())
    await asyncio.sleep(0)
    await slot.stop()
    with pytest.raises(UnavailableError, match="unloaded while it was loading"):
        await waiting
