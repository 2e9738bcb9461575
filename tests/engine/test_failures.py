"""Workers die, models are broken, templates are hostile: the manager stays."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from dmr_tui.engine.files import ModelFiles
from dmr_tui.engine.manager import EngineManager
from dmr_tui.engine.profile import Profile
from dmr_tui.errors import EngineError, InvalidRequestError
from tests.engine.asking import ENDLESS, ask, ask_until_text, chat, complete, worker_of
from tests.support.gguf_maker import write_tiny_llama

Damage = Callable[[bytes], bytes]


async def test_a_killed_worker_is_told_and_replaced(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    waiting = asyncio.create_task(ask(manager, tiny, ENDLESS))
    await ask_until_text(manager, tiny)
    second = asyncio.create_task(ask(manager, tiny, ENDLESS))
    await ask_until_text(manager, tiny)
    worker_of(manager, tiny).kill()
    with pytest.raises(EngineError) as caught:
        await second
    assert str(tiny.gguf) in caught.value.message
    assert "killed by signal 9 (SIGKILL)" in caught.value.message
    assert "tiny.log" in (caught.value.hint or "")
    with pytest.raises(EngineError, match="SIGKILL"):
        await waiting
    assert manager.running() == []
    assert (await ask(manager, tiny, complete("Hello"))).text


async def test_a_worker_that_dies_while_idle_is_replaced(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    await manager.load(tiny, Profile())
    process = worker_of(manager, tiny)
    process.kill()
    while manager.running():
        await asyncio.sleep(0.001)
    assert await manager.unload() == 0
    assert (await ask(manager, tiny, complete("Hello"))).text


async def test_a_worker_that_dies_while_loading_is_told(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    load = asyncio.create_task(manager.load(tiny, Profile()))
    while not (manager.running() and manager.running()[0].pid):
        await asyncio.sleep(0)
    os.kill(manager.running()[0].pid, signal.SIGSEGV)
    with pytest.raises(EngineError, match=r"cannot load .*tiny\.gguf: .*SIGSEGV"):
        await load
    await manager.load(tiny, Profile())


async def test_a_stopped_worker_ends_all_the_same(
    manager: EngineManager, tiny: ModelFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dmr_tui.engine.worker._PATIENCE", 0.05)
    await manager.load(tiny, Profile())
    process = worker_of(manager, tiny)
    process.suspend()
    assert await manager.unload() == 1
    assert not process.is_running()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: b"garbage" * 99, "invalid magic characters"),
        (lambda data: data[:200], "exceeds remaining file size"),
        (lambda data: data[:-5000], "data is not within the file bounds"),
        (lambda data: b"", "failed to read magic"),
        (lambda data: data.replace(b"block_count", b"block_c0unt"), "block_count"),
    ],
)
async def test_a_broken_file_says_what_is_wrong(
    manager: EngineManager, tiny: ModelFiles, tmp_path: Path, damage: Damage, reason: str
) -> None:
    file = tmp_path / "broken.gguf"
    file.write_bytes(damage(tiny.gguf.read_bytes()))
    broken = ModelFiles(id="sha256:broken", name="broken", gguf=file)
    with pytest.raises(EngineError) as caught:
        await ask(manager, broken, complete("Hello"))
    assert caught.value.message.startswith(f"cannot load {file}: ")
    assert reason in caught.value.message
    assert manager.running() == []
    file.write_bytes(tiny.gguf.read_bytes())
    assert (await ask(manager, broken, complete("Hello"))).text


async def test_a_missing_file_is_named(manager: EngineManager, tmp_path: Path) -> None:
    missing = ModelFiles(id="sha256:missing", name="missing", gguf=tmp_path / "none.gguf")
    loads = [manager.load(missing, Profile()) for _ in range(2)]
    for failure in await asyncio.gather(*loads, return_exceptions=True):
        assert isinstance(failure, EngineError)
        assert "No such file" in failure.message


async def test_an_unreadable_template_is_a_failed_load(
    manager: EngineManager, tiny: ModelFiles, tmp_path: Path
) -> None:
    model = ModelFiles("sha256:x", "x", tiny.gguf, chat_template=tmp_path / "none.jinja")
    with pytest.raises(EngineError, match=r"template cannot be read: .*none\.jinja"):
        await manager.load(model, Profile())


HANGS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


@pytest.fixture
def hostile(tmp_path: Path) -> ModelFiles:
    """A model whose template never ends."""
    file = write_tiny_llama(tmp_path / "hostile.gguf", chat_template=HANGS)
    return ModelFiles(id="sha256:hostile", name="hostile", gguf=file)


async def test_a_template_that_never_ends_can_be_unloaded(
    manager: EngineManager, hostile: ModelFiles
) -> None:
    await manager.load(hostile, Profile())
    process = worker_of(manager, hostile)
    before = process.cpu_times().user
    asking = asyncio.create_task(ask(manager, hostile, chat("Hi")))
    while process.cpu_times().user < before + 0.1:
        await asyncio.sleep(0.001)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await manager.unload() == 1
    assert not process.is_running()


async def test_a_broken_template_leaves_completions(manager: EngineManager, tmp_path: Path) -> None:
    file = write_tiny_llama(tmp_path / "broken.gguf", chat_template="{% for x in %}")
    model = ModelFiles(id="sha256:broken", name="broken", gguf=file)
    assert (await ask(manager, model, complete("Hello"))).text
    with pytest.raises(InvalidRequestError, match="template is broken: line 1"):
        await ask(manager, model, chat("Hello"))
    assert (await ask(manager, model, complete("Hello"))).text


async def test_an_idle_worker_costs_no_processor(manager: EngineManager, tiny: ModelFiles) -> None:
    await ask(manager, tiny, complete("Hello"), Profile(threads=2))
    process = worker_of(manager, tiny)

    def spent() -> float:
        times = process.cpu_times()
        return times.user + times.system

    # One tick of the kernel's clock is 0.01 s; a spinning thread would take 20 of them.
    before = spent()
    await asyncio.to_thread(psutil.cpu_percent, 0.2)
    assert spent() - before <= 0.02


async def test_the_workers_environment(
    manager: EngineManager, tiny: ModelFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    await manager.load(tiny, Profile())
    environment = worker_of(manager, tiny).environ()
    assert environment["GOMP_SPINCOUNT"] == "1000"
    assert environment["GGML_NO_BACKTRACE"] == "1"
    await manager.unload()
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    await manager.load(tiny, Profile())
    assert "GOMP_SPINCOUNT" not in worker_of(manager, tiny).environ()


async def test_nothing_is_imported_from_the_current_folder(
    manager: EngineManager, tiny: ModelFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "queue.py").write_text("raise SystemExit('taken over')")
    monkeypatch.chdir(tmp_path)
    assert (await ask(manager, tiny, complete("Hello"))).text


PARENT = """
import asyncio, sys
from pathlib import Path
from dmr_tui.engine.files import ModelFiles
from dmr_tui.engine.manager import EngineManager
from dmr_tui.engine.profile import Profile
from dmr_tui.engine.request import CompletionRequest, Delta
from dmr_tui.settings import Settings

