"""Workers that hang, die again and again, or take too much."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from dmr_tui.engine import last_words, spawn, watchdog
from dmr_tui.engine.backoff import FIRST_WAIT, FREE_TRIES, LONGEST_WAIT, BackOff
from dmr_tui.engine.files import ModelFiles
from dmr_tui.engine.manager import EngineManager
from dmr_tui.engine.profile import Profile
from dmr_tui.engine.watchdog import LOG_LIMIT, Watchdog, rotate
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
    with pytest.raises(EngineError, match="tiny died 2 times while it was loaded"):
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
