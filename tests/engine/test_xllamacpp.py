"""The second engine for real: llama.cpp's own server, from the xllamacpp wheel."""

from __future__ import annotations

import asyncio
import os
import signal
import struct
import zlib
from base64 import b64encode
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from gguf import PoolingType
from guide.evaluate import SHIPPED

from dmr_tui.engine import llama_server, watchdog
from dmr_tui.engine.files import ModelFiles
from dmr_tui.engine.manager import EngineManager
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
from dmr_tui.engine.request import (
    ChatRequest,
    CompletionRequest,
    Delta,
    Finished,
    Function,
    ImagePart,
    ImageURL,
    JSONAnswer,
    Limits,
    Message,
    Sampling,
    TextPart,
    Tool,
)
from dmr_tui.errors import ContextLengthError, EngineError, InvalidRequestError
from tests.engine.asking import GREEDY, Answer, ask, chat, complete, worker_of
from tests.engine.test_likelihood import reported
from tests.support.gguf_maker import (
    CHATML,
    write_tiny_bert,
    write_tiny_llama,
    write_tiny_lora,
    write_tiny_projector,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

HERMES = (
    "{% if tools %}<|im_start|>system\n<tools>{% for tool in tools %}\n{{ tool | tojson }}"
    "{% endfor %}\n</tools>\nAnswer with <tool_call>\n"
    '{"name": <name>, "arguments": <arguments>}\n</tool_call><|im_end|>\n{% endif %}'
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + (m.content or '') }}"
    "{% for call in m.tool_calls or [] %}{{ '\n<tool_call>\n' }}"
    '{{ \'{"name": "\' + call.function.name + \'", "arguments": \' }}'
    "{{ call.function.arguments | tojson }}{{ '}\n</tool_call>' }}{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""As Qwen's: llama-server looks for how a template writes calls."""
OWN = Profile(backend="llama.cpp")
OTHER = Profile(backend="llama-server")
PLAIN = Sampling(temperature=0.0, repeat_penalty=1.0)
GUIDE = ModelFiles("sha256:guide", "guide", SHIPPED)
"""Trained weights: of random ones' tokens several are as likely, and two builds round otherwise."""


def twin(files: ModelFiles) -> ModelFiles:
    """The same model under another id, so that both engines hold it at a time."""
    return replace(files, id=f"{files.id}-own", name=f"{files.name}-own")


async def test_it_answers_word_for_word_as_the_built_in_engine_does(both: EngineManager) -> None:
    asked = "<|im_start|>user\nHow do I list my models?<|im_end|>\n<|im_start|>assistant\n"
    for request in (
        chat("How do I pull a model?", sampling=PLAIN, max_tokens=24),
        complete(asked, sampling=PLAIN, max_tokens=8),
    ):
        other = await ask(both, GUIDE, request, OTHER)
        own = await ask(both, twin(GUIDE), request, OWN)
        assert "dmr" in own.text
        assert other.text == own.text
        assert other.finished.reason == own.finished.reason
        theirs, ours = other.finished.usage, own.finished.usage
        assert theirs.prompt_tokens == ours.prompt_tokens
        assert theirs.completion_tokens == ours.completion_tokens
    engines = {model.id: model.backend for model in both.running()}
    assert engines[GUIDE.id] == "llama-server"
    assert engines[twin(GUIDE).id] == "llama.cpp"


@pytest.mark.parametrize("top", [0, 3])
async def test_it_tells_how_likely_tokens_were_as_the_built_in_engine_does(
    both: EngineManager, tiny: ModelFiles, top: int
) -> None:
    for request in (chat("Hello there", max_tokens=8), complete("Once upon", max_tokens=8)):
        request = msgspec.structs.replace(request, logprobs=top)
        theirs = reported(await ask(both, tiny, request, OTHER))
        ours = reported(await ask(both, twin(tiny), request, OWN))
        assert len(ours) == 8
        # It says nothing of tokens that are parts of a character.
        whole = [each for each in ours if each.chosen.piece.isascii()]
        assert len(whole) > 4
        for their, our in zip(theirs, whole, strict=True):
            assert their.chosen.piece == our.chosen.piece
            # Other kernels: the numbers of so small a model differ in the second digit.
            assert their.chosen.logprob == pytest.approx(our.chosen.logprob, abs=0.3)
            assert their.top[:1] == ([their.chosen] if top else [])
            assert len(their.top) == top


async def test_it_refuses_what_it_would_pass_over(both: EngineManager, tiny: ModelFiles) -> None:
    middle = CompletionRequest("def f(", suffix="return 1")
    with pytest.raises(InvalidRequestError, match="suffix: llama-server does not") as raised:
        await ask(both, tiny, middle, OTHER)
    assert raised.value.param == "suffix"
    likely = CompletionRequest("Hello", logprobs=1, prompt_logprobs=True)
    with pytest.raises(InvalidRequestError, match="does not tell how likely a prompt is"):
        await ask(both, tiny, likely, OTHER)