async def main(gguf, logs):
    manager = EngineManager(settings=Settings(threads=1), logs=Path(logs))
    files = ModelFiles(id="x", name="x", gguf=Path(gguf))
    async for event in manager.generate(files, CompletionRequest("Hello"), Profile()):
        if isinstance(event, Delta):
            print(manager.running()[0].pid, flush=True)
            await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_no_orphan_when_the_parent_is_killed(
    tiny: ModelFiles, tmp_path: Path, end: signal.Signals
) -> None:
    command = [sys.executable, "-c", PARENT, str(tiny.gguf), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = psutil.Process(int(parent.stdout.readline()))
        parent.send_signal(end)
    psutil.wait_procs([worker], timeout=30)
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE


async def test_ctrl_c_at_the_terminal_is_not_for_workers(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    await manager.load(tiny, Profile())
    process = worker_of(manager, tiny)
    assert os.getpgid(process.pid) != os.getpgid(0)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_what_native_code_prints_goes_to_the_log(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    await ask_until_text(manager, tiny)
    process = worker_of(manager, tiny)
    targets = {number: os.readlink(f"/proc/{process.pid}/fd/{number}") for number in range(3)}
    assert targets[0] == os.devnull
    assert targets[1] == targets[2]
    assert targets[1].endswith("tiny.log")
