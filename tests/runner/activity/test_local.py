"""What a real runner tells of real models."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from dmr_tui.engine.profile import Profile
from dmr_tui.engine.questions import TokenizeQuestion
from dmr_tui.engine.request import ChatRequest, Delta, Limits, Message, Sampling
from dmr_tui.errors import DmrError, ModelNotFoundError, RegistryError
from dmr_tui.paths import Paths
from dmr_tui.runner.activity.records import RunnerEvent
from dmr_tui.runner.local import LocalRunner
from dmr_tui.settings import Settings
from dmr_tui.store.package import package_gguf
from dmr_tui.store.reference import parse_reference
from dmr_tui.store.store import Store

NAME = "docker.io/my/m:latest"
PATIENCE = 30.0


def ask(tokens: int) -> ChatRequest:
    return ChatRequest(
        [Message("user", "Hello")],
        sampling=Sampling(temperature=0),
        limits=Limits(max_tokens=tokens),
    )


@pytest.fixture
async def runner(tmp_path: Path, tiny_gguf: Path) -> AsyncIterator[LocalRunner]:
    paths = Paths(tmp_path / "data", tmp_path / "config", tmp_path / "state")
    package_gguf(Store(paths.models), tiny_gguf, parse_reference("my/m"))
    runner = LocalRunner.open(paths, Settings(threads=1), client="dmr tui")
    yield runner
    await runner.close()


async def events(runner: LocalRunner) -> list[RunnerEvent]:
    async with aclosing(runner.activity()) as changes:
        return (await anext(changes)).events


async def test_a_request_of_this_process_and_the_life_of_its_model(
    runner: LocalRunner, tmp_path: Path
) -> None:
    texts = [e.text async for e in runner.generate("my/m", ask(5)) if isinstance(e, Delta)]
    await runner.ask("my/m", TokenizeQuestion("x"))
    assert runner.journal is not None
    (record,) = runner.journal.requests()
    assert (record.client, record.model, record.status) == ("dmr tui", "my/m", 200)
    assert record.model_id == (await runner.model("my/m")).id
    assert record.completion_tokens == 5
    assert record.prompt_tokens
    assert record.load_seconds is not None
    assert record.first_token_seconds is not None
    assert record.load_seconds <= record.first_token_seconds
    kept = await runner.bodies(record.id)
    assert kept is not None
    assert "".join(texts)[:1] in kept.response
    await runner.unload(["my/m"])
    await runner.generate("my/m", ask(1)).aclose()
    loaded, unloaded = await events(runner)
    assert (loaded.kind, loaded.model) == ("load", NAME)
    assert loaded.text.startswith("loaded in ")
    assert "context " in loaded.text
    assert (unloaded.kind, unloaded.level) == ("unload", "info")
    assert "freed" in unloaded.text
    await runner.close_log()
    lines = [line async for batch in runner.logs() for line in batch]
    assert {"load", "unload", "chat"} <= {line.source for line in lines if not line.engine}
    (about_vocabulary, *_) = [line for line in lines if line.engine]
    assert about_vocabulary.source == "my_m"
    assert about_vocabulary.time > loaded.time - 60
    own = [line async for batch in runner.logs(engines=False) for line in batch]
    assert own == [line for line in lines if not line.engine]


async def test_leaving_an_answer_is_499(runner: LocalRunner) -> None:
    async with aclosing(runner.generate("my/m", ask(4000))) as answer:
        async for event in answer:
            if isinstance(event, Delta):
                break
    assert runner.journal is not None
    assert runner.journal.requests()[-1].status == 499


async def test_a_failed_request_is_a_warning_that_names_it(runner: LocalRunner) -> None:
    with pytest.raises(ModelNotFoundError):
        await anext(runner.generate("my/none", ask(1)))
    (event,) = await events(runner)
    assert runner.journal is not None
    assert event.request == runner.journal.requests()[0].id
    assert (event.kind, event.level, event.model) == ("warning", "warn", "my/none")
    assert event.text.startswith("dmr tui: ")


async def test_a_killed_worker_is_a_crash(runner: LocalRunner) -> None:
    await runner.load("my/m")
    (model,) = await runner.running()
    os.kill(model.pid, signal.SIGKILL)
    async with asyncio.timeout(PATIENCE):
        while not (told := [each for each in await events(runner) if each.kind == "crash"]):
            await asyncio.sleep(0.02)
    assert "SIGKILL" in told[0].text
    assert told[0].level == "error"
    assert told[0].hint


async def test_an_idle_model_is_evicted(runner: LocalRunner) -> None:
    await runner.load("my/m", profile=Profile(keep_alive=0.05))
    async with asyncio.timeout(PATIENCE):
        while not (told := [each for each in await events(runner) if each.kind == "evict"]):
            await asyncio.sleep(0.02)
    assert told[0].text.startswith("idle for 0.05 s, freed ")


async def test_a_model_that_cannot_be_loaded(runner: LocalRunner, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(DmrError):
        await runner.load(str(broken))
    told = (await events(runner))[-1]
    assert (told.kind, told.level, told.model) == ("load", "error", "broken.gguf")
    assert told.text.startswith("not loaded: ")


async def test_a_pull_that_fails(runner: LocalRunner) -> None:
    with pytest.raises(RegistryError):
        async for _ in runner.pull("127.0.0.1:9/no/where"):
            pass
    (told,) = await events(runner)
    assert (told.kind, told.level, told.model) == ("pull", "error", "127.0.0.1:9/no/where:latest")
