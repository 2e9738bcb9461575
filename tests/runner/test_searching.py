"""Runners of both kinds look at registries from this machine, with this user's settings."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dmr_tui.errors import ModelNotFoundError
from dmr_tui.paths import Paths
from dmr_tui.runner.base import Runner
from dmr_tui.runner.local import LocalRunner
from dmr_tui.runner.remote import RemoteRunner
from dmr_tui.settings import Settings
from dmr_tui.store.package import package_gguf
from dmr_tui.store.reference import parse_reference
from dmr_tui.store.store import Store
from dmr_tui.store.transfer.push import push
from tests.support.registry import LiveRegistry


@pytest.fixture(params=["local", "remote"])
async def runner(
    request: pytest.FixtureRequest, registry: LiveRegistry, tmp_path: Path, tiny_gguf: Path
) -> AsyncIterator[Runner]:
    """A runner whose short names lead to a real registry that has `ai/looked-at:8M-Q8_0`."""
    store = Store(tmp_path / "models", default_registry=registry.address)
    reference = parse_reference("looked-at:8M-Q8_0", default_registry=registry.address)
    package_gguf(store, tiny_gguf, reference)
    push(store, reference, on_progress=lambda _: None, cancelled=threading.Event())
    settings = Settings(default_registry=registry.address)
    runner: Runner
    if request.param == "local":
        paths = Paths(tmp_path / "data", tmp_path / "config", tmp_path / "state")
        runner = LocalRunner.open(paths, settings)
    else:
        runner = RemoteRunner("http://127.0.0.1:9", settings=settings)
    yield runner
    await runner.close()


async def test_variants_and_looks(runner: Runner, tiny_gguf: Path) -> None:
    (only,) = await runner.variants("looked-at")
    assert only.name.endswith("ai/looked-at:8M-Q8_0")
    found = await runner.look("looked-at:8M-Q8_0")
    assert found.weights == only.weights == tiny_gguf.stat().st_size
    assert found.config.architecture == "llama"
    with pytest.raises(ModelNotFoundError):
        await runner.look("looked-at:none")


async def test_free_memory_is_told_of_this_machine_only(runner: Runner) -> None:
    memory = await runner.free_memory()
    assert memory is not None
    assert 0 < memory.free <= memory.total
    away = RemoteRunner("http://runner.example:12434")
    assert await away.free_memory() is None
    await away.close()
