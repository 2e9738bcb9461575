"""Docker Model Runner's own routes, byte for byte where its clients read bytes."""

from __future__ import annotations

import html
import json
from typing import Any

import httpx
import msgspec
import pytest

from dmr_tui.engine.profile import Profile, RunningModel
from dmr_tui.engine.request import Sampling
from dmr_tui.errors import (
    DmrError,
    ModelNotFoundError,
    RegistryError,
    UnauthorizedError,
    UnsupportedModelError,
)
from dmr_tui.runner.base import Model
from tests.support.fake_runner import ARCHIVE, MANIFEST, MODEL, FakeRunner

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAME = "ai/llama3.2:1B-Q8_0"
BESIDE = "sha256:" + "12" * 32


async def test_the_front_door(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    assert (answer.status_code, answer.text) == (200, "Docker Model Runner is running")
    version = (await client.get("/version")).json()
    assert version["version"]
    assert version["instance"]


async def test_models_are_listed_and_shown(client: httpx.AsyncClient) -> None:
    (listed,) = (await client.get("/models")).json()
    shown = (await client.get(f"/models/{NAME}")).json()
    assert listed == shown
    assert shown["id"] == MODEL.id
    assert shown["tags"] == MODEL.tags
    assert shown["created"] == 1742816981
    assert shown["config"]["gguf"] == {"llama.context_length": "4096"}
    assert "safetensors" not in shown["config"]
    assert (await client.get(f"/models/{NAME}/manifest")).json() == MANIFEST


async def test_a_model_is_shown_as_its_registry_has_it(client: httpx.AsyncClient) -> None:
    shown = (await client.get(f"/models/{NAME}?remote=true")).json()
    assert (shown["id"], shown["created"]) == (MODEL.id, MODEL.created)
    assert shown["config"]["parameters"] == "135M"
    assert "tags" not in shown
    assert (await client.get("/models/a/b?remote=1")).status_code == 404


@pytest.mark.parametrize("path", ["/models/a/b", "/models/nope/manifest"])
async def test_an_unknown_model_is_404_in_plain_text(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.text.endswith("not found\ndid you mean llama3.2?\n")
    as_json = await client.get(path, headers={"Accept": "application/json"})
    assert as_json.json()["error"]["code"] == "model_not_found"


@pytest.mark.parametrize(
    ("query", "force"),
    [("", False), ("?force=true", True), ("?force", True), ("?force=1", True), ("?force=x", False)],
)
async def test_removal(
    client: httpx.AsyncClient, runner: FakeRunner, query: str, force: bool
) -> None:
    answer = await client.delete(f"/models/{NAME}{query}")
    assert answer.json() == [{"Untagged": MODEL.tags[0]}, {"Deleted": MODEL.id}]
    assert runner.calls == [("remove", NAME, force)]


async def test_a_removal_that_conflicts_is_409(client: httpx.AsyncClient) -> None:
    assert (await client.delete(f"/models/{MODEL.id}")).status_code == 409
    assert (await client.delete("/models/nope")).status_code == 404


@pytest.mark.parametrize(("query", "status"), [("", 409), ("?force=true", 200)])
async def test_purge(
    client: httpx.AsyncClient, runner: FakeRunner, query: str, status: int
) -> None:
    answer = await client.delete(f"/models/purge{query}")
    assert answer.status_code == status
    assert runner.calls == [("purge", bool(query))]
    assert answer.content == b"" or status == 409


async def test_export_and_load(client: httpx.AsyncClient, runner: FakeRunner) -> None:
    answer = await client.get(f"/models/{NAME}/export")
    assert answer.headers["content-type"] == "application/x-tar"
    disposition = 'attachment; filename="ai-llama3.2-1B-Q8_0.tar"'
    assert answer.headers["content-disposition"] == disposition
    assert answer.content == b"".join(ARCHIVE)
    assert (await client.get("/models/nope/export")).status_code == 404
    loaded = await client.post("/models/load", content=answer.content)
    assert loaded.json()["message"] == "Model loaded successfully"
    assert loaded.json()["layer"]["id"] == MODEL.id
    assert (await client.post("/models/load", content=b"x")).status_code == 400


async def test_repackage(client: httpx.AsyncClient, runner: FakeRunner) -> None:
    body = {"target": "me/small", "context_size": 64}
    answer = await client.post(f"/models/{NAME}/repackage", json=body)
    assert answer.status_code == 201
    assert answer.json() == {
        "message": 'Model repackaged successfully as "me/small"',
        "source": NAME,
        "target": "docker.io/me/small",
    }
    assert runner.calls == [("repackage", NAME, "me/small", 64)]
    assert (await client.post(f"/models/{NAME}/repackage", json={})).status_code == 400
    assert (await client.post("/models/nope/repackage", json=body)).status_code == 404


async def test_tagging(client: httpx.AsyncClient, runner: FakeRunner) -> None:
    answer = await client.post(f"/models/{NAME}/tag?repo=docker.io/me/mine&tag=v1")
    assert answer.status_code == 201
    assert answer.json() == {
        "message": 'Model tagged successfully with "docker.io/me/mine:v1"',
        "target": "docker.io/me/mine:v1",
    }
    assert runner.calls == [("tag", NAME, "docker.io/me/mine:v1")]
    incomplete = await client.post(f"/models/{NAME}/tag?repo=x")
    assert incomplete.status_code == 400
    assert incomplete.text == "missing repo or tag query parameter\n"
    assert (await client.post("/models/nope/tag?repo=x&tag=y")).status_code == 404


async def test_an_unknown_action_is_404(client: httpx.AsyncClient) -> None:
    answer = await client.post(f"/models/{NAME}/fly")
    assert (answer.status_code, answer.text) == (404, 'unknown action "fly"\n')


async def transfer(client: httpx.AsyncClient, kind: str, accept: str) -> httpx.Response:
    headers = {"Accept": accept}
    if kind == "pull":
        return await client.post("/models/create", json={"from": "x"}, headers=headers)
    return await client.post(f"/models/{NAME}/push", headers=headers)


@pytest.mark.parametrize("kind", ["pull", "push"])
async def test_a_transfer_tells_its_progress(client: httpx.AsyncClient, kind: str) -> None:
    answer = await transfer(client, kind, "application/json")
    assert answer.headers["content-type"] == "application/json"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    digest = "sha256:" + "cd" * 32
    assert lines == [
        {
            "type": "progress",
            "message": 'Moved: 3 B of "x"',
            "total": 7,
            "layer": {"id": digest, "size": 7, "current": 3},
            "mode": kind,
        },
        {
            "type": "success",
            "message": f"Model {kind}ed successfully",
            "total": 0,
            "layer": {},
            "mode": kind,
        },
    ]


async def test_a_transfer_for_others_than_json_clients_is_escaped(
    client: httpx.AsyncClient,
) -> None:
    answer = await transfer(client, "pull", "*/*")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text.startswith("{&#34;type&#34;:&#34;progress&#34;,")
    plain = await transfer(client, "pull", "application/json")
    assert html.unescape(answer.text) == plain.text


@pytest.mark.parametrize("kind", ["pull", "push"])
@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (ModelNotFoundError("Model not found"), 404),
        (UnauthorizedError("Unauthorized", "dmr login"), 401),
        (UnsupportedModelError("config type x"), 422),
        (RegistryError("no route"), 502),
    ],
)
async def test_a_transfer_that_cannot_begin_is_a_status(
    client: httpx.AsyncClient, runner: FakeRunner, kind: str, failure: DmrError, status: int
) -> None:
    runner.failure = failure
    answer = await transfer(client, kind, "application/json")
    assert answer.status_code == status
    assert answer.text.splitlines()[0] == failure.message


