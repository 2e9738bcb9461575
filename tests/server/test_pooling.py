"""Embeddings, reranking and llama-server's small routes, over real models and a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from math import fsum
from pathlib import Path
from typing import Any

import httpx
import msgspec
import openai
import pytest
import pytest_asyncio
from gguf import PoolingType
from openai import AsyncOpenAI

from dmr_tui.engine.profile import Profile
from dmr_tui.engine.questions import (
    DetokenizeQuestion,
    EmbedQuestion,
    PropsQuestion,
    Question,
    RankQuestion,
    TemplateQuestion,
    TokenizeQuestion,
)
from dmr_tui.engine.request import ChatRequest, Message, Sampling
from dmr_tui.errors import ContextLengthError, InvalidRequestError, ModelNotFoundError
from dmr_tui.paths import Paths
from dmr_tui.runner.local import LocalRunner
from dmr_tui.runner.remote import RemoteRunner
from dmr_tui.server.endpoint import Endpoint
from dmr_tui.settings import Settings
from dmr_tui.store.package import package_gguf
from dmr_tui.store.reference import parse_reference
from dmr_tui.store.store import Store
from tests.support.gguf_maker import write_tiny_bert

pytestmark = pytest.mark.asyncio(loop_scope="module")

EMBED, RANK, CHAT, SET = "ai/embed", "ai/rank", "ai/chat", "ai/set"
WIDTH = 64


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def local(
    tiny_gguf: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[LocalRunner]:
    home = tmp_path_factory.mktemp("home")
    paths = Paths(home / "data", home / "config", home / "state")
    store = Store(paths.models)
    mean = write_tiny_bert(home / "embed.gguf")
    rank = write_tiny_bert(home / "rank.gguf", pooling=PoolingType.RANK)
    other = write_tiny_bert(home / "set.gguf", seed=8)
    for name, file in ((EMBED, mean), (RANK, rank), (CHAT, tiny_gguf), (SET, other)):
        package_gguf(store, file, parse_reference(name))
    runner = LocalRunner.open(paths, Settings(threads=1))
    yield runner
    await runner.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(local: LocalRunner, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    state = tmp_path_factory.mktemp("state")
    endpoint = Endpoint(local, Settings(), port=0, paths=Paths(state, state, state))
    await endpoint.start()
    yield endpoint.url
    await endpoint.stop(grace=0)


@pytest_asyncio.fixture(loop_scope="module")
async def client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module", params=["/engines/v1", "/v1", f"/engines/{EMBED}/v1"])
async def openai_client(url: str, request: pytest.FixtureRequest) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=url + request.param, api_key="unused", max_retries=0) as made:
        yield made


async def test_openais_client_gets_the_same_either_way(openai_client: AsyncOpenAI) -> None:
    # Without a format the client itself asks for base64 and decodes it.
    usual = await openai_client.embeddings.create(model=EMBED, input=["a text", "another"])
    floats = await openai_client.embeddings.create(
        model=EMBED, input=["a text", "another"], encoding_format="float"
    )
    assert [each.index for each in usual.data] == [0, 1]
    for one, other in zip(usual.data, floats.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
        assert len(one.embedding) == WIDTH
        assert fsum(x * x for x in one.embedding) == pytest.approx(1.0, abs=1e-4)
    assert usual.usage.prompt_tokens == usual.usage.total_tokens > 2
    assert usual.model == EMBED


async def test_every_form_of_input(openai_client: AsyncOpenAI) -> None:
    async def count(given: Any) -> int:
        return len((await openai_client.embeddings.create(model=EMBED, input=given)).data)

    assert [await count(each) for each in ("one", [2, 7, 3], [[2, 7, 3], [2, 8, 3]])] == [1, 1, 2]
    short = await openai_client.embeddings.create(model=EMBED, input="one", dimensions=8)
    assert len(short.data[0].embedding) == 8
    # What some clients send of what was left out.
    nothing: dict[str, Any] = {"encoding_format": None, "dimensions": None, "user": None}
    plain = await openai_client.embeddings.create(model=EMBED, input="one", extra_body=nothing)
    assert len(plain.data[0].embedding) == WIDTH


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": []}, "input"),
        ({"input": [1, "two"]}, "input"),
        ({"input": [1, 99999]}, "input"),
        ({"input": [""] * 2049}, "input"),
        ({"input": {"text": "x"}}, "input"),
        ({}, "input"),
        ({"input": "x", "dimensions": 65}, "dimensions"),
        ({"input": "x", "encoding_format": "int8"}, "encoding_format"),
    ],
)
async def test_wrong_inputs(client: httpx.AsyncClient, body: dict[str, Any], param: str) -> None:
    answer = await client.post("/v1/embeddings", json={"model": EMBED, **body})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["param"], error["type"]) == (param, "invalid_request_error")


async def test_too_long_a_text(openai_client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await openai_client.embeddings.create(model=EMBED, input=[[7] * 513])
    assert caught.value.code == "context_length_exceeded"
    assert "513 tokens, the context holds 512" in caught.value.message


async def test_models_say_what_they_are_for(client: httpx.AsyncClient) -> None:
    chat = {"model": EMBED, "messages": [{"role": "user", "content": "Hello"}]}
    answer = await client.post("/v1/chat/completions", json=chat)
    assert answer.status_code == 400
    assert "is for embedding: it cannot write answers" in answer.json()["error"]["message"]
    answer = await client.post("/v1/embeddings", json={"model": CHAT, "input": "Hello"})
    assert answer.status_code == 400
    assert "is for completion, not for embedding" in answer.json()["error"]["message"]
    answer = await client.post("/rerank", json={"model": EMBED, "query": "x", "documents": ["y"]})
    assert answer.status_code == 400
    assert "is for embedding, not for reranking" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "path",
    [
        "/rerank",
        "/v1/rerank",
        "/engines/rerank",
        "/engines/llama.cpp/v1/rerank",
        f"/engines/{RANK}/v1/rerank",
        "/reranking",
        "/v1/reranking",
    ],
)
async def test_documents_come_best_first(client: httpx.AsyncClient, path: str) -> None:
    body: dict[str, Any] = {"model": RANK, "query": "string"}
    body["documents"] = ["one", {"text": "two"}, "three"]
    found = (await client.post(path, json=body)).json()
    scores = [result["relevance_score"] for result in found["results"]]
    assert scores == sorted(scores, reverse=True)
    assert {result["index"] for result in found["results"]} == {0, 1, 2}
    assert "document" not in found["results"][0]
    assert found["usage"]["total_tokens"] > 0
    body |= {"top_n": 1, "return_documents": True}
    (best,) = (await client.post(path, json=body)).json()["results"]
    assert best["relevance_score"] == pytest.approx(scores[0], abs=1e-3)
    assert best["document"]["text"] == ["one", "two", "three"][best["index"]]


async def test_texts_are_ranked_in_the_shape_of_those_who_say_so(client: httpx.AsyncClient) -> None:
    body: dict[str, Any] = {"model": RANK, "query": "string", "texts": ["one", "two", "three"]}
    found = (await client.post("/rerank", json=body)).json()
    assert [each.keys() for each in found] == [{"index", "score"}] * 3
    scores = [each["score"] for each in found]
    assert scores == sorted(scores, reverse=True)
    assert {each["index"] for each in found} == {0, 1, 2}
    (best,) = (await client.post("/rerank", json={**body, "return_text": True, "top_n": 1})).json()
    assert best["score"] == pytest.approx(scores[0], abs=1e-3)
    assert best["text"] == body["texts"][best["index"]]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"documents": []},
        {"documents": ["x"], "top_n": 0},
        {"documents": [7]},
        {"documents": ["x"] * 2049},
        {"texts": ["x"] * 2049},
    ],
)
async def test_wrong_documents(client: httpx.AsyncClient, fields: dict[str, Any]) -> None:
    answer = await client.post("/rerank", json={"model": RANK, "query": "x", **fields})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"]


async def test_scores_of_pairs(client: httpx.AsyncClient) -> None:
    async def scores(one: Any, two: Any) -> list[float]:
        body = {"model": RANK, "text_1": one, "text_2": two}
        found = (await client.post("/score", json=body)).json()
        assert [each["index"] for each in found["data"]] == list(range(len(found["data"])))
        return [each["score"] for each in found["data"]]

    many = await scores("one", ["two", "three"])
    assert many == pytest.approx(await scores(["one", "one"], ["two", "three"]), abs=1e-3)
    assert many[1] == pytest.approx((await scores("one", "three"))[0], abs=1e-3)
    for one, two in ((["a", "b"], ["a", "b", "c"]), ("a", ["b"] * 2049)):
        answer = await client.post("/score", json={"model": RANK, "text_1": one, "text_2": two})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "text_2")


async def test_pairs_are_asked_for_together(
    client: httpx.AsyncClient, local: LocalRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, ask = list[Question[Any]](), local.ask

    async def remember(model: str, question: Question[Any]) -> Any:
        asked.append(question)
        return await ask(model, question)

    monkeypatch.setattr(local, "ask", remember)
    body = {"model": RANK, "text_1": ["one", "two"], "text_2": ["two", "three"]}
    found = (await client.post("/score", json=body)).json()
    assert len(found["data"]) == 2
    assert asked == [RankQuestion(["one", "two"], ["two", "three"])]


async def test_tokens_there_and_back(client: httpx.AsyncClient) -> None:
    text = "Hello <|im_end|> wörld"
    tokens = (await client.post("/tokenize", json={"model": CHAT, "content": text})).json()
    body = {"model": CHAT, **tokens}
    assert (await client.post("/detokenize", json=body)).json() == {"content": text}
    plain = {"model": CHAT, "content": text, "parse_special": False, "with_pieces": True}
    pieces = (await client.post("/tokenize", json=plain)).json()["tokens"]
    assert len(pieces) > len(tokens["tokens"])
    # The two bytes of ö are two tokens in this vocabulary: numbers, as they are no text.
    assert [each["piece"] for each in pieces if isinstance(each["piece"], list)] == [[0xC3], [0xB6]]
    special = {"model": EMBED, "content": "one", "add_special": True}
    around = (await client.post("/engines/llama.cpp/tokenize", json=special)).json()["tokens"]
    assert (around[0], around[-1]) == (2, 3)
    answer = await client.post("/detokenize", json={"model": CHAT, "tokens": [-1]})
    assert answer.status_code == 400


async def test_texts_that_would_hold_everybody_up_are_not_cut_into_tokens(
    client: httpx.AsyncClient,
) -> None:
    body = {"model": CHAT, "content": ["a " * 2**18, 300, "a " * 2**18]}
    assert (await client.post("/tokenize", json=body)).status_code == 200
    body["content"] = ["a " * 2**18, 300, "a " * 2**18 + "a"]
    answer = await client.post("/tokenize", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "content")


async def test_a_conversation_as_the_template_writes_it(client: httpx.AsyncClient) -> None:
    body = {"model": CHAT, "messages": [{"role": "user", "content": "Hello"}]}
    found = (await client.post("/apply-template", json=body)).json()
    written = "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    assert found == {"prompt": written}
    answer = await client.post("/apply-template", json={**body, "model": EMBED})
    assert answer.status_code == 400


ASKED = {"role": "user", "content": "Hi"}
BEGUN = {"role": "assistant", "content": "Hello! I"}
PARTS = {"role": "assistant", "content": [{"type": "text", "text": "Hello! I"}]}
EMPTY = {"role": "assistant", "content": ""}
OPENED = "<|im_start|>assistant\n"
CLOSED = f"{OPENED}Hello! I<|im_end|>\n"


@pytest.mark.parametrize(
    ("last", "fields", "written"),
    [
        (BEGUN, {}, f"{OPENED}Hello! I"),
        (PARTS, {}, f"{OPENED}Hello! I"),
        (BEGUN, {"continue_final_message": True}, f"{OPENED}Hello! I"),
        (
            BEGUN,
            {"continue_final_message": True, "add_generation_prompt": False},
            f"{OPENED}Hello! I",
        ),
        (BEGUN, {"continue_final_message": False}, CLOSED + OPENED),
        (BEGUN, {"continue_final_message": False, "add_generation_prompt": False}, CLOSED),
        (EMPTY, {}, f"{OPENED}<|im_end|>\n{OPENED}"),
        (ASKED, {"add_generation_prompt": False}, "<|im_start|>user\nHi<|im_end|>\n"),
    ],
)
async def test_an_answer_that_has_begun_is_continued(
    client: httpx.AsyncClient, last: dict[str, Any], fields: dict[str, Any], written: str
) -> None:
    body = {"model": CHAT, "messages": [ASKED, last], **fields}
    found = (await client.post("/apply-template", json=body)).json()
    assert found == {"prompt": f"<|im_start|>user\nHi<|im_end|>\n{written}"}


async def test_facts_of_a_model(client: httpx.AsyncClient, local: LocalRunner) -> None:
    found = (await client.get("/props", params={"model": CHAT})).json()
    assert found["default_generation_settings"]["n_ctx"] == 4096
    assert found["total_slots"] == 16
    assert "im_start" in found["chat_template"]
    assert (found["bos_token"], found["eos_token"]) == ("<|endoftext|>", "<|im_end|>")
    assert found["default_generation_settings"]["params"]["top_k"] == 40
    await local.configure(CHAT, Profile(sampling=Sampling(top_k=7)))
    found = (await client.get("/props", params={"model": CHAT})).json()
    params = found["default_generation_settings"]["params"]
    assert (params["top_k"], params["top_p"]) == (7, pytest.approx(0.95))
    await local.configure(CHAT, Profile(), replace=True)
    await local.unload()
    assert (await client.get("/props")).status_code == 400
    await local.load(EMBED)
    assert (await client.get("/props")).json()["mode"] == "embedding"
    await local.load(CHAT)
    assert (await client.get("/props")).json()["error"]["param"] == "model"
    assert (await client.get("/health")).json() == {"status": "ok"}


QUESTIONS: list[tuple[str, Question[Any]]] = [
    (EMBED, EmbedQuestion(["a text", [2, 7, 3]], 16)),
    (RANK, RankQuestion("string", ["one", "two", "three"])),
    (RANK, RankQuestion(["string", "one"], ["one", "two"])),
    (CHAT, TokenizeQuestion("Hello wörld", True, False)),
    (CHAT, DetokenizeQuestion([300, 301, 302])),
    (CHAT, TemplateQuestion(ChatRequest([Message("user", "Hello")]))),
    (CHAT, PropsQuestion()),
]


@pytest.mark.parametrize(("model", "question"), QUESTIONS)
async def test_a_remote_runner_gets_what_a_local_one_gets(
    url: str, local: LocalRunner, model: str, question: Question[Any]
) -> None:
    remote = RemoteRunner(url)
    there, here = await remote.ask(model, question), await local.ask(model, question)
    if isinstance(question, RankQuestion):
        assert there.scores == pytest.approx(here.scores, abs=1e-3)
    elif not isinstance(question, EmbedQuestion):
        assert there == here
    else:
        assert [len(vector) for vector in there.vectors] == [64, 64]
        assert there.prompt_tokens == here.prompt_tokens
    await remote.close()


async def test_a_remote_failure_is_the_local_one(url: str) -> None:
    remote = RemoteRunner(url)
    with pytest.raises(ContextLengthError):
        await remote.ask(EMBED, EmbedQuestion([[7] * 600]))
    with pytest.raises(InvalidRequestError, match="not for embedding"):
        await remote.ask(CHAT, EmbedQuestion(["x"]))
    with pytest.raises(ModelNotFoundError):
        await remote.ask("ai/none", PropsQuestion())
    await remote.close()


async def test_settings_of_a_model(url: str, client: httpx.AsyncClient, local: LocalRunner) -> None:
    remote = RemoteRunner(url)
    assert await remote.profile(SET) == Profile()
    stored = Profile(256, 90.0, 1, 0, Sampling(top_k=3), backend="llama.cpp", context_shift=True)
    stored = msgspec.structs.replace(stored, reasoning_budget=0)
    await remote.configure(SET, stored)
    assert await remote.profile(SET) == await local.profile(SET) == stored
    (row,) = (await client.get("/engines/_configure", params={"model": SET})).json()
    assert row["Backend"] == "llama.cpp"
    assert row["Model"] == "docker.io/ai/set:latest"
    assert row["ModelID"] == (await local.model(SET)).id
    assert row["Config"]["context-size"] == 256
    assert row["Config"]["llamacpp"] == {"reasoning-budget": 0}
    # Without a name: the models that have settings.
    assert (await client.get("/engines/_configure")).json() == [row]
    await remote.close()