async def test_no_answer_is_lost_however_many_come_in_a_row(
    both: EngineManager, tiny: ModelFiles
) -> None:
    expected = (await ask(both, tiny, chat("Hello", max_tokens=3), OTHER)).text
    for _ in range(100):
        assert (await ask(both, tiny, chat("Hello", max_tokens=3), OTHER)).text == expected
    asked = [ask(both, tiny, chat("Hello", max_tokens=3), OTHER) for _ in range(24)]
    assert {answer.text for answer in await asyncio.gather(*asked)} == {expected}


QUESTIONS: list[Question[object]] = [
    TokenizeQuestion("Hello, Wörld <|im_end|>"),  # type: ignore[list-item]
    DetokenizeQuestion([300, 301, 302]),  # type: ignore[list-item]
    TemplateQuestion(chat("Hi")),  # type: ignore[list-item]
]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda each: type(each).__name__)
async def test_both_engines_reply_alike(
    both: EngineManager, tiny: ModelFiles, question: Question[object]
) -> None:
    assert await both.ask(tiny, question, OTHER) == await both.ask(twin(tiny), question, OWN)


async def test_both_engines_continue_an_answer(both: EngineManager) -> None:
    said = [Message("user", "Hi"), Message("assistant", "Hello! I")]
    request = ChatRequest(said, PLAIN, Limits(16), continues=True)
    other, own = await ask(both, GUIDE, request, OTHER), await ask(both, twin(GUIDE), request, OWN)
    prompt = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello! I"
    plain = await ask(both, twin(GUIDE), complete(prompt, sampling=PLAIN), OWN)
    assert other.text == own.text == plain.text


async def test_its_facts(both: EngineManager, tiny: ModelFiles) -> None:
    props = await both.ask(tiny, PropsQuestion(), OTHER)
    assert props.context_size == 4096
    assert props.chat_template == CHATML
    assert (props.bos, props.eos) == ("<|endoftext|>", "<|im_end|>")
    (model,) = (model for model in both.running() if model.id == tiny.id)
    assert model.context_size == 4096
    assert model.memory > 10_000_000


async def test_forms_are_held_and_tools_reach_the_template(
    both: EngineManager, tmp_path: Path
) -> None:
    gguf = write_tiny_llama(tmp_path / "hermes.gguf", chat_template=HERMES)
    files = ModelFiles("sha256:hermes", "hermes", gguf)
    asked = [Message("user", "Go")]
    form = JSONAnswer({"enum": ["yes", "no"]})
    answer = await ask(both, files, ChatRequest(asked, GREEDY, Limits(32), format=form), OTHER)
    assert answer.text in ('"yes"', '"no"')
    bare = answer.finished.usage.prompt_tokens
    # Whether it holds a model to a call depends on what it makes of the template.
    tools = [Tool(Function("weather", "Looks.", {"type": "object", "properties": {}}))]
    answer = await ask(both, files, ChatRequest(asked, GREEDY, Limits(4), tools=tools), OTHER)
    assert answer.finished.usage.prompt_tokens > bare + 20


async def test_vectors_and_scores_are_those_of_the_built_in_engine(
    both: EngineManager, tmp_path: Path
) -> None:
    gguf = write_tiny_bert(tmp_path / "embed.gguf")
    files = ModelFiles("sha256:embed", "embed", gguf)
    question = EmbedQuestion(["hello world", "another text"])
    theirs = await both.ask(files, question, OTHER)
    ours = await both.ask(twin(files), question, OWN)
    assert theirs.prompt_tokens == ours.prompt_tokens
    for one, other in zip(theirs.vectors, ours.vectors, strict=True):
        assert floats(one) == pytest.approx(floats(other), abs=1e-3)
    # Of BERT's pairs llama-server leaves out the last mark, which belongs there.
    gguf = write_tiny_bert(tmp_path / "rank.gguf", pooling=PoolingType.RANK, ends=True)
    ranker = ModelFiles("sha256:rank", "rank", gguf)
    ranking = RankQuestion("what is it", ["this", "and that"])
    scored = await both.ask(ranker, ranking, OTHER)
    own = await both.ask(twin(ranker), ranking, OWN)
    assert scored.scores == pytest.approx(own.scores, abs=1e-2)
    modes = {model.id: model.mode for model in both.running() if model.backend == "llama-server"}
    assert modes[files.id] == "embedding"
    assert modes[ranker.id] == "reranking"


async def test_a_long_text_is_computed_in_one_piece(both: EngineManager, tmp_path: Path) -> None:
    gguf = write_tiny_bert(tmp_path / "long.gguf", context=1024)
    files = ModelFiles("sha256:long", "long", gguf)
    question = EmbedQuestion(["hello " * 150])
    reply = await both.ask(files, question, OTHER)
    assert 512 < reply.prompt_tokens <= 1024
    own = await both.ask(twin(files), question, OWN)
    assert floats(reply.vectors[0]) == pytest.approx(floats(own.vectors[0]), abs=1e-3)


def floats(vector: bytes) -> list[float]:
    return list(struct.unpack(f"<{len(vector) // 4}f", vector))


