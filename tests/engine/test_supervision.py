"""Workers that hang, die again and again, or take too much."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from dmr_tui.engine import last_words, spawn, watchdog
from dmr_tui.engine.backoff import FIRST_WAIT, FREE_TRIES, LONGEST_WAIT, BackOff
from dmr_tui.engine.files import ModelFiles
from dmr_tui.engine.manager import EngineManager
from dmr_tui.engine.profile import Profile
from dmr_tui.engine.rotation import LOG_LIMIT, rotate
from dmr_tui.engine.watchdog import Watchdog
from dmr_tui.engine.worker import Worker
from dmr_tui.errors import EngineError, InsufficientMemoryError
from tests.engine.asking import ANY, ENDLESS, ask, ask_until_text, complete, worker_of

linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's counts and limits")


class Clock:
    """Seconds that pass when a test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_waits_grow_and_a_good_load_forgets_them() -> None:
    clock = Clock()
    back_off = BackOff(clock)
    failure = EngineError("SIGSEGV", "its log: x.log")
    for _ in range(FREE_TRIES):
        back_off.check("x", "m")
        back_off.died("x", failure)
    for wait in (FIRST_WAIT, 2 * FIRST_WAIT, 4 * FIRST_WAIT):
        clock.now += wait - 1
        with pytest.raises(EngineError, match=r"m died \d times .* in 1 s.* SIGSEGV") as caught:
            back_off.check("x", "m")
        assert caught.value.hint == "its log: x.log"
        back_off.check("other", "o")
        clock.now += 1
        back_off.check("x", "m")
        back_off.died("x", failure)
    for _ in range(20):
        back_off.died("x", failure)
    clock.now += LONGEST_WAIT
    back_off.check("x", "m")
    back_off.died("x", failure)
    back_off.lived("x")
    back_off.check("x", "m")


async def die_loading(manager: EngineManager, files: ModelFiles) -> None:
    """Load a model and kill its worker as soon as there is one."""
    load = asyncio.create_task(manager.load(files, ANY))
    while not (manager.running() and manager.running()[0].pid):
        await asyncio.sleep(0)
    os.kill(manager.running()[0].pid, signal.SIGSEGV)
    with pytest.raises(EngineError, match="SIGSEGV"):
        await load


