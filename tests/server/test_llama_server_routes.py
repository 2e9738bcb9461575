"""llama-server's small routes beside those of llama-server itself, on the same model."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from dmr_tui.engine.xllamacpp_server import MODULE
from dmr_tui.paths import Paths
from dmr_tui.runner.local import LocalRunner
from dmr_tui.server.endpoint import Endpoint
from dmr_tui.settings import Settings
from dmr_tui.store.package import package_gguf
from dmr_tui.store.reference import parse_reference
from dmr_tui.store.store import Store

pytestmark = pytest.mark.asyncio(loop_scope="module")

ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def theirs(tiny_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Any]:
    socket = tmp_path_factory.mktemp("socket") / "s.sock"
    options = [
        *("--model", str(tiny_gguf), "--host", str(socket), "--api-prefix", ""),
        *("--ctx-size", "1024", "--threads", "1", "--threads-http", "2"),
        *("--n-gpu-layers", "0", "--parallel", "1", "--jinja"),
    ]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", MODULE, *options), stderr=asyncio.subprocess.DEVNULL
    )
    transport = httpx.AsyncHTTPTransport(uds=str(socket))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        while process.returncode is None:
            try:
                if (await client.get("/health")).status_code == 200:
                    break
            except httpx.ConnectError:
                await asyncio.sleep(0.05)
        assert process.returncode is None, "it does not know one of these options"
        yield client
    process.kill()
    await process.wait()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ours(
    tiny_gguf: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    home = tmp_path_factory.mktemp("home")
    paths = Paths(home / "data", home / "config", home / "state")
    package_gguf(Store(paths.models), tiny_gguf, parse_reference("my/m"))
    runner = LocalRunner.open(paths, Settings(threads=1, context_size=1024))
    endpoint = Endpoint(runner, Settings(), port=0, paths=Paths(home, home, home))
    await endpoint.start()
    await runner.load("my/m")
    async with httpx.AsyncClient(base_url=endpoint.url, trust_env=False) as client:
        yield client
    await endpoint.stop(grace=0)
    await runner.close()


SAME: list[tuple[str, dict[str, Any]]] = [
    ("/tokenize", {}),
    ("/tokenize", {"content": "Hello, wörld <|im_end|>"}),
    ("/tokenize", {"content": "Hello, wörld <|im_end|>", "parse_special": False}),
    ("/tokenize", {"content": "Hé <|im_end|>", "with_pieces": True, "add_special": True}),
    ("/tokenize", {"content": ["Hello", 300, "x"], "add_special": True}),
    ("/detokenize", {}),
    ("/detokenize", {"tokens": [300, 301, 2, 302]}),
    ("/apply-template", {"messages": ASKED}),
    ("/apply-template", {"messages": ASKED, "chat_template_kwargs": {"enable_thinking": False}}),
]


@pytest.mark.parametrize(("path", "body"), SAME)
async def test_the_same_question_has_the_same_answer(
    ours: httpx.AsyncClient, theirs: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    own, other = await ours.post(path, json=body), await theirs.post(path, json=body)
    assert own.status_code == other.status_code == 200
    assert own.json() == other.json()


@pytest.mark.parametrize("path", ["/health", "/v1/health"])
async def test_health(ours: httpx.AsyncClient, theirs: httpx.AsyncClient, path: str) -> None:
    assert (await ours.get(path)).json() == (await theirs.get(path)).json() == {"status": "ok"}


async def test_facts_have_the_same_places(
    ours: httpx.AsyncClient, theirs: httpx.AsyncClient
) -> None:
    own, other = (await ours.get("/props")).json(), (await theirs.get("/props")).json()
    for key in ("chat_template", "bos_token", "eos_token", "is_sleeping"):
        assert own[key] == other[key]
    settings, others = own["default_generation_settings"], other["default_generation_settings"]
    assert settings["n_ctx"] == others["n_ctx"]
    # What its defaults are depends on its version; where they are does not.
    assert settings["params"].keys() - {"dry_sequence_breakers"} <= others["params"].keys()
    assert settings["params"]["top_k"] == others["params"]["top_k"] == 40
    named = {"model_alias", "model_path", "build_info", "total_slots", "modalities"}
    assert named <= own.keys() & other.keys()
    assert own["modalities"].keys() <= other["modalities"].keys()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/tokenize", {"content": 1}),
        ("/detokenize", {"tokens": ["a"]}),
        ("/apply-template", {}),
    ],
)
async def test_what_is_wrong_is_an_error_object_in_both(
    ours: httpx.AsyncClient, theirs: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    own, other = await ours.post(path, json=body), await theirs.post(path, json=body)
    assert own.status_code == other.status_code == 400
    kinds = [answer.json()["error"]["type"] for answer in (own, other)]
    assert kinds == ["invalid_request_error"] * 2
