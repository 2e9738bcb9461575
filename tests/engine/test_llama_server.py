"""llama-server as second engine: a stand-in program, real processes and sockets."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from dmr_tui.engine import last_words, watchdog
from dmr_tui.engine.backoff import FREE_TRIES
from dmr_tui.engine.files import ModelFiles
from dmr_tui.engine.llama_server import LlamaServer
from dmr_tui.engine.manager import EngineManager
from dmr_tui.engine.profile import Profile
from dmr_tui.engine.programs import Program, find_server
from dmr_tui.engine.questions import PropsQuestion
from dmr_tui.engine.request import Delta
from dmr_tui.errors import (
    ConflictError,
    EngineError,
    InsufficientMemoryError,
    InvalidRequestError,
    UnavailableError,
)
from dmr_tui.runner.remote import RemoteRunner
from dmr_tui.settings import Settings
from tests.engine.asking import ANY, ask, chat, worker_of
from tests.support import llama_server

CHOSEN = Profile(backend="llama-server")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return llama_server.write(tmp_path)


@pytest.fixture
async def manager(tmp_path: Path, program: Path) -> AsyncIterator[EngineManager]:
    """A manager that has both engines."""
    made = EngineManager(
        settings=Settings(threads=1, llama_server=str(program)),
        logs=tmp_path / "logs",
        connect=RemoteRunner,
    )
    yield made
    await made.close()


def socket_of(process: psutil.Process) -> Path:
    line = process.cmdline()
    return Path(line[line.index("--host") + 1])


async def test_a_profile_chooses_it(manager: EngineManager, tiny: ModelFiles) -> None:
    answer = await ask(manager, tiny, chat("Hello"), CHOSEN)
    assert answer.text == "You said: Hello"
    assert answer.finished.usage.prompt_tokens == 7
    (model,) = manager.running()
    assert (model.backend, model.state, model.mode) == ("llama-server", "ready", "completion")
    assert model.context_size == llama_server.CONTEXT_SIZE
    assert model.memory > 1_000_000
    assert (await manager.ask(tiny, PropsQuestion(), CHOSEN)).sequences == 4
    # It suits whoever does not care, and not whoever wants the other one.
    assert (await ask(manager, tiny, chat("Hello"), ANY)).text == "You said: Hello"
    process, socket = worker_of(manager, tiny), socket_of(worker_of(manager, tiny))
    assert socket.parent.stat().st_mode & 0o777 == 0o700
    await manager.load(tiny, Profile(backend="llama.cpp"))
    assert [model.backend for model in manager.running()] == ["llama.cpp"]
    assert not process.is_running()
    assert not socket.parent.exists()


async def test_every_answer_is_whole_although_connections_are_closed(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    for number in range(60):
        assert (await ask(manager, tiny, chat(f"{number}"), CHOSEN)).text == f"You said: {number}"


async def test_its_options(
    manager: EngineManager, tiny: ModelFiles, tmp_path: Path, program: Path
) -> None:
    template = tmp_path / "x.jinja"
    adapters = (tmp_path / "style.gguf",)
    files = replace(
        tiny, mmproj=tmp_path / "mmproj.gguf", chat_template=template, adapters=adapters
    )
    # Models with images go to it unasked.
    await manager.load(files, Profile(context_size=1024, gpu_layers=3))
    line = worker_of(manager, files).cmdline()
    given = dict(itertools.pairwise(line))
    assert str(program) in line
    assert given["--model"] == str(tiny.gguf)
    assert given["--ctx-size"] == "1024"
    assert given["--n-gpu-layers"] == "3"
    assert given["--threads"] == "1"
    assert given["--lora"] == str(adapters[0])
    assert given["--mmproj"] == str(files.mmproj)
    assert given["--chat-template-file"] == str(template)
    log = (tmp_path / "logs" / "tiny.log").read_text()
    assert "I options --model" in log


async def test_who_leaves_frees_it(
    manager: EngineManager, tiny: ModelFiles, tmp_path: Path
) -> None:
    async with aclosing(manager.generate(tiny, chat("endless"), CHOSEN)) as events:
        async for event in events:
            if isinstance(event, Delta):
                break
    log = tmp_path / "logs" / "tiny.log"
    while "the client left" not in log.read_text():
        await asyncio.sleep(0.01)
    assert not manager.in_use(tiny.id)


async def test_its_death_is_told_and_it_is_replaced(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    with pytest.raises(EngineError, match=r"the worker died: killed by signal 6 \(SIGABRT\)"):
        await ask(manager, tiny, chat("die"), CHOSEN)
    assert manager.running() == []
    assert (await ask(manager, tiny, chat("Hello"), CHOSEN)).text == "You said: Hello"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Servers that start from now on are looked after all the time; undo it for a normal life."""
    monkeypatch.setattr(watchdog, "SILENCE", 0.05)
    return monkeypatch


