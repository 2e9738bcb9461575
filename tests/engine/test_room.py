"""The manager follows the memory plan."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
import pytest

from dmr_tui.engine.context import SEQUENCES
from dmr_tui.engine.files import ModelFiles
from dmr_tui.engine.manager import EngineManager
from dmr_tui.engine.plan import RESERVE, Memory, ModelShape, Wish, host_need
from dmr_tui.engine.profile import Profile
from dmr_tui.engine.questions import EmbedQuestion
from dmr_tui.engine.request import CompletionRequest, Delta, Limits
from dmr_tui.engine.room import free_memory, human
from dmr_tui.errors import EngineError, InsufficientMemoryError
from dmr_tui.runner.shapes import read_shape
from dmr_tui.settings import Settings
from tests.engine.asking import ANY, ENDLESS, ask, ask_until_text, complete
from tests.support.gguf_maker import Shape, write_tiny_bert, write_tiny_llama

Copy = Callable[[str], ModelFiles]

FEW = Limits(max_tokens=4)


@dataclass
class Machine:
    """A machine whose models take memory as planned.

    Of a loaded model it sees `private` bytes as taken: its weights are files, which can be dropped.
    """

    total: int
    private: int = 0
    manager: EngineManager | None = None
    asked: int = field(default=0)

    def memory(self) -> Memory:
        self.asked += 1
        assert self.manager is not None
        taken = sum(model.state == "ready" for model in self.manager.running())
        return Memory(self.total - taken * self.private + RESERVE, self.total + RESERVE)


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    """Its manager's workers end with the test."""
    made = Machine(total=0)
    made.manager = EngineManager(
        settings=Settings(threads=1),
        logs=tmp_path / "logs",
        read_shape=read_shape,
        read_memory=made.memory,
    )
    yield made
    await made.manager.close()


def need(files: ModelFiles, context: int) -> int:
    return host_need(read_shape(files.gguf), Wish(context, context), context, 0).total


def private(files: ModelFiles) -> int:
    return host_need(read_shape(files.gguf), Wish(4096, 4096), 4096, 0).anonymous


def loaded(manager: EngineManager) -> dict[str, int]:
    return {model.name: model.context_size for model in manager.running()}


async def test_a_context_that_nobody_chose_shrinks(machine: Machine, tmp_path: Path) -> None:
    assert machine.manager
    shape = Shape(2, 128, 4, 2, 256, 1024, context=8192)
    files = ModelFiles("x", "x", write_tiny_llama(tmp_path / "x.gguf", shape=shape))
    machine.total = need(files, 5120)
    await machine.manager.load(files, ANY)
    assert loaded(machine.manager) == {"x": 5120}
    # It stays as it is for whoever wants nothing else.
    assert (await ask(machine.manager, files, complete("Hello"))).text
    assert loaded(machine.manager) == {"x": 5120}


async def test_what_was_chosen_is_refused_with_numbers(machine: Machine, tiny: ModelFiles) -> None:
    assert machine.manager
    machine.total = need(tiny, 2048)
    with pytest.raises(InsufficientMemoryError) as caught:
        await machine.manager.load(tiny, Profile(context_size=4096))
    error = caught.value
    assert (error.http_status, error.code) == (507, "insufficient_memory")
    assert f"tiny with a context of 4096 tokens needs {human(need(tiny, 4096))}" in error.message
    assert "cache 2.0 MiB" in error.message
    assert f"{human(machine.total)} are free" in error.message
    assert "a context of 2048 tokens or less" in (error.hint or "")
    assert machine.manager.running() == []
    await machine.manager.load(tiny, Profile(context_size=2048))


async def test_force_loads_all_the_same(machine: Machine, tiny: ModelFiles) -> None:
    assert machine.manager
    machine.total = need(tiny, 2048)
    await machine.manager.load(tiny, Profile(context_size=3072, force=True))
    assert loaded(machine.manager) == {"tiny": 3072}


