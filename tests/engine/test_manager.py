"""Which models are in memory, when they come and when they go."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import msgspec
import psutil
import pytest

from dmr_tui.engine.files import ModelFiles
from dmr_tui.engine.manager import EngineManager
from dmr_tui.engine.profile import Profile
from dmr_tui.engine.request import (
    ChatRequest,
    Delta,
    Event,
    GenerateRequest,
    Loading,
    Message,
    Reasoning,
)
from dmr_tui.errors import ConflictError, EngineError, UnavailableError
from dmr_tui.settings import Settings
from tests.engine.asking import ENDLESS, ask, ask_until_text, complete, worker_of

Copy = Callable[[str], ModelFiles]

SHORT = Profile(keep_alive=0.05)


async def gone(process: psutil.Process) -> None:
    """Wait until a worker has ended."""
    await asyncio.to_thread(process.wait, 30)


def pids(manager: EngineManager) -> list[int]:
    return [model.pid for model in manager.running()]


def worker_pids(manager: EngineManager) -> list[int]:
    """Those that have been started."""
    return [pid for pid in pids(manager) if pid]


def test_a_manager_can_be_made_without_a_loop(tmp_path: Path) -> None:
    manager = EngineManager(settings=Settings(), logs=tmp_path)
    assert manager.running() == []
    assert not manager.in_use("x")
    asyncio.run(manager.close())


async def test_a_model_is_loaded_once_and_stays(manager: EngineManager, tiny: ModelFiles) -> None:
    await ask(manager, tiny, complete("Hello"))
    (first,) = pids(manager)
    again = await ask(manager, tiny, complete("Hello"))
    assert pids(manager) == [first]
    assert not any(isinstance(event, Loading) for event in again.events)


async def test_the_load_is_seen(manager: EngineManager, tiny: ModelFiles) -> None:
    answer = await ask(manager, tiny, complete("Hello"))
    fractions = [event.fraction for event in answer.events if isinstance(event, Loading)]
    assert fractions[0] == 0.0
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    kinds = [isinstance(event, Loading) for event in answer.events]
    assert kinds == sorted(kinds, reverse=True)


async def test_ps_tells_what_runs(manager: EngineManager, tiny: ModelFiles) -> None:
    before = time.time()
    async with aclosing(manager.generate(tiny, ENDLESS, Profile(context_size=512))) as events:
        loading = await anext(events)
        assert loading == Loading(0.0)
        (early,) = manager.running()
        assert (early.state, early.in_use, early.context_size) == ("loading", 1, 0)
        async for event in events:
            if isinstance(event, Delta):
                break
        (busy,) = manager.running()
        assert manager.in_use(tiny.id)
    (idle,) = manager.running()
    assert (busy.state, busy.in_use, busy.last_used) == ("ready", 1, None)
    assert (busy.id, busy.name, busy.backend, busy.mode) == (
        "sha256:tiny",
        "tiny",
        "llama.cpp",
        "completion",
    )
    assert (busy.context_size, busy.gpu_layers, busy.keep_alive) == (512, 0, 300.0)
    assert 1_000_000 < busy.memory < 500_000_000
    assert psutil.Process(busy.pid).ppid() == os.getpid()
    assert idle.in_use == 0
    assert idle.last_used is not None
    assert before <= idle.last_used <= time.time()
    assert not manager.in_use(tiny.id)


async def test_who_comes_while_it_loads_shares_the_load(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    answers = await asyncio.gather(*(ask(manager, tiny, complete("Hello")) for _ in range(3)))
    assert len({answer.text for answer in answers}) == 1
    assert len(manager.running()) == 1


async def test_two_models_run_side_by_side(
    manager: EngineManager, tiny: ModelFiles, copy: Copy
) -> None:
    other = copy("other")
    one, two = await asyncio.gather(
        ask(manager, tiny, complete("Hello")), ask(manager, other, complete("Hello"))
    )
    assert one.text == two.text
    assert len(set(pids(manager))) == 2


async def test_one_load_at_a_time(manager: EngineManager, tiny: ModelFiles, copy: Copy) -> None:
    models = [tiny, copy("second"), copy("third")]
    loads = [asyncio.create_task(manager.load(files, Profile())) for files in models]
    most = 0
    while not all(load.done() for load in loads):
        await asyncio.sleep(0)
        starting = [m for m in manager.running() if m.state == "loading" and m.pid]
        most = max(most, len(starting))
    assert most == 1
    assert [model.state for model in manager.running()] == ["ready"] * 3


async def test_a_client_that_leaves_does_not_end_the_load(
    manager: EngineManager, tiny: ModelFiles, tmp_path: Path
) -> None:
    async with aclosing(manager.generate(tiny, complete("Hello"), Profile())) as events:
        assert isinstance(await anext(events), Loading)
    assert not manager.in_use(tiny.id)
    await manager.load(tiny, Profile())
    (model,) = manager.running()
    assert model.state == "ready"
    # The same worker that the first client began to load: the log holds one start.
    log = (tmp_path / "logs" / "tiny.log").read_text()
    assert log.count("print_info: file format") == 1


async def test_a_load_that_is_named_is_called_off(manager: EngineManager, tiny: ModelFiles) -> None:
    loading = asyncio.create_task(manager.load(tiny, Profile()))
    while not any(model.pid for model in manager.running()):
        await asyncio.sleep(0)
    assert await manager.unload(None) == 0  # whoever waits for it keeps it from leaving
    await manager.unload({tiny.id})
    with pytest.raises(UnavailableError, match="unloaded while it was loading"):
        await loading
    assert manager.running() == []
    await manager.load(tiny, Profile())
    assert [model.state for model in manager.running()] == ["ready"]


async def test_keep_alive_zero_unloads_at_once(manager: EngineManager, tiny: ModelFiles) -> None:
    profile = Profile(keep_alive=0)
    async with aclosing(manager.generate(tiny, complete("Hello"), profile)) as events:
        async for event in events:
            if isinstance(event, Delta):
                process = worker_of(manager, tiny)
    (leaving,) = manager.running()
    assert leaving.state == "unloading"
    await gone(process)
    assert (await ask(manager, tiny, complete("Hello"), profile)).text


async def test_unloading_waits_for_one_that_is_on_its_way(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    await manager.load(tiny, Profile())
    process = worker_of(manager, tiny)
    await manager.load(tiny, Profile(keep_alive=0))
    assert [model.state for model in manager.running()] == ["unloading"]
    assert await manager.unload({"another"}) == 0
    assert process.is_running()
    assert await manager.unload({tiny.id}) == 0
    assert not process.is_running()


async def test_an_idle_model_goes_after_its_time(manager: EngineManager, tiny: ModelFiles) -> None:
    await ask(manager, tiny, complete("Hello"), SHORT)
    await gone(worker_of(manager, tiny))


async def test_the_settings_keep_alive_is_the_default(tmp_path: Path, tiny: ModelFiles) -> None:
    manager = EngineManager(settings=Settings(keep_alive=0.05), logs=tmp_path)
    await ask(manager, tiny, complete("Hello"))
    await gone(worker_of(manager, tiny))
    await manager.close()


async def test_a_model_in_use_does_not_go(manager: EngineManager, tiny: ModelFiles) -> None:
    short = Profile(keep_alive=0.05, context_size=1024)
    await ask(manager, tiny, complete("Hello"), short)
    process = worker_of(manager, tiny)
    # Longer than the keep-alive: the answer goes to the edge of the context.
    answer = await ask(manager, tiny, ENDLESS)
    assert answer.finished.usage.generation_seconds > 0.05
    await gone(process)


async def test_negative_keep_alive_is_for_ever(
    manager: EngineManager, tiny: ModelFiles, copy: Copy
) -> None:
    await ask(manager, tiny, complete("Hello"), SHORT)
    await ask(manager, tiny, complete("Hello"), Profile(keep_alive=-1))
    other = copy("other")
    await ask(manager, other, complete("Hello"), SHORT)
    await gone(worker_of(manager, other))
    (model,) = (model for model in manager.running() if model.id == tiny.id)
    assert (model.state, model.keep_alive) == ("ready", -1)


async def test_a_preloaded_model_goes_after_its_time(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    await manager.load(tiny, SHORT)
    await gone(worker_of(manager, tiny))


async def test_a_model_whose_client_left_while_it_loaded_goes_too(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    async with aclosing(manager.generate(tiny, complete("Hello"), SHORT)) as events:
        await anext(events)
        while not worker_pids(manager):
            await asyncio.sleep(0)
        process = worker_of(manager, tiny)
    await gone(process)


async def test_unload_takes_idle_models_only(
    manager: EngineManager, tiny: ModelFiles, copy: Copy
) -> None:
    idle, other = copy("idle"), copy("other")
    await manager.load(idle, Profile())
    await manager.load(other, Profile())
    async with aclosing(manager.generate(tiny, ENDLESS, Profile())) as events:
        async for event in events:
            if isinstance(event, Delta):
                break
        process = worker_of(manager, idle)
        assert await manager.unload({idle.id, tiny.id, "unknown"}) == 1
        assert not process.is_running()
        assert {model.id for model in manager.running()} == {tiny.id, other.id}
        assert await manager.unload() == 1
        assert await manager.unload() == 0
        assert [model.id for model in manager.running()] == [tiny.id]
    assert await manager.unload() == 1
    assert manager.running() == []


async def test_other_settings_replace_an_idle_worker(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    await manager.load(tiny, Profile(context_size=512))
    old = worker_of(manager, tiny)
    await manager.load(tiny, Profile(context_size=1024))
    (model,) = manager.running()
    assert model.context_size == 1024
    assert model.pid != old.pid
    assert not old.is_running()


async def test_what_a_profile_leaves_open_suits_any_worker(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    await manager.load(tiny, Profile(context_size=512, threads=1))
    (pid,) = pids(manager)
    await manager.load(tiny, Profile())
    await manager.load(tiny, Profile(context_size=512))
    assert pids(manager) == [pid]
    await manager.load(tiny, Profile(threads=2))
    (other,) = pids(manager)
    assert other != pid
    # 4096 is what the model got by itself.
    await manager.load(tiny, Profile(context_size=4096))
    assert pids(manager) == [other]


async def test_other_settings_for_a_busy_model_are_refused(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    async with aclosing(manager.generate(tiny, ENDLESS, Profile(context_size=512))) as events:
        await anext(events)
        with pytest.raises(ConflictError, match="in use"):
            await manager.load(tiny, Profile(context_size=1024))
    await manager.load(tiny, Profile(context_size=1024))


async def test_the_packages_context_is_used(manager: EngineManager, tiny: ModelFiles) -> None:
    await manager.load(replace(tiny, context_size=768), Profile())
    (model,) = manager.running()
    assert model.context_size == 768


async def test_close_ends_everything(manager: EngineManager, tiny: ModelFiles, copy: Copy) -> None:
    other = copy("other")
    await manager.load(other, Profile())
    streaming = asyncio.create_task(ask(manager, tiny, ENDLESS))
    await ask_until_text(manager, tiny)
    processes = [worker_of(manager, tiny), worker_of(manager, other)]
    loading = asyncio.create_task(manager.load(copy("third"), Profile()))
    await asyncio.sleep(0)
    await manager.close()
    assert not any(process.is_running() for process in processes)
    assert manager.running() == []
    for task in (streaming, loading):
        with pytest.raises(UnavailableError, match="unloaded"):
            await task
    with pytest.raises(UnavailableError, match="shutting down"):
        await ask(manager, tiny, complete("Hello"))
    children = psutil.Process().children(recursive=True)
    assert not [child for child in children if "dmr_tui.engine" in " ".join(child.cmdline())]
    await manager.close()


async def test_a_missing_engine_says_how_to_get_it(
    manager: EngineManager, tiny: ModelFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = importlib.metadata.version("llama-cpp-python")
    assert manager.backends()["llama.cpp"] == f"Running: llama.cpp {version}"
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert manager.backends() == {"llama.cpp": "Not Installed"}
    with pytest.raises(EngineError, match="not installed") as caught:
        await manager.load(tiny, Profile())
    assert caught.value.hint == (
        "run `pip install llama-cpp-python`, or `pip install xllamacpp` where there is no compiler"
    )
    assert manager.running() == []


def test_the_parent_imports_no_engine() -> None:
    code = "import sys, dmr_tui.engine.manager; print(*sys.modules)"
    names = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"llama_cpp", "numpy", "jinja2"} & set(names)


@pytest.mark.parametrize(
    ("stored", "asked", "budget"),
    [
        (None, Reasoning(), None),
        (0, Reasoning(), 0),
        (9, Reasoning(effort="low"), 9),
        (-1, Reasoning(), None),
        (9, Reasoning(budget=5), 5),
        (9, Reasoning(budget=-1), None),
        (9, Reasoning(enabled=True), 9),
        (0, Reasoning(enabled=True), None),
    ],
)
async def test_a_profile_bounds_thoughts_where_a_request_does_not(
    manager: EngineManager,
    tiny: ModelFiles,
    monkeypatch: pytest.MonkeyPatch,
    stored: int | None,
    asked: Reasoning,
    budget: int | None,
) -> None:
    seen: list[GenerateRequest] = []

    async def generate(request: GenerateRequest) -> AsyncGenerator[Event, None]:
        seen.append(request)
        return
        yield

    profile = Profile(reasoning_budget=stored)
    await manager.load(tiny, profile)
    monkeypatch.setattr(manager._slots[tiny.id].worker, "generate", generate)
    request = ChatRequest([Message("user", "Hi")], reasoning=asked)
    assert [event async for event in manager.generate(tiny, request, profile)] == []
    (got,) = seen
    assert isinstance(got, ChatRequest)
    assert got.reasoning == msgspec.structs.replace(asked, budget=budget)