async def test_one_that_hangs_is_ended_and_replaced(
    manager: EngineManager, tiny: ModelFiles, tmp_path: Path, impatient: pytest.MonkeyPatch
) -> None:
    async with aclosing(manager.generate(tiny, chat("endless"), CHOSEN)) as events:
        async for event in events:
            if isinstance(event, Delta):
                break
        process = worker_of(manager, tiny)
        process.suspend()
        impatient.setattr(watchdog, "HEALTH_SILENCE", 0.2)

        async def listen() -> None:
            async for _ in events:
                pass

        failures = await asyncio.gather(
            listen(),
            ask(manager, tiny, chat("Hello")),
            manager.ask(tiny, PropsQuestion(), ANY),
            return_exceptions=True,
        )
    for error in failures:
        assert isinstance(error, EngineError)
        assert "was stuck: it said nothing for 0.05 s and was ended" in error.message
        assert error.hint == f"its log: {tmp_path / 'logs' / 'tiny.log'}"
    assert not process.is_running()
    assert manager.running() == []
    impatient.undo()
    assert (await ask(manager, tiny, chat("Hello"), CHOSEN)).text == "You said: Hello"


async def test_one_that_hangs_while_it_loads_has_to_wait(
    manager: EngineManager, copy: Callable[[str], ModelFiles], impatient: pytest.MonkeyPatch
) -> None:
    impatient.setattr(watchdog, "HEALTH_SILENCE", 0.5)
    frozen = copy(llama_server.FROZEN)
    for _ in range(FREE_TRIES):
        with pytest.raises(EngineError, match=r"cannot load .*frozen\.gguf: the worker was stuck"):
            await manager.load(frozen, CHOSEN)
    with pytest.raises(EngineError, match="frozen died 2 times and answered nothing"):
        await manager.load(frozen, CHOSEN)


async def test_a_long_prompt_is_no_hang(
    manager: EngineManager, tiny: ModelFiles, impatient: pytest.MonkeyPatch
) -> None:
    await manager.load(tiny, CHOSEN)
    process = worker_of(manager, tiny)
    # It answers after a few looks at its health, and nothing else makes it.
    assert (await ask(manager, tiny, chat("long"), CHOSEN)).text == "You said: long"
    assert worker_of(manager, tiny) == process


async def test_one_that_is_idle_is_not_asked(
    manager: EngineManager, tiny: ModelFiles, impatient: pytest.MonkeyPatch
) -> None:
    await manager.load(tiny, CHOSEN)
    worker = manager._slots[tiny.id].worker
    assert isinstance(worker, LlamaServer)
    impatient.setattr(watchdog, "SILENCE", 0.0)
    assert not worker._watchdog.stuck
    assert not worker._guard.done()


async def test_a_server_responds_or_does_not(tmp_path: Path, impatient: pytest.MonkeyPatch) -> None:
    address = tmp_path / "x.sock"
    assert await watchdog.responds(address, "/health")  # there is nothing yet
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(address))
        assert await watchdog.responds(address, "/health")  # it does not listen yet
        deaf.listen(0)
        impatient.setattr(watchdog, "HEALTH_SILENCE", 0.05)
        for _ in range(3):  # the line of those who wait for it is full after the first
            assert not await watchdog.responds(address, "/health")