@pytest.mark.parametrize("force", [None, True])
async def test_an_absurd_context_is_refused_even_with_force(
    machine: Machine, tiny: ModelFiles, force: bool | None
) -> None:
    assert machine.manager
    machine.total = 1 << 40
    with pytest.raises(
        InsufficientMemoryError, match=r"2000000000 tokens needs .* this machine has"
    ):
        await machine.manager.load(tiny, Profile(context_size=2_000_000_000, force=force))
    assert machine.manager.running() == []


async def test_idle_models_leave_the_longest_unused_first(machine: Machine, copy: Copy) -> None:
    assert machine.manager
    a, b, c, d = (copy(name) for name in "abcd")
    machine.total, machine.private = 2 * need(a, 4096), private(a)
    await machine.manager.load(a, ANY)
    await machine.manager.load(b, ANY)
    await ask(machine.manager, a, complete("Hello"))
    await machine.manager.load(c, ANY)
    assert set(loaded(machine.manager)) == {"a", "c"}
    await machine.manager.load(d, ANY)
    assert set(loaded(machine.manager)) == {"c", "d"}


async def test_nobody_leaves_for_a_model_that_does_not_fit_all_the_same(
    machine: Machine, copy: Copy, tmp_path: Path
) -> None:
    def shape_of(gguf: Path) -> ModelShape:
        shape = read_shape(gguf)
        large = shape.input_weights + 10**10
        return replace(shape, input_weights=large) if gguf.stem == "large" else shape

    manager = machine.manager = EngineManager(
        settings=Settings(threads=1),
        logs=tmp_path / "logs",
        read_shape=shape_of,
        read_memory=machine.memory,
    )
    a, large = copy("a"), copy("large")
    machine.total, machine.private = need(a, 4096), private(a)
    await manager.load(a, ANY)
    with pytest.raises(InsufficientMemoryError, match="large with a context"):
        await manager.load(large, ANY)
    assert set(loaded(manager)) == {"a"}
    # What is forced has all the room that there is.
    await manager.load(large, Profile(force=True))
    assert set(loaded(manager)) == {"large"}
    await manager.close()


