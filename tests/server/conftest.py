"""A real endpoint on a free port of loopback, over a runner that a test can bend."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from dmr_tui.paths import Paths
from dmr_tui.server.endpoint import Endpoint
from dmr_tui.settings import Settings
from tests.support.fake_runner import FakeRunner


@pytest.fixture
def runner() -> FakeRunner:
    return FakeRunner()


@pytest.fixture
async def endpoint(runner: FakeRunner) -> AsyncIterator[Endpoint]:
    started = Endpoint(runner, Settings(origins="https://app.example"), port=0)
    await started.start()
    yield started
    await started.stop(grace=0)


@pytest.fixture
async def client(endpoint: Endpoint) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=endpoint.url, trust_env=False) as client:
        yield client


@pytest.fixture
def paths() -> Paths:
    return Paths.default()
