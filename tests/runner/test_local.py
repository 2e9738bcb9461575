"""The local runner over a real store and real workers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from dmr_tui.engine.profile import Profile
from dmr_tui.engine.request import ChatRequest, Delta, Finished, Limits, Message, Sampling, Started
from dmr_tui.errors import ConflictError, InvalidRequestError, ModelNotFoundError
from dmr_tui.paths import Paths
from dmr_tui.runner.local import LocalRunner
from dmr_tui.settings import Settings
from dmr_tui.store.locking import locked
from dmr_tui.store.package import package_gguf
from dmr_tui.store.reference import parse_reference
from dmr_tui.store.store import Store
from tests.support.hub import hub_stand_in


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
    runner = LocalRunner.open(paths, Settings())
    yield runner
    await runner.close()


async def test_an_answer_is_started_deltas_finished(runner: LocalRunner) -> None:
    events = [event async for event in runner.generate("my/m", ask(5))]
    started = next(event for event in events if isinstance(event, Started))
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.reason == "length"
    assert finished.usage.prompt_tokens == started.prompt_tokens > 0
    assert sum(e.tokens for e in events if isinstance(e, Delta)) == 5


async def test_a_name_and_an_id_share_one_worker(runner: LocalRunner) -> None:
    model = await runner.model("my/m")
    await runner.load("my/m")
    await runner.load(model.id)
    assert [running.id for running in await runner.running()] == [model.id]


async def test_a_model_that_answers_is_neither_removed_nor_configured(runner: LocalRunner) -> None:
    async with aclosing(runner.generate("my/m", ask(4000))) as events:
        async for event in events:
            if isinstance(event, Delta):
                break
        with pytest.raises(ConflictError):
            await runner.remove("my/m")
        with pytest.raises(ConflictError):
            await runner.configure("my/m", Profile(context_size=512))
    steps = await runner.remove("my/m")
    assert steps[0].untagged == "docker.io/my/m:latest"
    assert await runner.models() == []
    assert await runner.running() == []


async def test_settings_of_a_model_hold_from_its_next_load_on(runner: LocalRunner) -> None:
    await runner.load("my/m")
    await runner.configure("my/m", Profile(context_size=512, keep_alive=-1))
    assert await runner.running() == []
    await runner.load("my/m")
    (running,) = await runner.running()
    assert (running.context_size, running.keep_alive) == (512, -1)


async def test_a_file_written_anew_is_another_model(
    runner: LocalRunner, tiny_gguf: Path, tmp_path: Path
) -> None:
    file = tmp_path / "copy.gguf"
    for time in (1, 2):
        file.write_bytes(tiny_gguf.read_bytes())
        os.utime(file, (time, time))
        await runner.load(str(file))
    names = [(running.name, running.id) for running in await runner.running()]
    assert [name for name, _ in names] == ["copy.gguf"] * 2
    assert len(set(names)) == 2


async def test_a_path_that_is_not_there_is_named(runner: LocalRunner, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match=r"nowhere\.gguf: No such file"):
        await runner.load(str(tmp_path / "nowhere.gguf"))


async def test_an_unknown_model_is_said_so_by_every_method(runner: LocalRunner) -> None:
    with pytest.raises(ModelNotFoundError):
        await runner.load("no/such")
    with pytest.raises(ModelNotFoundError):
        await runner.tag("no/such", "other")
    with pytest.raises(ModelNotFoundError):
        async for _ in runner.generate("no/such", ask(1)):
            pass


async def test_a_token_is_taken_for_the_hub_only(runner: LocalRunner) -> None:
    for transfer in (runner.pull, runner.push):
        with pytest.raises(InvalidRequestError, match="bearer-token") as caught:
            async for _ in transfer("localhost:1/a/b", token="hf_mine"):
                pass
        assert caught.value.param == "bearer-token"
        assert "hf_mine" not in str(caught.value)
    with hub_stand_in() as hub, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", f"http://{hub.host}")
        with pytest.raises(ModelNotFoundError):
            async for _ in runner.pull("hf.co/Org/None", token="hf_mine"):
                pass
        assert {asked.headers.get("authorization") for asked in hub.seen} == {"Bearer hf_mine"}
    async with aclosing(runner.activity()) as told:
        kept = await anext(told)
    assert [event.model for event in kept.events] == ["huggingface.co/org/none:latest"]
    assert "hf_mine" not in repr(kept)


async def test_listing_starts_no_engine(runner: LocalRunner) -> None:
    assert [model.tags for model in await runner.models()] == [["docker.io/my/m:latest"]]
    assert await runner.unload() == 0
    assert await runner.running() == []


async def test_two_askers_are_answered_side_by_side(runner: LocalRunner) -> None:
    async def text() -> str:
        events = [event async for event in runner.generate("my/m", ask(20))]
        return "".join(event.text for event in events if isinstance(event, Delta))

    alone = await text()
    together = await asyncio.gather(text(), text(), text())
    assert set(together) == {alone}


async def test_a_loaded_model_is_safe_from_other_processes_while_its_worker_lives(
    runner: LocalRunner, tmp_path: Path
) -> None:
    elsewhere = Store(tmp_path / "data" / "models")
    async with aclosing(runner.generate("my/m", ask(4000))) as events:
        async for event in events:
            if isinstance(event, Delta):
                break
        with pytest.raises(ConflictError, match=str(os.getpid())):
            elsewhere.remove("my/m")
    (running,) = await runner.running()
    with pytest.raises(ConflictError, match=f"process {running.pid}"):
        elsewhere.remove("my/m")
    await runner.load("my/m")
    await runner.unload()
    with locked(elsewhere.root):
        assert elsewhere.leases.living() == []
    assert elsewhere.remove("my/m")[-1][0] == "Deleted"


async def test_purge_unloads_and_removes_everything(runner: LocalRunner, tmp_path: Path) -> None:
    async with aclosing(runner.generate("my/m", ask(4000))) as events:
        async for event in events:
            if isinstance(event, Delta):
                break
        with pytest.raises(ConflictError):
            await runner.purge()
    await runner.purge()
    assert await runner.running() == []
    assert await runner.models() == []
    assert list((tmp_path / "data" / "models").iterdir()) == []


async def test_disk_usage_tells_models_from_what_nobody_needs(
    runner: LocalRunner, tmp_path: Path
) -> None:
    usage = await runner.disk_usage()
    assert usage.models > 400_000
    Store(tmp_path / "data" / "models").blobs.put(b"loose")
    assert (await runner.disk_usage()).unused == 5
    assert (await runner.disk_usage()).models == usage.models


async def test_an_exported_model_can_be_loaded_elsewhere(
    runner: LocalRunner, tmp_path: Path
) -> None:
    paths = Paths(tmp_path / "d2", tmp_path / "c2", tmp_path / "s2")
    other = LocalRunner.open(paths, Settings())
    model = await runner.model("my/m")
    assert await other.load_archive(runner.export("my/m")) == model.id
    assert [each.tags for each in await other.models()] == [[]]


async def test_an_export_that_nobody_reads_on_ends(runner: LocalRunner) -> None:
    async with aclosing(runner.export("my/m")) as chunks:
        async for _ in chunks:
            break
    with pytest.raises(ModelNotFoundError):
        await anext(runner.export("no/such"))


async def test_an_archive_that_breaks_off_or_is_waited_for_no_more_ends_the_load(
    runner: LocalRunner,
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        async with aclosing(runner.export("my/m")) as chunks:
            async for chunk in chunks:
                yield chunk[:2000]
                break

    with pytest.raises(InvalidRequestError):
        await runner.load_archive(broken())

    waiting = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b""
        waiting.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(runner.load_archive(endless()))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_repackaging_shares_the_files(runner: LocalRunner) -> None:
    assert await runner.repackage("my/m", "small", context_size=64) == "docker.io/ai/small:latest"
    small, whole = await runner.model("small"), await runner.model("my/m")
    assert small.config.context_size == 64
    files = await runner.files()
    assert len(files[small.id]) == len(files[whole.id]) == 2
    ((weights, size),) = files[small.id].items() & files[whole.id].items()
    assert weights.startswith("sha256:")
    assert size > 100_000
    with pytest.raises(InvalidRequestError):
        await runner.repackage("my/m", "small", context_size=0)


async def test_what_a_load_would_take_is_told_and_read_once(
    runner: LocalRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = await runner.model("my/m")
    unknown = "sha256:" + "0" * 64
    fit, nothing = await runner.fits([model.id, unknown])
    assert nothing is None
    assert fit is not None
    assert fit.fits
    assert fit.context == fit.trained_context == fit.largest_context
    (small,) = await runner.fits([model.id], context=256)
    assert small is not None
    assert small.context == 256
    assert small.cache < fit.cache
    await runner.configure("my/m", Profile(context_size=512))
    (chosen,) = await runner.fits([model.id])
    assert chosen is not None
    assert chosen.context == 512

    def unread(path: Path) -> None:
        raise AssertionError(f"{path} was read again")

    monkeypatch.setattr("dmr_tui.runner.fitting.read_header", unread)
    paths = Paths(tmp_path / "data", tmp_path / "config", tmp_path / "state")
    later = LocalRunner.open(paths, Settings())
    (again,) = await later.fits([model.id])
    assert again is not None
    assert (again.weights, again.cache) == (chosen.weights, chosen.cache)
    # What is in memory itself takes no room from its own next load.
    await runner.load("my/m")
    (loaded,) = await runner.fits([model.id])
    assert loaded is not None
    assert loaded.fits


async def test_the_speed_of_a_real_answer_is_known_after_a_restart(
    runner: LocalRunner, tmp_path: Path
) -> None:
    model = await runner.model("my/m")
    assert await runner.measured() == {}
    for _ in range(2):
        assert [event async for event in runner.generate("my/m", ask(20))]
    await runner.close()
    paths = Paths(tmp_path / "data", tmp_path / "config", tmp_path / "state")
    known = (await LocalRunner.open(paths, Settings()).measured())[model.id]
    assert known.answers == 2
    assert known.generation_rate > 0
    assert known.load > 0
    assert known.first_token > 0
    assert known.last_used > 0


async def test_settings_that_are_replaced_forget_what_is_not_said(runner: LocalRunner) -> None:
    await runner.configure("my/m", Profile(context_size=512, threads=1))
    await runner.configure("my/m", Profile(keep_alive=-1))
    assert await runner.profile("my/m") == Profile(context_size=512, threads=1, keep_alive=-1)
    await runner.configure("my/m", Profile(threads=1), replace=True)
    assert await runner.profile("my/m") == Profile(threads=1)
