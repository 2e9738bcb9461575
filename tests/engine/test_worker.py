"""One worker process, without a manager."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import Process
from pathlib import Path

import psutil
import pytest

from dmr_tui.engine import spawn
from dmr_tui.engine.files import ModelFiles
from dmr_tui.engine.protocol import Cancel, Load, encode_frame
from dmr_tui.engine.questions import DetokenizeQuestion
from dmr_tui.engine.spawn import spawn_worker
from dmr_tui.engine.worker import Worker
from dmr_tui.errors import EngineError, InvalidRequestError, UnavailableError
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


async def test_what_cannot_be_sent_is_refused_and_owed_no_answer(
    tiny: ModelFiles, tmp_path: Path
) -> None:
    one = worker(tiny, tmp_path)
    await one.start(lambda fraction: None)
    with pytest.raises(InvalidRequestError, match="64 bits"):
        await one.ask(DetokenizeQuestion([2**70]))
    assert not one._answers, "the watchdog would wait for them"
    assert (await one.ask(DetokenizeQuestion([65]))).text
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


async def test_one_that_cannot_understand_its_parent_ends(tiny: ModelFiles, tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    process = await spawn_worker(log)
    assert process.stdin is not None
    process.stdin.write(encode_frame(Cancel(1))[:-1] + b"\xc1")
    async with asyncio.timeout(60):
        assert await process.wait() == 1
    assert "the parent cannot be understood" in log.read_text()


FLOOD = 4 * 2**20


@pytest.mark.parametrize(
    "said",
    [
        "b'Traceback (most recent call last):' + bytes(100)",
        f"(5).to_bytes(4, 'big') + b'wrong' + bytes({FLOOD})",
        "(1 << 29).to_bytes(4, 'big')",
    ],
    ids=["text", "no message, and much more", "less than was said"],
)
async def test_one_that_cannot_be_understood_is_ended(
    tiny: ModelFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    (tmp_path / "garbled.py").write_text(
        f"import sys\nsys.stdout.buffer.write({said})\nsys.stdout.flush()\n"
        "if not said_less: sys.stdin.read()\n".replace("said_less", str("1 <<" in said))
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(spawn, "_MODULE", "garbled")
    one = worker(tiny, tmp_path)
    async with asyncio.timeout(60):
        with pytest.raises(EngineError) as caught:
            await one.start(lambda fraction: None)
        await one._listener  # it has ended in order
    assert one.crashed
    if "1 <<" not in said:
        assert "the worker said what cannot be understood: " in caught.value.message


async def test_one_that_cannot_be_killed_is_let_be(
    tiny: ModelFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = worker(tiny, tmp_path)
    await one.start(lambda fraction: None)
    process = psutil.Process(one.pid)
    asked = asyncio.create_task(anext(one.generate(ENDLESS)))
    await asyncio.sleep(0)
    process.suspend()  # it does not see that its input ends
    while process.status() != psutil.STATUS_STOPPED:
        await asyncio.sleep(0.01)
    monkeypatch.setattr(Process, "terminate", lambda self: None)
    monkeypatch.setattr(Process, "kill", lambda self: None)
    monkeypatch.setattr("dmr_tui.engine.worker._PATIENCE", 0.05)
    monkeypatch.setattr("dmr_tui.engine.worker.LAST_PATIENCE", 0.05)
    async with asyncio.timeout(60):
        await one.stop()
        assert one.ended.is_set()
        with pytest.raises(UnavailableError):
            await asked
        await one.stop()
    monkeypatch.undo()
    process.kill()
    await one._listener


async def test_a_limit_that_may_not_be_set_is_none(
    tiny: ModelFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil.Process, "rlimit", refuse, raising=False)
    one = worker(tiny, tmp_path)
    await one.start(lambda fraction: None)
    await one.stop()