async def test_a_model_that_kills_its_workers_has_to_wait(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    for _ in range(FREE_TRIES):
        await die_loading(manager, tiny)
    with pytest.raises(EngineError, match="tiny died 2 times and answered nothing"):
        await manager.load(tiny, ANY)


async def test_a_model_that_dies_before_it_answers_has_to_wait(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    async def die() -> None:
        await manager.load(tiny, ANY)
        worker_of(manager, tiny).send_signal(signal.SIGSEGV)
        await manager._slots[tiny.id].worker.ended.wait()

    await die()
    assert (await ask(manager, tiny, complete("Hello"))).text  # that wipes the slate
    for _ in range(FREE_TRIES):
        await die()
    while manager._wakes:
        await asyncio.sleep(0)
    with pytest.raises(EngineError, match="died 2 times and answered nothing"):
        await manager.load(tiny, ANY)


async def test_who_unloads_while_it_loads_has_not_killed_it(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    for _ in range(FREE_TRIES + 1):
        load = asyncio.create_task(manager.load(tiny, ANY))
        while not (manager.running() and manager.running()[0].pid):
            await asyncio.sleep(0)
        load.cancel()
        await asyncio.wait({load})
        await manager.unload()
    await manager.load(tiny, ANY)


def test_only_a_busy_worker_can_be_stuck(tmp_path: Path) -> None:
    clock = Clock()
    busy = False
    dog = Watchdog(tmp_path / "x.log", busy=lambda: busy, clock=clock)
    clock.now += 2 * watchdog.SILENCE
    assert not dog.stuck
    busy = True
    assert dog.stuck
    dog.hear()
    clock.now += watchdog.SILENCE
    assert not dog.stuck
    clock.now += 1
    assert dog.stuck


async def test_a_stuck_worker_is_ended_and_replaced(
    manager: EngineManager, tiny: ModelFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ask_until_text(manager, tiny)
    process = worker_of(manager, tiny)
    asking = asyncio.create_task(ask(manager, tiny, ENDLESS))
    await ask_until_text(manager, tiny)
    process.suspend()
    # The watchdog of a running worker looks rarely: this one's next look comes at once.
    monkeypatch.setattr(watchdog, "SILENCE", 0.05)
    monkeypatch.setattr(watchdog, "HEALTH_SILENCE", 0.05)
    worker = manager._slots[tiny.id].worker
    assert isinstance(worker, Worker)
    worker._guard.cancel()
    assert worker._process is not None
    worker._guard = asyncio.create_task(worker._watch(worker._process))
    with pytest.raises(EngineError, match=r"the worker was stuck: it said nothing for 0\.05 s"):
        await asking
    monkeypatch.undo()
    assert (await ask(manager, tiny, complete("Hello"))).text


async def test_an_idle_worker_is_left_alone(
    manager: EngineManager, tiny: ModelFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "SILENCE", 0.0)
    await manager.load(tiny, ANY)
    worker = manager._slots[tiny.id].worker
    assert isinstance(worker, Worker)
    assert not worker._watchdog.stuck
    assert not worker._guard.done()


@linux
async def test_a_worker_gets_no_more_than_the_machine_has(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    await manager.load(tiny, ANY)
    machine = psutil.virtual_memory().total + psutil.swap_memory().total
    assert worker_of(manager, tiny).rlimit(psutil.RLIMIT_DATA) == (machine, machine)


@linux
async def test_a_refused_allocation_is_told_as_such(
    manager: EngineManager, tiny: ModelFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def limit(pid: int) -> None:
        psutil.Process(pid).rlimit(psutil.RLIMIT_DATA, (300 * 1024**2, 300 * 1024**2))

    monkeypatch.setattr(spawn, "_limit_memory", limit)
    with pytest.raises(InsufficientMemoryError, match=r"cannot load .*alloc"):
        await manager.load(tiny, Profile(context_size=2_000_000))
    await manager.load(tiny, ANY)


async def test_the_systems_own_kill_is_told_as_such(
    manager: EngineManager, tiny: ModelFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = tmp_path / "vmstat"
    counts.write_text("pgfault 1\noom_kill 3\n")
    monkeypatch.setattr(last_words, "_VMSTAT", counts)
    monkeypatch.setattr(last_words, "memory_groups", list)
    await ask_until_text(manager, tiny)
    asking = asyncio.create_task(ask(manager, tiny, ENDLESS))
    await ask_until_text(manager, tiny)
    counts.write_text("pgfault 1\noom_kill 4\n")
    worker_of(manager, tiny).kill()
    with pytest.raises(InsufficientMemoryError, match="ran out of memory and killed the worker"):
        await asking


@linux
def test_the_kernel_counts_its_kills() -> None:
    assert last_words.out_of_memory_kills() >= 0


async def test_the_log_of_a_running_worker_begins_anew(
    manager: EngineManager, tiny: ModelFiles, tmp_path: Path
) -> None:
    await manager.load(tiny, ANY)
    log = tmp_path / "logs" / "tiny.log"
    rotate(log)
    assert log.stat().st_size > 0
    with log.open("ab") as out:
        out.write(b"x" * LOG_LIMIT + b"the end\n")
    rotate(log)
    assert log.stat().st_size == 0
    kept = (tmp_path / "logs" / "tiny.log.1").read_bytes()
    assert len(kept) == LOG_LIMIT
    assert kept.endswith(b"the end\n")
    with log.open("ab") as out:
        out.write(b"E the last words\n")
    asking = asyncio.create_task(ask(manager, tiny, ENDLESS))
    await ask_until_text(manager, tiny)
    worker_of(manager, tiny).kill()
    with pytest.raises(EngineError, match="the last words"):
        await asking


def test_no_log_is_no_failure(tmp_path: Path) -> None:
    rotate(tmp_path / "none.log")


async def test_one_that_hangs_while_it_loads_is_ended(
    manager: EngineManager, tiny: ModelFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "SILENCE", 0.05)
    monkeypatch.setattr(watchdog, "HEALTH_SILENCE", 0.5)
    load = asyncio.create_task(manager.load(tiny, ANY))
    while not (manager.running() and manager.running()[0].pid):
        await asyncio.sleep(0)
    psutil.Process(manager.running()[0].pid).suspend()
    async with asyncio.timeout(60):
        with pytest.raises(EngineError, match=r"cannot load .*tiny\.gguf: the worker was stuck"):
            await load
    # Nobody takes one for stuck that computes.
    await manager.load(tiny, ANY)


async def test_reading_is_work_and_so_is_computing_where_it_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watchdog, "HEALTH_SILENCE", 0.3)
    with psutil.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        assert await watchdog.works(busy.pid, computing_counts=True)
        assert not await watchdog.works(busy.pid, computing_counts=False)
        busy.suspend()
        assert not await watchdog.works(busy.pid, computing_counts=True)
        read = itertools.count()
        counters = SimpleNamespace
        monkeypatch.setattr(
            psutil.Process,
            "io_counters",
            lambda self: counters(read_bytes=next(read)),
            raising=False,
        )
        assert await watchdog.works(busy.pid, computing_counts=False)
        busy.kill()
    assert not await watchdog.works(busy.pid, computing_counts=True)


async def test_what_is_read_from_disk_for_long_is_not_stuck(
    manager: EngineManager, tiny: ModelFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    await manager.load(tiny, ANY)
    worker = manager._slots[tiny.id].worker
    assert isinstance(worker, Worker)
    monkeypatch.setattr(watchdog, "SILENCE", 0.05)
    looks = iter([True, True, False])

    async def works(pid: int, *, computing_counts: bool) -> bool:
        assert (pid, computing_counts) == (worker.pid, False)
        return next(looks)

    monkeypatch.setattr("dmr_tui.engine.worker.works", works)
    process = worker_of(manager, tiny)
    worker._guard.cancel()
    assert worker._process is not None
    worker._guard = asyncio.create_task(worker._watch(worker._process))
    process.suspend()
    with pytest.raises(EngineError, match="the worker was stuck"):
        await ask(manager, tiny, ENDLESS)
    assert next(looks, None) is None


def test_a_full_disk_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "x.log"
    log.write_bytes(b"x" * (LOG_LIMIT + 1))

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    rotate(log)
    assert log.stat().st_size == LOG_LIMIT + 1
