"""OpenAI's own Python client, unchanged, against a real endpoint over a real engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
import pytest_asyncio
from openai import AsyncOpenAI

from dmr_tui.paths import Paths
from dmr_tui.runner.local import LocalRunner
from dmr_tui.server.endpoint import Endpoint
from dmr_tui.settings import Settings
from dmr_tui.store.package import package_gguf
from dmr_tui.store.parts import Extras
from dmr_tui.store.reference import parse_reference
from dmr_tui.store.store import Store

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAME = "ai/tiny:1B-Q8_0"
CONTEXT = 512


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def local(
    tiny_gguf: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[LocalRunner]:
    home = tmp_path_factory.mktemp("home")
    paths = Paths(home / "data", home / "config", home / "state")
    store = Store(paths.models)
    package_gguf(store, tiny_gguf, parse_reference(NAME), extras=Extras(context_size=CONTEXT))
    broken = home / "broken.gguf"
    # Well formed, but a tensor that the architecture needs is not there.
    broken.write_bytes(tiny_gguf.read_bytes().replace(b"output_norm", b"output_xorm"))
    package_gguf(store, broken, parse_reference("broken"))
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


@pytest_asyncio.fixture(
    loop_scope="module", params=["/engines/v1", "/engines/llama.cpp/v1", f"/engines/{NAME}/v1"]
)
async def client(url: str, request: pytest.FixtureRequest) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=url + request.param, api_key="unused", max_retries=0) as made:
        yield made


async def test_chat(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model=NAME, messages=[{"role": "user", "content": "Hello"}], max_tokens=6, temperature=0
    )
    (choice,) = answer.choices
    assert choice.message.role == "assistant"
    assert choice.message.content
    assert choice.finish_reason == "length"
    assert answer.model == NAME
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 6
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 6
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens is not None


async def test_a_stream_says_the_same(client: AsyncOpenAI) -> None:
    whole = await client.chat.completions.create(
        model=NAME,
        messages=[{"role": "user", "content": "Hello"}],
        max_completion_tokens=12,
        temperature=0,
    )
    stream = await client.chat.completions.create(
        model=NAME,
        messages=[{"role": "user", "content": "Hello"}],
        max_completion_tokens=12,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    *texts, usage = chunks
    assert usage.choices == []
    assert usage.usage is not None
    assert usage.usage.completion_tokens == 12
    assert texts[0].choices[0].delta.role == "assistant"
    assert texts[-1].choices[0].finish_reason == "length"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in texts)
    assert text == whole.choices[0].message.content


async def test_the_stream_helper(client: AsyncOpenAI) -> None:
    async def answer(stop: str) -> tuple[list[str], str]:
        async with client.chat.completions.stream(
            model=NAME,
            messages=[{"role": "user", "content": "Hello"}],
            max_tokens=20,
            temperature=0,
            stop=stop or openai.omit,
        ) as stream:
            events = [event async for event in stream]
            final = await stream.get_final_completion()
        texts = [event.delta for event in events if event.type == "content.delta"]
        return texts, final.choices[0].message.content or ""

    # The helper takes the length limit for a failure, and so tells the text up to it.
    with pytest.raises(openai.LengthFinishReasonError) as cut:
        await answer("")
    text = cut.value.completion.choices[0].message.content or ""
    stop = text[len(text) // 2 :][:3]
    texts, whole = await answer(stop)
    assert "".join(texts) == whole == text[: text.index(stop)]


async def test_completions(client: AsyncOpenAI) -> None:
    answer = await client.completions.create(
        model=NAME, prompt=["Once upon", "Twice"], max_tokens=4, temperature=0, echo=True
    )
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert answer.choices[0].text.startswith("Once upon")
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 8
    tokens = await client.completions.create(
        model=NAME, prompt=[300, 301], max_tokens=2, temperature=0, echo=True
    )
    bare = await client.completions.create(
        model=NAME, prompt=[300, 301], max_tokens=2, temperature=0
    )
    said = tokens.choices[0].text.removesuffix(bare.choices[0].text)
    assert said
    assert said != tokens.choices[0].text
    stream = await client.completions.create(
        model=NAME, prompt="Once upon", max_tokens=4, temperature=0, stream=True
    )
    text = "".join([chunk.choices[0].text async for chunk in stream])
    assert "Once upon" + text == answer.choices[0].text


async def test_stop_ends_the_answer_before_the_stop_text(client: AsyncOpenAI) -> None:
    free = await client.completions.create(model=NAME, prompt="Go", max_tokens=20, temperature=0)
    text = free.choices[0].text
    stop = text[len(text) // 2 : len(text) // 2 + 3]
    ended = await client.completions.create(
        model=NAME, prompt="Go", max_tokens=20, temperature=0, stop=[stop]
    )
    assert ended.choices[0].text == text[: text.index(stop)]
    assert ended.choices[0].finish_reason == "stop"


async def test_seeds_repeat(client: AsyncOpenAI) -> None:
    async def draw(seed: int) -> str:
        drawn = await client.completions.create(
            model=NAME, prompt="Go", max_tokens=16, temperature=2, seed=seed
        )
        return drawn.choices[0].text

    first = await draw(7)
    assert await draw(8) != first
    assert await draw(7) == first
    assert await draw(-(2**63))
    assert await draw(2**63 - 1)


async def test_models(client: AsyncOpenAI) -> None:
    listed = [model async for model in client.models.list()]
    assert f"docker.io/{NAME}" in [model.id for model in listed]
    for name in (NAME, f"docker.io/{NAME}"):
        one = await client.models.retrieve(name)
        assert one.id == f"docker.io/{NAME}"
        assert (one.object, one.owned_by) == ("model", "docker")
        assert one.model_extra is not None
        assert one.model_extra["dmr"]["context_window"] == CONTEXT


async def test_several_answers_at_once(client: AsyncOpenAI) -> None:
    answers = await asyncio.gather(
        *(
            client.chat.completions.create(
                model=NAME,
                messages=[{"role": "user", "content": f"Number {number}"}],
                max_tokens=8,
            )
            for number in range(5)
        )
    )
    assert all(answer.choices[0].message.content for answer in answers)


async def test_leaving_a_stream_frees_the_model(client: AsyncOpenAI, local: LocalRunner) -> None:
    stream = await client.chat.completions.create(
        model=NAME, messages=[{"role": "user", "content": "Go on"}], stream=True
    )
    async for _ in stream:
        break
    await stream.close()
    async with asyncio.timeout(20):
        while any(model.in_use for model in await local.running()):
            await asyncio.sleep(0.01)


async def test_wrong_requests_raise_the_typed_exceptions(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        await client.chat.completions.create(model=NAME, messages=[])
    assert (raised.value.code, raised.value.param) == ("invalid_request", "messages")
    with pytest.raises(openai.BadRequestError) as raised:
        await client.chat.completions.create(
            model=NAME, messages=[{"role": "user", "content": "x"}], temperature=-1
        )
    assert raised.value.param == "temperature"
    with pytest.raises(openai.BadRequestError) as raised:
        await client.completions.create(model=NAME, prompt="word " * 4 * CONTEXT)
    assert raised.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError) as raised:
        await client.completions.create(model=NAME, prompt=[0, 10**6])
    assert raised.value.code == "invalid_request"
    with pytest.raises(openai.NotFoundError) as missing:
        await client.models.retrieve("ai/none")
    assert missing.value.code == "model_not_found"


@pytest.mark.parametrize("stream", [False, True])
async def test_an_unknown_or_broken_model_raises(url: str, stream: bool) -> None:
    made = AsyncOpenAI(base_url=f"{url}/engines/v1", api_key="unused", max_retries=0)
    async with made as client:
        with pytest.raises(openai.NotFoundError) as missing:
            await client.completions.create(model="ai/tiny", prompt="x", stream=stream)
        assert missing.value.code == "model_not_found"
        assert "1B-Q8_0" in missing.value.message
        with pytest.raises(openai.InternalServerError) as failed:
            await client.completions.create(model="broken", prompt="x", stream=stream)
        assert failed.value.code == "engine_error"
        assert "broken" in failed.value.message
        answer = await client.completions.create(model=NAME, prompt="x", max_tokens=2)
        assert answer.choices[0].text


async def test_several_answers_share_one_prompt(url: str) -> None:
    async with AsyncOpenAI(base_url=url + "/v1", api_key="unused", max_retries=0) as client:
        text = "Tell me something about each of the many things that there are in the world."
        whole = await client.chat.completions.create(
            model=NAME,
            messages=[{"role": "user", "content": text}],
            n=3,
            seed=5,
            max_tokens=8,
            temperature=1.5,
        )
        assert [choice.index for choice in whole.choices] == [0, 1, 2]
        texts = [choice.message.content for choice in whole.choices]
        assert len(set(texts)) == 3
        assert whole.usage is not None
        assert whole.usage.completion_tokens == 24
        one = await client.chat.completions.create(
            model=NAME, messages=[{"role": "user", "content": text}], max_tokens=1
        )
        assert one.usage is not None
        assert one.usage.prompt_tokens == whole.usage.prompt_tokens
        assert one.usage.prompt_tokens_details is not None
        assert one.usage.prompt_tokens_details.cached_tokens == one.usage.prompt_tokens - 1
        stream = await client.chat.completions.create(
            model=NAME,
            messages=[{"role": "user", "content": text}],
            n=3,
            seed=5,
            max_tokens=8,
            temperature=1.5,
            stream=True,
        )
        streamed = ["", "", ""]
        async for chunk in stream:
            for choice in chunk.choices:
                streamed[choice.index] += choice.delta.content or ""
        assert all(streamed)


async def test_log_probabilities_of_a_chat(url: str) -> None:
    async with AsyncOpenAI(base_url=url + "/v1", api_key="unused", max_retries=0) as client:
        whole = await client.chat.completions.create(
            model=NAME,
            messages=[{"role": "user", "content": "Hello"}],
            max_tokens=6,
            temperature=0,
            logprobs=True,
            top_logprobs=3,
        )
        (choice,) = whole.choices
        assert choice.logprobs is not None
        assert choice.logprobs.content is not None
        assert len(choice.logprobs.content) == 6
        raw = b"".join(bytes(token.bytes or []) for token in choice.logprobs.content)
        assert raw.decode("utf-8", "replace") == choice.message.content
        for token in choice.logprobs.content:
            assert token.top_logprobs[0].token == token.token
            assert len(token.top_logprobs) == 3
            assert token.logprob < 0
        stream = await client.chat.completions.create(
            model=NAME,
            messages=[{"role": "user", "content": "Hello"}],
            max_tokens=6,
            temperature=0,
            logprobs=True,
            stream=True,
        )
        told = [
            token
            async for chunk in stream
            for each in chunk.choices
            for token in (each.logprobs.content if each.logprobs else None) or []
        ]
        assert [token.token for token in told] == [token.token for token in choice.logprobs.content]


async def test_log_probabilities_of_a_completion(url: str) -> None:
    async with AsyncOpenAI(base_url=url + "/v1", api_key="unused", max_retries=0) as client:
        whole = await client.completions.create(
            model=NAME, prompt="Hello", max_tokens=6, temperature=0, logprobs=2
        )
        (choice,) = whole.choices
        told = choice.logprobs
        assert told is not None
        assert told.tokens
        assert told.text_offset
        assert told.top_logprobs
        assert len(told.tokens) == len(told.token_logprobs or []) == 6
        assert told.text_offset[0] == 0
        assert all(len(each) <= 2 for each in told.top_logprobs)
        for token, offset in zip(told.tokens, told.text_offset, strict=True):
            assert choice.text[offset : offset + len(token)] == token or "\ufffd" in choice.text


async def test_how_likely_a_prompt_is(url: str) -> None:
    """A token is as likely when it is read as when it is drawn; asked for as lm-eval does."""
    async with AsyncOpenAI(base_url=url + "/v1", api_key="unused", max_retries=0) as client:
        prompt = [300 + at for at in range(150)]
        asked: dict[str, Any] = {"model": NAME, "temperature": 0, "max_tokens": 1, "logprobs": 2}
        for _ in range(2):  # what is remembered from the first time hides nothing
            whole = await client.completions.create(**asked, prompt=prompt, echo=True)
            (choice,) = whole.choices
            told = choice.logprobs
            assert told is not None
            assert told.tokens
            assert told.token_logprobs
            assert told.top_logprobs
            assert told.text_offset
            assert len(told.tokens) == len(told.token_logprobs) == len(told.top_logprobs) == 151
            assert told.token_logprobs[0] is None
            assert told.top_logprobs[0] is None
            assert all(1 <= len(each) <= 2 for each in told.top_logprobs[1:])
            for token, offset in zip(told.tokens, told.text_offset, strict=True):
                assert choice.text[offset : offset + len(token)] == token
        asked_nothing = asked | {"max_tokens": 0}
        (read,) = (
            await client.completions.create(**asked_nothing, prompt=prompt, echo=True)
        ).choices
        assert read.logprobs is not None
        assert read.logprobs.tokens == told.tokens[:-1]
        for at in (1, 2, 32, 33, 100, 149):
            (drawn,) = (
                await client.completions.create(
                    **asked, prompt=prompt[:at], logit_bias={str(prompt[at]): 100}
                )
            ).choices
            assert drawn.logprobs is not None
            assert drawn.logprobs.tokens == [told.tokens[at]]
            assert drawn.logprobs.token_logprobs == pytest.approx(
                [told.token_logprobs[at]], abs=0.02
            )
        stream = await client.completions.create(**asked, prompt=prompt, echo=True, stream=True)
        chunks = [choice async for chunk in stream for choice in chunk.choices]
        assert "".join(each.text for each in chunks) == choice.text
        parts = [each.logprobs for each in chunks if each.logprobs]
        assert [token for part in parts for token in part.tokens or []] == told.tokens
        assert [at for part in parts for at in part.text_offset or []] == told.text_offset


async def test_a_text_begins_where_its_writer_began(url: str) -> None:
    """The mark of a beginning that the model puts there is no part of it."""
    async with AsyncOpenAI(base_url=url + "/v1", api_key="unused", max_retries=0) as client:
        asked: dict[str, Any] = {"model": NAME, "prompt": "Hello", "max_tokens": 1, "logprobs": 0}
        (choice,) = (await client.completions.create(**asked, echo=True)).choices
        assert choice.logprobs is not None
        assert "".join((choice.logprobs.tokens or [])[:-1]) == "Hello"
        with pytest.raises(openai.BadRequestError, match="suffix: a prompt in two parts"):
            await client.completions.create(**asked, echo=True, suffix="b")


async def test_offsets_are_the_same_while_a_stop_string_may_come(url: str) -> None:
    async with AsyncOpenAI(base_url=url + "/v1", api_key="unused", max_retries=0) as client:
        asked: dict[str, Any] = {"prompt": "Hello", "max_tokens": 24, "logprobs": 0, "seed": 3}
        asked |= {"model": NAME, "temperature": 2}
        (whole,) = (await client.completions.create(**asked)).choices
        # None of them comes, but the end of every token could be the beginning of one.
        stops = [f"{sign}\0" for sign in set(whole.text)][:64]
        stream = await client.completions.create(**asked, stop=stops, stream=True)
        choices = [choice async for chunk in stream for choice in chunk.choices]
        assert "".join(choice.text for choice in choices) == whole.text
        told = [choice.logprobs for choice in choices if choice.logprobs]
        offsets = [offset for each in told for offset in each.text_offset or []]
        assert whole.logprobs is not None
        assert offsets == whole.logprobs.text_offset
        assert [token for each in told for token in each.tokens or []] == whole.logprobs.tokens