@pytest.mark.parametrize("accept", ["application/json", "text/plain"])
async def test_a_transfer_that_breaks_ends_with_an_error_line(
    client: httpx.AsyncClient, runner: FakeRunner, accept: str
) -> None:
    runner.failure, runner.fails_at = RegistryError("digest mismatch", "pull again"), 1
    answer = await transfer(client, "pull", accept)
    assert answer.status_code == 200
    _, last = [json.loads(html.unescape(line)) for line in answer.text.splitlines()]
    assert (last["type"], last["message"]) == ("error", "digest mismatch")
    assert (last["code"], last["hint"]) == ("registry_error", "pull again")


async def test_a_token_goes_along_and_nowhere_else(
    client: httpx.AsyncClient, runner: FakeRunner, caplog: pytest.LogCaptureFixture
) -> None:
    sent = {"bearer-token": "hf_mine"}
    answers = [
        await client.post("/models/create", json={"from": "hf.co/a/b", **sent}),
        await client.post(f"/models/{NAME}/push", json=sent),
        await client.post(f"/models/{NAME}/push", json={}),
    ]
    calls = [("pull", "hf.co/a/b", "hf_mine"), ("push", NAME, "hf_mine"), ("push", NAME)]
    assert runner.calls == calls
    assert not any("hf_mine" in answer.text for answer in answers)
    assert "hf_mine" not in caplog.text + repr(runner.journal.requests())
    refused = await client.post(f"/models/{NAME}/push", content=b"[")
    assert refused.status_code == 400