async def test_a_load_that_fails_gives_its_reason(manager: EngineManager, tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"garbage")
    files = ModelFiles("x", "x", tmp_path / "x.gguf")
    with pytest.raises(EngineError, match=r"cannot load .*x\.gguf: .* invalid magic characters"):
        await manager.load(files, CHOSEN)


async def test_unloading_ends_a_stream(manager: EngineManager, tiny: ModelFiles) -> None:
    async with aclosing(manager.generate(tiny, chat("endless"), CHOSEN)) as events:
        async for event in events:
            if isinstance(event, Delta):
                break
        closing = asyncio.create_task(manager.close())
        with pytest.raises(UnavailableError, match="tiny was unloaded"):
            async for _ in events:
                pass
        await closing


async def test_it_takes_what_the_built_in_engine_dies_of(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    load = asyncio.create_task(manager.load(tiny, ANY))
    while not (manager.running() and manager.running()[0].pid):
        await asyncio.sleep(0)
    os.kill(manager.running()[0].pid, signal.SIGSEGV)
    await load
    assert [model.backend for model in manager.running()] == ["llama-server"]


async def test_it_takes_what_the_built_in_engine_cannot_load(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    # A file that says it is of an architecture that llama-cpp-python does not know yet.
    data = tiny.gguf.read_bytes()
    other = tiny.gguf.with_name("new.gguf")
    other.write_bytes(data.replace(b"llama", b"zlama"))
    await manager.load(ModelFiles("new", "new", other), ANY)
    assert [model.backend for model in manager.running()] == ["llama-server"]


async def test_what_neither_can_load_has_the_built_in_engines_reason(
    manager: EngineManager, tmp_path: Path
) -> None:
    (tmp_path / "x.gguf").write_bytes(b"garbage")
    files = ModelFiles("x", "x", tmp_path / "x.gguf")
    with pytest.raises(
        EngineError, match=r"cannot load .*x\.gguf: invalid magic characters"
    ) as own:
        await manager.load(files, Profile(backend="llama.cpp"))
    for _ in range(FREE_TRIES + 1):
        with pytest.raises(EngineError) as both:
            await manager.load(files, ANY)
        assert both.value.message == own.value.message


async def test_the_systems_own_kill_is_told_as_such(
    manager: EngineManager, tiny: ModelFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills = itertools.count()
    monkeypatch.setattr(last_words, "out_of_memory_kills", lambda: next(kills))
    async with aclosing(manager.generate(tiny, chat("endless"), CHOSEN)) as events:
        await anext(events)
        async for event in events:
            if isinstance(event, Delta):
                break
        worker_of(manager, tiny).kill()
        with pytest.raises(InsufficientMemoryError, match="ran out of memory and killed"):
            async for _ in events:
                pass
    load = asyncio.create_task(manager.load(tiny, CHOSEN))
    while not (manager.running() and manager.running()[0].pid):
        await asyncio.sleep(0)
    os.kill(manager.running()[0].pid, signal.SIGKILL)
    with pytest.raises(InsufficientMemoryError, match=r"cannot load .*ran out of memory"):
        await load


async def test_a_log_that_cannot_be_written_is_told(
    manager: EngineManager, tiny: ModelFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "logs").write_text("not a folder")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "sockets"))
    (tmp_path / "sockets").mkdir()
    with pytest.raises(EngineError, match=r"cannot load .*cannot be started: .*logs"):
        await manager.load(tiny, CHOSEN)
    assert list((tmp_path / "sockets").iterdir()) == []
    (tmp_path / "sockets").rmdir()
    with pytest.raises(EngineError, match=r"cannot load .*no place for its socket"):
        await manager.load(tiny, CHOSEN)


async def test_one_that_cannot_be_killed_is_let_be(
    manager: EngineManager, tiny: ModelFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with aclosing(manager.generate(tiny, chat("endless"), CHOSEN)) as events:
        async for event in events:
            if isinstance(event, Delta):
                break
        process = worker_of(manager, tiny)
        process.suspend()
        while process.status() != psutil.STATUS_STOPPED:
            await asyncio.sleep(0.01)
        monkeypatch.setattr(Process, "terminate", lambda self: None)
        monkeypatch.setattr(Process, "kill", lambda self: None)
        monkeypatch.setattr("dmr_tui.engine.llama_server._PATIENCE", 0.05)
        monkeypatch.setattr("dmr_tui.engine.llama_server.LAST_PATIENCE", 0.05)
        async with asyncio.timeout(60):
            closing = asyncio.create_task(manager.close())
            with pytest.raises(UnavailableError, match="tiny was unloaded"):
                async for _ in events:
                    pass
            await closing
    monkeypatch.undo()
    process.kill()
    await asyncio.to_thread(process.wait, 30)


async def test_a_choice_that_cannot_be_had(tmp_path: Path, tiny: ModelFiles) -> None:
    alone = EngineManager(settings=Settings(llama_server=str(tmp_path)), logs=tmp_path)
    with pytest.raises(EngineError, match="llama-server is not installed"):
        await alone.load(tiny, CHOSEN)
    with pytest.raises(InvalidRequestError, match="no engine 'vulkan'"):
        await alone.load(tiny, Profile(backend="vulkan"))
    assert "llama-server" not in alone.backends()


async def test_who_answers_does_not_change_engines(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    async with aclosing(manager.generate(tiny, chat("endless"), CHOSEN)) as events:
        async for event in events:
            if isinstance(event, Delta):
                break
        with pytest.raises(ConflictError):
            await manager.load(tiny, Profile(backend="llama.cpp"))


def test_where_it_is_found(
    tmp_path: Path, program: Path, monkeypatch: pytest.MonkeyPatch, manager: EngineManager
) -> None:
    found = Program((str(program),), str(program))
    assert find_server(str(program)) == find_server(str(tmp_path)) == found
    assert manager.backends()["llama-server"] == f"Installed: {program}"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_server("") == found
    program.chmod(0o644)
    # Now it is no program any more, but the wheel is there.
    wheel = find_server("xllamacpp")
    assert find_server("") == wheel
    assert wheel is not None
    assert wheel.shown.startswith("xllamacpp 20")
    assert find_server(str(program)) is None
    assert find_server(str(tmp_path / "none")) is None


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends it")
def test_it_ends_with_its_parent(tiny: ModelFiles, program: Path, tmp_path: Path) -> None:
    code = """
import asyncio, sys
from pathlib import Path
from dmr_tui.engine.spawn import spawn_server
async def main(log, *command):
    process = await spawn_server(list(command), Path(log))
    print(process.pid, flush=True)
    await asyncio.Event().wait()
asyncio.run(main(*sys.argv[1:]))
"""
    command = [sys.executable, "-c", code, str(tmp_path / "log"), "/bin/sleep", "600"]
    end_with_its_parent(command)


def end_with_its_parent(command: list[str]) -> None:
    """Run what starts a `sleep` and prints its id; kill it; the other ends, too."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        while child.name() != "sleep":
            pass
        parent.kill()
    psutil.wait_procs([child], timeout=30)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_it_ends_with_its_parent_where_the_kernel_does_nothing() -> None:
    watched = "import os; from dmr_tui.engine import tether; tether.post_watch(os.getppid());"
    watched += "os.execv('/bin/sleep', ['/bin/sleep', '600'])"
    code = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {watched!r}])
print(child.pid, flush=True)
child.wait()
"""
    end_with_its_parent([sys.executable, "-c", code])


def test_its_watch_ends_with_it() -> None:
    code = "from dmr_tui.engine import tether; import os; tether.post_watch(os.getppid());"
    code += "print(flush=True); input()"
    with psutil.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout.readline()
        (watch,) = child.children()
        child.kill()
    assert psutil.wait_procs([watch], timeout=30)[1] == []


def test_it_does_not_begin_without_its_parent(tmp_path: Path) -> None:
    late = [sys.executable, "-m", "dmr_tui.engine.tether", "1", "/bin/touch", str(tmp_path / "x")]
    assert subprocess.run(late, check=False, capture_output=True).returncode == 1
    assert not (tmp_path / "x").exists()
