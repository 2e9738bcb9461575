"""A real endpoint on a free port of loopback, over a runner that a test can bend.

One endpoint serves a whole module; each test finds its runner as new.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from dmr_tui.paths import Paths
from dmr_tui.server.endpoint import Endpoint
from dmr_tui.settings import Settings
from tests.support.fake_runner import FakeRunner


@pytest.fixture(scope="module")
def served() -> FakeRunner:
    return FakeRunner()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def endpoint(
    served: FakeRunner, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Endpoint]:
    home = tmp_path_factory.mktemp("home")
    settings = Settings(origins="https://app.example, http://lan.example:*")
    started = Endpoint(served, settings, port=0, paths=Paths(home, home, home))
    await started.start()
    yield started
    await started.stop(grace=0)


@pytest.fixture
def runner(served: FakeRunner) -> FakeRunner:
    vars(served).update(vars(FakeRunner()))
    return served


@pytest_asyncio.fixture(loop_scope="module")
async def client(endpoint: Endpoint, runner: FakeRunner) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=endpoint.url, trust_env=False) as client:
        yield client


@pytest.fixture
def paths(home: Path) -> Paths:
    return Paths.default()