async def test_a_clock_that_is_set_back_changes_no_order(
    machine: Machine, copy: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert machine.manager
    a, b, c = (copy(name) for name in "abc")
    machine.total, machine.private = 2 * need(a, 4096), private(a)
    await machine.manager.load(a, ANY)
    monkeypatch.setattr("time.time", lambda: 1.0)
    await machine.manager.load(b, ANY)
    await machine.manager.load(c, ANY)
    assert set(loaded(machine.manager)) == {"b", "c"}


async def test_neither_pinned_nor_busy_models_leave(machine: Machine, copy: Copy) -> None:
    assert machine.manager
    pinned, busy, late = (copy(name) for name in ("pinned", "busy", "late"))
    machine.total, machine.private = 2 * need(pinned, 4096), private(pinned)
    await machine.manager.load(pinned, Profile(keep_alive=-1))
    async with aclosing(machine.manager.generate(busy, ENDLESS, ANY)) as events:
        async for event in events:
            if isinstance(event, Delta):
                break
        with pytest.raises(InsufficientMemoryError):
            await machine.manager.load(late, ANY)
        assert set(loaded(machine.manager)) == {"pinned", "busy"}
    await machine.manager.load(late, ANY)
    assert set(loaded(machine.manager)) == {"pinned", "late"}


@pytest.mark.parametrize("short", [False, True])
async def test_what_is_only_remembered_goes_when_memory_is_short(
    machine: Machine, copy: Copy, short: bool
) -> None:
    """Finished conversations beside the planned KV memory are kept in what nobody else needs."""
    assert machine.manager
    a, b = copy("a"), copy("b")
    machine.total, machine.private = 9 * need(a, 4096), private(a)
    pinned = Profile(keep_alive=-1)
    for token in (5, 6):
        await ask(machine.manager, a, CompletionRequest([token] * 200, limits=FEW), pinned)
    if short:
        machine.total = need(a, 4096)
        with pytest.raises(InsufficientMemoryError):
            await machine.manager.load(b, ANY)
    else:
        await machine.manager.load(b, ANY)
    answer = await ask(machine.manager, a, CompletionRequest([5] * 200, limits=FEW), pinned)
    assert answer.finished.usage.cached_tokens == (0 if short else 199)


async def test_nobody_leaves_for_what_can_never_fit(machine: Machine, copy: Copy) -> None:
    assert machine.manager
    a, b = copy("a"), copy("b")
    machine.total = need(a, 4096)
    machine.private = private(a)
    await machine.manager.load(a, ANY)
    with pytest.raises(InsufficientMemoryError):
        await machine.manager.load(b, Profile(context_size=2_000_000_000))
    assert set(loaded(machine.manager)) == {"a"}


async def test_a_refused_load_is_planned_anew(machine: Machine, tiny: ModelFiles) -> None:
    assert machine.manager
    results = await asyncio.gather(
        *(machine.manager.load(tiny, ANY) for _ in range(3)), return_exceptions=True
    )
    assert [type(result) for result in results] == [InsufficientMemoryError] * 3
    assert machine.asked == 1
    machine.total = need(tiny, 4096)
    await machine.manager.load(tiny, ANY)


async def test_a_file_that_cannot_be_planned_is_the_workers_affair(
    machine: Machine, tmp_path: Path
) -> None:
    assert machine.manager
    (tmp_path / "x.gguf").write_bytes(b"garbage")
    with pytest.raises(EngineError, match="invalid magic"):
        await machine.manager.load(ModelFiles("x", "x", tmp_path / "x.gguf"), ANY)


def test_what_this_machine_has() -> None:
    memory = free_memory()
    assert 0 < memory.free < memory.total
    assert memory.device >= 0


SMALL = Shape(4, 256, 8, 4, 1024, 8192, 4096)


@pytest.mark.parametrize("context", [512, 4096])
async def test_the_plan_is_near_the_truth(tmp_path: Path, context: int) -> None:
    gguf = write_tiny_llama(tmp_path / "small.gguf", shape=SMALL)
    files = ModelFiles("small", "small", gguf)
    manager = EngineManager(settings=Settings(threads=2), logs=tmp_path / "logs")
    filled = CompletionRequest([5] * (context - 8), limits=Limits(max_tokens=4))
    await ask(manager, files, filled, Profile(context_size=context))
    (model,) = manager.running()
    real = psutil.Process(model.pid).memory_info().rss
    await manager.close()
    assert need(files, context) == pytest.approx(real, rel=0.1)


async def test_an_embedding_model_is_planned_too(machine: Machine, tmp_path: Path) -> None:
    assert machine.manager
    files = ModelFiles("e", "e", write_tiny_bert(tmp_path / "e.gguf"))
    shape = read_shape(files.gguf)
    machine.total = host_need(shape, Wish(512, 512), 512, 0).total
    # More than it was trained with does it no good, and is not planned.
    await machine.manager.load(files, Profile(context_size=100_000))
    await machine.manager.ask(files, EmbedQuestion([[5] * 512]), ANY)
    (model,) = machine.manager.running()
    real = psutil.Process(model.pid).memory_info().rss
    assert machine.total == pytest.approx(real, rel=0.1)


def test_the_plan_counts_as_many_answers_as_the_worker_takes() -> None:
    assert Wish(1, 1).sequences == SEQUENCES


async def test_a_client_that_leaves_does_not_end_the_load(
    machine: Machine, tiny: ModelFiles
) -> None:
    assert machine.manager
    machine.total = need(tiny, 4096)
    async with aclosing(machine.manager.generate(tiny, ENDLESS, ANY)) as events:
        await anext(events)
    (model,) = machine.manager.running()
    assert (model.state, model.in_use) == ("loading", 0)
    await ask_until_text(machine.manager, tiny)
    assert machine.asked == 1
