"""One worker process, without a manager."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmr_tui.engine.files import ModelFiles
from dmr_tui.engine.protocol import Load
from dmr_tui.engine.worker import Worker
from dmr_tui.errors import EngineError, UnavailableError
from tests.engine.asking import ENDLESS, complete


def worker(tiny: ModelFiles, logs: Path) -> Worker:
    return Worker(tiny, Load(str(tiny.gguf), None, 512, None, 0, 1, -1), logs)


async def test_a_worker_ends_by_itself_when_its_input_ends(
    tiny: ModelFiles, tmp_path: Path
) -> None:
    one = worker(tiny, tmp_path)
    fractions: list[float] = []
    await one.start(fractions.append)
    assert fractions
    assert one.memory > 0
    events = one.generate(ENDLESS)
    await anext(events)
    await one.stop()
    assert one._process is not None
    # No signal was needed, although it was computing.
    assert one._process.returncode == 0
    assert one.memory == 0
    with pytest.raises(UnavailableError):
        [event async for event in events]
    with pytest.raises(UnavailableError):
        await anext(one.generate(complete("Hello")))
    await one.stop()


async def test_a_worker_that_cannot_start_says_why(tiny: ModelFiles, tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("not a folder")
    with pytest.raises(EngineError, match=r"cannot load .*no worker can be started: .*logs"):
        await worker(tiny, tmp_path / "logs").start(lambda fraction: None)


async def test_a_log_does_not_grow_for_ever(tiny: ModelFiles, tmp_path: Path) -> None:
    log = tmp_path / "tiny.log"
    for size, kept in ((100, True), (1_000_001, False)):
        log.write_bytes(b"x" * size)
        one = worker(tiny, tmp_path)
        await one.start(lambda fraction: None)
        await one.stop()
        assert (log.read_bytes()[:1] == b"x") == kept
        assert b"llama_model_loader" in log.read_bytes()
