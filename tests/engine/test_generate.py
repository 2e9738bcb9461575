"""One request, one answer, from a real worker."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from dmr_tui.engine.files import ModelFiles
from dmr_tui.engine.manager import EngineManager
from dmr_tui.engine.profile import Profile
from dmr_tui.engine.request import (
    ChatRequest,
    Delta,
    Finished,
    ImagePart,
    ImageURL,
    Limits,
    Loading,
    Message,
    Sampling,
    Started,
)
from dmr_tui.errors import ContextLengthError, InvalidRequestError
from tests.engine.asking import ENDLESS, GREEDY, ask, chat, complete
from tests.support.gguf_maker import write_tiny_llama

SMALL = Profile(context_size=256)


async def test_a_chat_comes_as_a_stream(manager: EngineManager, tiny: ModelFiles) -> None:
    answer = await ask(manager, tiny, chat("Hello there"))
    kinds = [type(event) for event in answer.events if not isinstance(event, Loading)]
    assert kinds[0] is Started
    assert kinds[-1] is Finished
    assert set(kinds[1:-1]) == {Delta}
    assert len(kinds) > 8
    assert all(event.text for event in answer.events if isinstance(event, Delta))
    usage = answer.finished.usage
    assert usage.prompt_tokens == answer.started.prompt_tokens > 10
    assert usage.completion_tokens == 16
    assert usage.prompt_seconds > 0
    assert usage.generation_seconds > 0
    tokens = [event.tokens for event in answer.events if isinstance(event, Delta)]
    assert sum(tokens) == 16


async def test_a_chat_goes_through_the_models_template(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    told = await ask(manager, tiny, chat("Hello there"))
    written = "<|im_start|>user\nHello there<|im_end|>\n<|im_start|>assistant\n"
    same = await ask(manager, tiny, complete(written))
    assert told.text == same.text
    tokens = told.started.prompt_tokens
    assert (told.started.cached_tokens, same.started) == (0, Started(tokens, tokens - 1))
    bare = await ask(manager, tiny, complete("Hello there"))
    assert bare.text != told.text


async def test_a_packaged_template_replaces_the_models(
    manager: EngineManager, tiny: ModelFiles, tmp_path: Path
) -> None:
    file = tmp_path / "template.jinja"
    file.write_text("{{ messages[-1].content | upper }}{{ suffix }}")
    packaged = replace(tiny, id="sha256:packaged", chat_template=file)
    request = ChatRequest([Message("user", "hello")], GREEDY, Limits(16), {"suffix": "!"})
    answer = await ask(manager, packaged, request)
    assert answer.text == (await ask(manager, tiny, complete("HELLO!"))).text


async def test_a_model_without_a_template_gets_chatml(
    manager: EngineManager, tiny: ModelFiles, tmp_path: Path
) -> None:
    file = write_tiny_llama(tmp_path / "bare.gguf", chat_template=None)
    bare = ModelFiles(id="sha256:bare", name="bare", gguf=file)
    first = await ask(manager, bare, chat("Hello"))
    assert first.text == (await ask(manager, tiny, chat("Hello"))).text


async def test_greedy_and_seeded_answers_repeat(manager: EngineManager, tiny: ModelFiles) -> None:
    async def drawn(sampling: Sampling) -> str:
        return (await ask(manager, tiny, complete("The list", sampling=sampling))).text

    assert await drawn(GREEDY) == await drawn(GREEDY)
    hot = Sampling(temperature=2.0, top_k=0, top_p=1.0, min_p=0.0, seed=5)
    assert await drawn(hot) == await drawn(hot)
    others = {await drawn(Sampling(2.0, 0, 1.0, 0.0, seed=seed)) for seed in range(4)}
    assert len(others) == 4
    fresh = {await drawn(Sampling(2.0, 0, 1.0, 0.0)) for _ in range(4)}
    assert len(fresh) == 4


async def test_each_sampling_value_has_its_effect(manager: EngineManager, tiny: ModelFiles) -> None:
    async def drawn(**values: float) -> str:
        wild = {"temperature": 3.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "seed": 11}
        sampling = Sampling(**{**wild, **values})  # type: ignore[arg-type]  # a mix of numbers
        return (await ask(manager, tiny, complete("The list", sampling=sampling))).text

    wild = await drawn()
    greedy = await drawn(temperature=0.0)
    assert wild != greedy
    for narrowest in ({"top_k": 1}, {"top_p": 0.0}, {"min_p": 1.0}):
        assert await drawn(**narrowest) == greedy
    assert await drawn(typical_p=0.01) != wild
    for penalty in (
        {"repeat_penalty": 3.0},
        {"presence_penalty": 2.0},
        {"frequency_penalty": 2.0},
        {"repeat_penalty": 3.0, "repeat_last_n": -1},
    ):
        assert await drawn(temperature=0.0, **penalty) != greedy
    assert await drawn(temperature=0.0, repeat_penalty=3.0, repeat_last_n=0) == greedy


async def test_the_prompt_counts_for_the_penalties(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    begun = (await ask(manager, tiny, chat("Hi there", max_tokens=5))).text
    prompt = f"<|im_start|>user\nHi there<|im_end|>\n<|im_start|>assistant\n{begun}"
    plain = await ask(manager, tiny, complete(prompt, max_tokens=1))
    assert plain.text in begun
    penalised = Sampling(temperature=0.0, repeat_penalty=3.0)
    other = await ask(manager, tiny, complete(prompt, max_tokens=1, sampling=penalised))
    assert other.text != plain.text


async def test_the_profile_fills_what_a_request_leaves_open(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    greedy = await ask(manager, tiny, complete("The list"))
    profile = Profile(sampling=Sampling(temperature=0.0))
    left_open = await ask(manager, tiny, complete("The list", sampling=Sampling()), profile)
    assert left_open.text == greedy.text
    hot = Profile(sampling=Sampling(temperature=2.0, top_k=0, top_p=1.0, seed=3))
    own = await ask(manager, tiny, complete("The list"), hot)
    assert own.text == greedy.text


async def test_a_stop_string_ends_the_answer(manager: EngineManager, tiny: ModelFiles) -> None:
    whole = (await ask(manager, tiny, chat("Hello there", max_tokens=32))).text
    at = len(whole) // 2
    stop = whole[at : at + 5]
    assert len(stop) == 5
    answer = await ask(manager, tiny, chat("Hello there", max_tokens=32, stop=["never", stop]))
    assert answer.text == whole[: whole.index(stop)]
    assert answer.finished.reason == "stop"
    assert answer.finished.usage.completion_tokens < 32


async def test_max_tokens_ends_the_answer(manager: EngineManager, tiny: ModelFiles) -> None:
    for most in (1, 0):
        answer = await ask(manager, tiny, complete("Hello", max_tokens=most))
        assert answer.finished.usage.completion_tokens == most
        assert answer.finished.reason == "length"
        assert answer.text == "" or most


async def test_an_answer_ends_at_the_edge_of_the_context(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    answer = await ask(manager, tiny, ENDLESS, SMALL)
    usage = answer.finished.usage
    assert answer.finished.reason == "length"
    # The last token needs no place of its own.
    assert usage.prompt_tokens + usage.completion_tokens == 257


async def test_a_prompt_may_fill_the_context_but_not_more(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    full = await ask(manager, tiny, complete([300] * 256, max_tokens=None), SMALL)
    assert full.finished.usage.completion_tokens == 1
    with pytest.raises(ContextLengthError) as caught:
        await ask(manager, tiny, complete([300] * 257), SMALL)
    assert caught.value.message == "the prompt has 257 tokens, the context holds 256"
    assert caught.value.param == "prompt"
    with pytest.raises(ContextLengthError) as caught:
        await ask(manager, tiny, chat("word " * 2000), SMALL)
    assert caught.value.param == "messages"


async def test_the_smallest_context_works(manager: EngineManager, tiny: ModelFiles) -> None:
    smallest = Profile(context_size=1)
    requests = [ask(manager, tiny, complete([300]), smallest) for _ in range(2)]
    for answer in await asyncio.gather(*requests):
        assert answer.finished.usage.completion_tokens == 16
    (model,) = manager.running()
    assert model.context_size == 256


async def test_token_ids_are_a_prompt(manager: EngineManager, tiny: ModelFiles) -> None:
    answer = await ask(manager, tiny, complete([300, 301, 302]))
    assert answer.started.prompt_tokens == 3
    for wrong in ([1024], [-1], [300, 2**40]):
        with pytest.raises(InvalidRequestError, match=r"not one of the model's 1024"):
            await ask(manager, tiny, complete(wrong))


async def test_the_text_of_a_special_token_is_that_token(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    answer = await ask(manager, tiny, complete("<|im_start|><|im_end|>"))
    assert answer.started.prompt_tokens == 2


async def test_a_beginning_token_is_written_once(
    manager: EngineManager, tiny: ModelFiles, tmp_path: Path
) -> None:
    key = b"tokenizer.ggml.add_bos_token" + (7).to_bytes(4, "little")
    data = tiny.gguf.read_bytes()
    assert key + b"\0" in data
    file = tmp_path / "bos.gguf"
    file.write_bytes(data.replace(key + b"\0", key + b"\1"))
    model = ModelFiles(id="sha256:bos", name="bos", gguf=file)
    plain, marked, other = [
        (await ask(manager, files, complete(text))).started.prompt_tokens
        for files, text in (
            (model, "Hello"),
            (model, "<|endoftext|>Hello"),
            (tiny, "Hello"),
        )
    ]
    assert plain == marked == other + 1


async def test_an_empty_text_begins_at_the_beginning(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    answer = await ask(manager, tiny, complete(""))
    assert answer.started.prompt_tokens == 1
    assert answer.text == (await ask(manager, tiny, complete([0]))).text
    with pytest.raises(InvalidRequestError, match="prompt is empty"):
        await ask(manager, tiny, complete([]))


async def test_a_refused_request_hurts_nobody(manager: EngineManager, tiny: ModelFiles) -> None:
    image = ChatRequest([Message("user", [ImagePart(ImageURL("data:image/png;base64,AA=="))])])
    with pytest.raises(InvalidRequestError, match="cannot see images") as caught:
        await ask(manager, tiny, image)
    assert caught.value.param == "messages"
    with pytest.raises(InvalidRequestError, match="temperature"):
        await ask(manager, tiny, complete("x", sampling=Sampling(temperature=-1)))
    assert len(manager.running()) == 1
    assert (await ask(manager, tiny, chat("Hello"))).text


async def test_a_wrong_profile_is_refused_too(manager: EngineManager, tiny: ModelFiles) -> None:
    with pytest.raises(InvalidRequestError, match="top_p"):
        await ask(manager, tiny, chat("x"), Profile(sampling=Sampling(top_p=3.0)))
    assert manager.running() == []


async def test_a_profile_lets_the_context_shift(manager: EngineManager, tiny: ModelFiles) -> None:
    request = complete("Hello", max_tokens=400)
    small = Profile(context_size=256, context_shift=True)
    assert (await ask(manager, tiny, request, small)).finished.usage.completion_tokens == 400
    rigid = Profile(context_size=256)
    assert (await ask(manager, tiny, request, rigid)).finished.usage.completion_tokens < 257