async def test_templates_and_adapters_reach_it(
    both: EngineManager, tiny: ModelFiles, tmp_path: Path
) -> None:
    template = tmp_path / "template.jinja"
    template.write_text("{{ messages[-1].content | upper }}")
    adapter = write_tiny_lora(tmp_path / "style.gguf")
    files = replace(tiny, id="sha256:more", chat_template=template, adapters=(adapter,))
    request = chat("hello there", sampling=PLAIN)
    theirs = (await ask(both, files, request, OTHER)).text
    assert theirs == (await ask(both, twin(files), request, OWN)).text
    assert theirs != (await ask(both, twin(tiny), complete("HELLO THERE"), OWN)).text


def picture(*colour: int) -> ImagePart:
    """A PNG of one colour, as a `data:` URL."""
    rows = (b"\0" + bytes(colour) * 28) * 28
    header = struct.pack(">IIBBBBB", 28, 28, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )
    return ImagePart(ImageURL(f"data:image/png;base64,{b64encode(data).decode()}"))


async def test_it_sees_what_the_built_in_engine_cannot(
    both: EngineManager, tiny: ModelFiles, tmp_path: Path
) -> None:
    files = replace(tiny, id="sha256:sees", mmproj=write_tiny_projector(tmp_path / "mmproj.gguf"))

    async def seen(*parts: TextPart | ImagePart) -> Answer:
        request = ChatRequest([Message("user", list(parts))], GREEDY, Limits(12))
        return await ask(both, files, request)

    blind = await seen(TextPart("What is it?"))
    red, red_again, blue = [
        await seen(TextPart("What is it?"), picture(*colour))
        for colour in ((255, 0, 0), (255, 0, 0), (0, 0, 255))
    ]
    assert red.text == red_again.text
    assert len({blind.text, red.text, blue.text}) == 3
    more = red.finished.usage.prompt_tokens - blind.finished.usage.prompt_tokens
    assert more >= 4
    (model,) = (model for model in both.running() if model.id == files.id)
    assert model.backend == "llama-server"
    with pytest.raises(InvalidRequestError, match="cannot see images"):
        await ask(both, twin(tiny), ChatRequest([Message("user", [picture(0, 0, 0)])]), OWN)


async def test_a_prompt_that_is_too_long_is_told(both: EngineManager, tiny: ModelFiles) -> None:
    with pytest.raises(ContextLengthError):
        await ask(both, tiny, chat("word " * 6000), OTHER)


async def test_who_leaves_frees_its_slot(both: EngineManager, tiny: ModelFiles) -> None:
    endless = chat("Hello", max_tokens=4000)
    for _ in range(8):
        async with aclosing(both.generate(tiny, endless, OTHER)) as events:
            async for event in events:
                if isinstance(event, Delta):
                    break
    answer = await ask(both, tiny, chat("Hello", max_tokens=3), OTHER)
    assert isinstance(answer.events[-1], Finished)


async def test_its_death_in_the_middle_is_told(both: EngineManager, tiny: ModelFiles) -> None:
    files = replace(tiny, id="sha256:dying", name="dying")

    async def listen() -> None:
        process = None
        async with aclosing(both.generate(files, chat("Hello", max_tokens=4000), OTHER)) as events:
            async for event in events:
                if isinstance(event, Delta) and process is None:
                    process = worker_of(both, files)
                    os.kill(process.pid, signal.SIGSEGV)

    with pytest.raises(EngineError, match="killed by signal 11"):
        await listen()
    assert (await ask(both, files, chat("Hello", max_tokens=3), OTHER)).text


async def test_it_reads_a_long_prompt_in_peace_and_is_ended_when_it_hangs(
    both: EngineManager, tiny: ModelFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = replace(tiny, id="sha256:hanging", name="hanging")
    monkeypatch.setattr(watchdog, "SILENCE", 0.02)
    healthy = []

    async def responds(socket: Path, path: str) -> bool:
        answer = await watchdog.responds(socket, path)
        healthy.append(answer)
        return answer

    monkeypatch.setattr(llama_server, "responds", responds)
    await both.load(files, OTHER)
    process = worker_of(both, files)
    healthy.clear()
    answer = await ask(both, files, chat("word " * 1000, max_tokens=3), OTHER)
    assert answer.finished.usage.prompt_tokens > 1000
    assert healthy
    assert all(healthy)
    assert worker_of(both, files) == process
    process.suspend()
    monkeypatch.setattr(watchdog, "HEALTH_SILENCE", 0.2)
    with pytest.raises(EngineError, match="the worker was stuck"):
        await ask(both, files, chat("Hello", max_tokens=3), OTHER)
    monkeypatch.undo()
    assert (await ask(both, files, chat("Hello", max_tokens=3), OTHER)).text


async def test_a_file_that_is_no_model_is_refused(both: EngineManager, tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"garbage" * 100)
    files = ModelFiles("sha256:x", "x", tmp_path / "x.gguf")
    with pytest.raises(EngineError, match=r"cannot load .*x\.gguf"):
        await both.load(files, OTHER)


async def test_unloading_ends_it(both: EngineManager, tiny: ModelFiles) -> None:
    files = replace(tiny, id="sha256:leaving", name="leaving")
    await both.load(files, OTHER)
    process = worker_of(both, files)
    assert await both.unload([files.id]) == 1
    assert not process.is_running()