@pytest.mark.parametrize("body", [b"", b"{}", b'{"from":3}', b'{"from":" "}'])
async def test_a_pull_of_nothing_is_400(
    client: httpx.AsyncClient, runner: FakeRunner, body: bytes
) -> None:
    assert (await client.post("/models/create", content=body)).status_code == 400
    assert runner.calls == []


async def test_what_runs(client: httpx.AsyncClient) -> None:
    idle, busy = (await client.get("/engines/ps")).json()
    assert idle["backend_name"] == "llama.cpp"
    assert idle["model_name"] == MODEL.tags[0]
    assert idle["mode"] == "completion"
    assert idle["last_used"] == "2025-03-24T11:49:41.250000Z"
    assert (idle["in_use"], idle["loading"], idle["keep_alive"]) == (False, False, "90s")
    assert (idle["layers"], idle["slots"], idle["planned_memory"]) == (16, 16, 98)
    assert idle["stats"]["generated_tokens"] == 400
    assert (busy["progress"], busy["stats"]) == (0.25, None)
    assert busy["last_used"] == "0001-01-01T00:00:00Z"
    assert (busy["in_use"], busy["loading"], busy["keep_alive"]) == (True, True, "-1")


async def test_engines_and_disk(client: httpx.AsyncClient) -> None:
    status = (await client.get("/engines/status")).json()
    assert status == {"llama.cpp": "Running: llama.cpp 0.3.36"}
    usage = (await client.get("/engines/df")).json()
    assert usage == {
        "models_disk_usage": 1234,
        "default_backend_disk_usage": 56,
        "partial_disk_usage": 7,
        "unused_disk_usage": 8,
        "quarantined_disk_usage": 9,
    }


