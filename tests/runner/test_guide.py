"""The built-in model is there as soon as somebody asks for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dmr_tui.errors import ModelNotFoundError
from dmr_tui.paths import Paths
from dmr_tui.runner.local import LocalRunner
from dmr_tui.settings import Settings


@pytest.fixture
async def runner(tmp_path: Path) -> AsyncIterator[LocalRunner]:
    """A runner over an empty store."""
    paths = Paths(tmp_path / "data", tmp_path / "config", tmp_path / "state")
    runner = LocalRunner.open(paths, Settings())
    yield runner
    await runner.close()


async def test_it_is_loaded_from_an_empty_store(runner: LocalRunner) -> None:
    assert await runner.models() == []
    await runner.load("dmr/guide")
    (model,) = await runner.models()
    assert model.tags == ["docker.io/dmr/guide:latest"]
    assert [running.id for running in await runner.running()] == [model.id]
    assert (await runner.profile("dmr/guide")).sampling.temperature == 0


async def test_removed_it_is_gone_until_it_is_pulled(runner: LocalRunner) -> None:
    before = await runner.model("dmr/guide")
    await runner.remove("dmr/guide")
    assert await runner.models() == []
    with pytest.raises(ModelNotFoundError):
        await runner.remove("dmr/guide")
    lines = [line async for line in runner.pull("dmr/guide")]
    assert [line.type for line in lines] == ["success"]
    assert await runner.models() == [before]


async def test_no_other_name_means_it(runner: LocalRunner) -> None:
    for name in ("guide", "dmr/guide2", "dmr/guide:v2", "example.com/dmr/guide"):
        with pytest.raises(ModelNotFoundError):
            await runner.model(name)
