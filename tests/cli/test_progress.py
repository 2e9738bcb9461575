from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dmr_tui.cli.progress import show_transfer
from dmr_tui.errors import RegistryError
from tests.support.fake_runner import FakeRunner
from tests.support.terminal import Terminal

ROOT = Path(__file__).parents[2]

PROGRAM = """
import asyncio, os
from dmr_tui.cli.terminal import quiet_input
from dmr_tui.cli.progress import show_transfer, Waiting
from dmr_tui.store.transfer.progress import LayerProgress, TransferProgress

async def lines():
    one, two = "sha256:" + "ab" * 32, "sha256:" + "cd" * 32
    yield TransferProgress("progress", "", 3000000, LayerProgress(one, 1000000, 0))
    yield TransferProgress("progress", "", 3000000, LayerProgress(two, 2000000, 500000))
    await asyncio.to_thread(os.read, 0, 1)
    yield TransferProgress("warning", "mind the [gap]", 3000000, LayerProgress())
    yield TransferProgress("progress", "", 3000000, LayerProgress(one, 1000000, 1000000))
    yield TransferProgress("progress", "", 3000000, LayerProgress(two, 2000000, 2000000))
    yield TransferProgress("success", "Model pulled successfully")

async def main():
    print(await show_transfer(lines()))
    async with Waiting("Loading m") as waiting:
        waiting.show("Loading m", 0.42)
        await asyncio.to_thread(os.read, 0, 1)
    print("loaded")

with quiet_input():
    asyncio.run(main())
"""


def test_bars_and_waits_on_a_terminal() -> None:
    with Terminal([sys.executable, "-c", PROGRAM], cwd=ROOT, columns=100) as terminal:
        terminal.wait_for(r"^abababababab Waiting .* 0\.0/1\.0 MB")
        terminal.wait_for(r"^cdcdcdcdcdcd Downloading .* 0\.5/2\.0 MB")
        terminal.wait_for(r"^Total .* 0\.5/3\.0 MB")
        terminal.type("\r")
        terminal.wait_for(r"^Total .* 3\.0/3\.0 MB .*MB/s, 0:00:00 left")
        terminal.wait_for(r"^abababababab Pull complete .*1\.0/1\.0 MB")
        terminal.wait_for(r"^cdcdcdcdcdcd Pull complete")
        terminal.wait_for(r"^Warning: mind the \[gap\]$")
        terminal.wait_for(r"^Model pulled successfully$")
        terminal.wait_for(r"Loading m 42%$")
        terminal.type("\r")
        terminal.wait_for(r"^loaded$")
        assert terminal.wait_exit() == 0
        assert "Loading" not in terminal.everything()


LONG = """
import asyncio, os
from dmr_tui.cli.bar import Bar
from dmr_tui.cli.progress import Waiting
from dmr_tui.cli.terminal import quiet_input

async def main():
    async with Waiting("Loading " + "a-long-name" * 9):
        await asyncio.to_thread(os.read, 0, 1)
    Bar._INTERVAL = 0
    with Bar("Saving " + "a-long-name" * 9) as bar:
        bar.show(1000, 2000)
        os.read(0, 1)
    print("done")

with quiet_input():
    asyncio.run(main())
"""


def test_a_narrow_terminal_is_not_flooded() -> None:
    with Terminal([sys.executable, "-c", LONG], cwd=ROOT, columns=70) as terminal:
        terminal.wait_for(r"^. Loading a-long-name.*…$")
        for frame in ("⠙", "⠹"):
            terminal.wait_for(f"^{frame} Loading ")
        terminal.type("\r")
        terminal.wait_for(r"^Saving a-long.*… ━+ +1\.00kB of 2\.00kB$")
        terminal.type("\r")
        terminal.wait_for(r"^done$")
        assert "a-long-name" not in terminal.everything()


async def test_plain_lines_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert await show_transfer(FakeRunner().push("ai/llama3.2:1B-Q8_0")) == (
        "Model pushed successfully"
    )
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "Uploaded 3.00B of 7.00B\n"


async def test_a_failing_transfer_is_closed_and_raised(capsys: pytest.CaptureFixture[str]) -> None:
    runner = FakeRunner(failure=RegistryError("went away"), fails_at=1)
    with pytest.raises(RegistryError, match="went away"):
        await show_transfer(runner.pull("m"))
    assert runner.open_streams == 0
