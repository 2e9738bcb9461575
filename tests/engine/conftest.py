"""A manager whose workers are real, and what the tests ask of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from dmr_tui.engine.files import ModelFiles
from dmr_tui.engine.manager import EngineManager
from dmr_tui.runner.remote import RemoteRunner
from dmr_tui.runner.shapes import read_shape
from dmr_tui.settings import Settings


@pytest.fixture
async def manager(tmp_path: Path) -> AsyncIterator[EngineManager]:
    """A manager with default settings; its workers end with the test."""
    made = EngineManager(settings=Settings(threads=1), logs=tmp_path / "logs")
    yield made
    await made.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EngineManager]:
    """One manager of both engines for all tests, so that few servers are started."""
    made = EngineManager(
        settings=Settings(threads=1, llama_server="xllamacpp"),
        logs=tmp_path_factory.mktemp("logs"),
        read_shape=read_shape,
        connect=RemoteRunner,
    )
    yield made
    await made.close()


@pytest.fixture
def tiny(tiny_gguf: Path) -> ModelFiles:
    """The tiny model: 4096 tokens of context."""
    return ModelFiles(id="sha256:tiny", name="tiny", gguf=tiny_gguf)


@pytest.fixture
def copy(tiny_gguf: Path, tmp_path: Path) -> Callable[[str], ModelFiles]:
    """Makes more models out of the tiny one."""

    def make(name: str) -> ModelFiles:
        file = tmp_path / f"{name}.gguf"
        file.write_bytes(tiny_gguf.read_bytes())
        return ModelFiles(id=f"sha256:{name}", name=name, gguf=file)

    return make
