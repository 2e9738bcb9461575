from __future__ import annotations

import re

import httpx
import pytest

from dmr_tui.engine.profile import RunningModel
from dmr_tui.server.metrics import exposition
from tests.support.fake_runner import FakeRunner

pytestmark = pytest.mark.asyncio(loop_scope="module")

_SAMPLE = re.compile(r'([a-z_:]+)\{((?:[a-z]+="(?:[^"\\\n]|\\.)*",?)+)\} [0-9.e+-]+')


async def test_the_models_in_memory_for_prometheus(
    client: httpx.AsyncClient, runner: FakeRunner
) -> None:
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.text.splitlines()
    where = 'backend="llama.cpp",model="docker.io/ai/llama3.2:1B-Q8_0",mode="completion"'
    assert f"llamacpp:tokens_predicted_total{{{where}}} 400" in lines
    assert f"llamacpp:kv_cache_usage_ratio{{{where}}} 0.25" in lines
    assert f'dmr_first_token_seconds{{{where},quantile="0.5"}} 0.25' in lines
    assert not any('quantile="0.95"' in line for line in lines)
    assert "dmr_ready" in answer.text
    assert f"dmr_ready{{{where.replace('llama3.2:1B-Q8_0', 'busy:latest')}}} 0" in lines
    for line in lines:
        assert line.startswith("# ") or _SAMPLE.fullmatch(line), line
    # Every family is described once, before its samples.
    families = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(families) == len(set(families))
    assert (await client.post("/metrics")).status_code == 405


async def test_nobody_and_strange_names() -> None:
    assert exposition([]) == "# No active runners\n"
    model = RunningModel(
        id="x", name='a"b\\c\n', backend="llama.cpp", mode="completion", state="ready", in_use=0,
        keep_alive=1, last_used=None, context_size=0, memory=5, gpu_layers=0, pid=1,
    )  # fmt: skip
    assert 'model="a\\"b\\\\c\\n"' in exposition([model])
