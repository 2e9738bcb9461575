"""A remote runner's load is watched, and goes on when nobody watches it any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from dmr_tui.engine.profile import Profile
from dmr_tui.engine.request import ChatRequest, Delta, Limits, Loading, Message
from dmr_tui.errors import DmrError, ModelNotFoundError
from dmr_tui.paths import Paths
from dmr_tui.runner import loading
from dmr_tui.runner.local import LocalRunner
from dmr_tui.runner.remote import RemoteRunner
from dmr_tui.server.endpoint import Endpoint
from dmr_tui.settings import Settings
from dmr_tui.store.package import package_gguf
from dmr_tui.store.reference import parse_reference
from dmr_tui.store.store import Store

ASKED = ChatRequest([Message("user", "Hello")], limits=Limits(4))


@pytest.fixture
async def served(tmp_path: Path, tiny_gguf: Path) -> AsyncIterator[tuple[LocalRunner, str]]:
    paths = Paths(tmp_path / "data", tmp_path / "config", tmp_path / "state")
    package_gguf(Store(paths.models), tiny_gguf, parse_reference("my/m"))
    local = LocalRunner.open(paths, Settings(threads=1))
    endpoint = Endpoint(local, Settings(), port=0, paths=Paths(tmp_path, tmp_path, tmp_path))
    await endpoint.start()
    yield local, endpoint.url
    await endpoint.stop(grace=0)
    await local.close()


async def test_progress_comes_before_the_answer(
    served: tuple[LocalRunner, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "PATIENCE", 0.02)
    _, url = served
    remote = RemoteRunner(url)
    events = [event async for event in remote.generate("my/m", ASKED)]
    first = [isinstance(event, Loading) for event in events]
    count = sum(first)
    assert count > 1
    assert first == [True] * count + [False] * (len(events) - count)
    fractions = [event.fraction for event in events if isinstance(event, Loading)]
    assert fractions == sorted(fractions)
    # A model that is there is not waited for.
    assert not [
        event async for event in remote.generate("my/m", ASKED) if isinstance(event, Loading)
    ]
    await remote.close()


async def test_a_client_that_leaves_during_the_load_does_not_end_it(
    served: tuple[LocalRunner, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "PATIENCE", 0.01)
    local, url = served
    first, second = RemoteRunner(url), RemoteRunner(url)
    async with aclosing(first.generate("my/m", ASKED)) as events:
        async for event in events:
            assert isinstance(event, Loading)
            break
    await first.close()
    (model,) = await local.running()
    assert model.state == "loading"
    texts = [event async for event in second.generate("my/m", ASKED) if isinstance(event, Delta)]
    assert texts
    (same,) = await local.running()
    assert same.pid == model.pid or model.pid == 0
    await second.close()


async def test_a_refusal_is_told_as_before(served: tuple[LocalRunner, str]) -> None:
    remote = RemoteRunner(served[1])
    with pytest.raises(ModelNotFoundError):
        async for _ in remote.generate("my/none", ASKED, profile=Profile()):
            pass
    await remote.close()


async def test_a_runner_that_does_not_tell_is_waited_for() -> None:
    begun: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def silent() -> list[object]:
        asyncio.get_running_loop().call_soon(begun.set_result, 1)
        raise DmrError("404")

    assert [each async for each in loading.loads(begun, silent, "m")] == []  # type: ignore[arg-type]
    assert begun.done()