@pytest.mark.parametrize(
    ("body", "gone", "call"),
    [
        ({"all": True}, 2, ("unload", None)),
        ({"models": ["a", "b", "c"]}, 3, ("unload", ["a", "b", "c"])),
        ({"backend": "llama.cpp", "models": [NAME]}, 1, ("unload", [NAME])),
        ({"backend": "llama.cpp", "all": True}, 1, ("unload", [MODEL.id])),
        ({"backend": "llama-server", "models": [NAME, BESIDE]}, 1, ("unload", [BESIDE])),
        ({"backend": "llama-server", "all": True}, 1, ("unload", [BESIDE])),
        ({"backend": "vllm", "all": True}, 0, ("unload", [])),
        ({}, 0, ("unload", [])),
    ],
)
async def test_unloading(
    client: httpx.AsyncClient,
    runner: FakeRunner,
    monkeypatch: pytest.MonkeyPatch,
    body: Any,
    gone: int,
    call: Any,
) -> None:
    idle, busy = await runner.running()
    beside = msgspec.structs.replace(idle, id=BESIDE, backend="llama-server")

    async def model(name: str) -> Model:
        return msgspec.structs.replace(MODEL, id=BESIDE if name == BESIDE else MODEL.id)

    async def running() -> list[RunningModel]:
        return [idle, busy, beside]

    monkeypatch.setattr(runner, "model", model)
    monkeypatch.setattr(runner, "running", running)
    answer = await client.post("/engines/unload", json=body)
    assert answer.json() == {"unloaded_runners": gone}
    assert runner.calls == [call]


@pytest.mark.parametrize("path", ["/engines/unload", "/engines/_configure"])
async def test_a_path_is_no_name(client: httpx.AsyncClient, runner: FakeRunner, path: str) -> None:
    answer = await client.post(path, json={"models": ["/x.gguf"], "model": "/x.gguf"})
    assert answer.status_code == 404
    assert runner.calls == []


@pytest.mark.parametrize(
    ("fields", "profile"),
    [
        ({"context-size": 4096, "keep_alive": "1h30m"}, Profile(4096, 5400.0)),
        ({"keep_alive": "-1"}, Profile(keep_alive=-1.0)),
        ({"llamacpp": {"reasoning-budget": 0}, "vllm": None}, Profile(reasoning_budget=0)),
        ({"llamacpp": {}}, Profile()),
        ({"keep_alive": 0, "mode": "completion"}, Profile(keep_alive=0.0)),
        (
            {"context-size": -1, "mode": "", "backend": "llama.cpp"},
            Profile(-1, backend="llama.cpp"),
        ),
        (
            {"threads": 2, "gpu-layers": 0, "sampling": {"top_k": 3}},
            Profile(threads=2, gpu_layers=0, sampling=Sampling(top_k=3)),
        ),
    ],
)
@pytest.mark.parametrize("path", ["/engines/_configure", "/engines/llama.cpp/_configure"])
async def test_configuring(
    client: httpx.AsyncClient, runner: FakeRunner, path: str, fields: Any, profile: Profile
) -> None:
    answer = await client.post(path, json={"model": NAME, **fields})
    assert (answer.status_code, answer.content) == (202, b"")
    assert runner.calls == [("configure", NAME, profile)]


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"context-size": "big"}, 400, "context-size"),
        ({"context-size": 99999999999}, 400, "context-size"),
        ({"context-size": -2}, 400, "context-size"),
        ({"mode": "zzz"}, 400, "mode"),
        ({"threads": -1}, 400, "threads"),
        ({"gpu-layers": 2**31}, 400, "gpu-layers"),
        ({"backend": "zzz"}, 400, "backend"),
        ({"sampling": {"temperature": -1}}, 400, "temperature"),
        ({"keep_alive": "soon"}, 400, "keep_alive"),
        ({"raw-runtime-flags": "--mlock"}, 400, "flags"),
        ({"vllm": {"gpu-memory-utilization": 0.5}}, 400, "vllm"),
        ({"llamacpp": {"reasoning-budget": -2}}, 400, "reasoning-budget"),
        ({"model": "nope"}, 404, "nope"),
    ],
)
async def test_a_wrong_configuration_is_refused(
    client: httpx.AsyncClient, runner: FakeRunner, fields: Any, status: int, said: str
) -> None:
    answer = await client.post("/engines/_configure", json={"model": NAME, **fields})
    assert answer.status_code == status
    assert runner.calls == []
    assert said in answer.text
