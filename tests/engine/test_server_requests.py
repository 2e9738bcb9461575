"""What llama-server would pass over: made of its answer, put into a form it heeds, or refused."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from dmr_tui.engine.files import ModelFiles
from dmr_tui.engine.manager import EngineManager
from dmr_tui.engine.profile import Profile
from dmr_tui.engine.protocol import Load
from dmr_tui.engine.questions import EmbedQuestion, Props, RankQuestion, TemplateQuestion, Text
from dmr_tui.engine.request import (
    ChatRequest,
    CompletionRequest,
    Delta,
    Event,
    Finished,
    FinishReason,
    Function,
    FunctionCall,
    JSONAnswer,
    Likelihood,
    Limits,
    Message,
    NamedTool,
    Reasoning,
    ReasoningDelta,
    TokenLogprobs,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    Usage,
)
from dmr_tui.engine.server_options import shifts
from dmr_tui.engine.server_requests import Prepared, check, prepare, told
from dmr_tui.errors import InvalidRequestError
from dmr_tui.runner.answers import to_body
from dmr_tui.runner.failures import failure
from tests.engine.asking import GREEDY, Answer, ask, complete, worker_of
from tests.engine.test_xllamacpp import HERMES, OTHER, OWN, twin
from tests.support.gguf_maker import CHATML, write_tiny_bert, write_tiny_llama

pytestmark = pytest.mark.asyncio(loop_scope="module")

CITY = {
    "type": "object",
    "properties": {"city": {"enum": ["Paris", "Rome"]}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOLS = [Tool(Function("time", "Tells it.", CITY)), Tool(Function("weather", "Looks.", CITY))]
USAGE = Usage(1, 1)
THINKER = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% if m.reasoning_content %}"
    "{{ '<think>\n' + m.reasoning_content + '\n</think>\n\n' }}{% endif %}"
    "{{ m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n' }}{% endif %}"
)
"""Opens the model's thoughts."""
HARMONY = "{{ tools }}<|channel|><|message|>"
PLAIN = Props("x", 1, 1, "completion", CHATML, "", "")


def calling(choice: ToolChoice, **fields: object) -> ChatRequest:
    request = ChatRequest(
        [Message("user", "Go")], GREEDY, Limits(400), tools=TOOLS, tool_choice=choice
    )
    return msgspec.structs.replace(request, **fields)


def calls_of(answer: Answer) -> dict[str, str]:
    """What was called, and with what."""
    parts = [event for event in answer.events if isinstance(event, ToolCallDelta)]
    found = {event.index: event.name for event in parts if event.name}
    return {
        name: "".join(event.arguments for event in parts if event.index == index)
        for index, name in found.items()
    }


@pytest.mark.parametrize("template", [CHATML, HERMES, THINKER])
async def test_a_tool_that_has_to_be_called_is_called(
    both: EngineManager, tmp_path: Path, template: str
) -> None:
    gguf = write_tiny_llama(tmp_path / "x.gguf", chat_template=template)
    files = ModelFiles(f"sha256:{len(template)}", "x", gguf)
    wishes: list[tuple[ToolChoice, set[str]]] = [
        (NamedTool("weather"), {"weather"}),
        ("required", {"time", "weather"}),
    ]
    for choice, names in wishes:
        request = calling(choice, parallel_tool_calls=False, reasoning=Reasoning(budget=3))
        answer = await ask(both, files, request, OTHER)
        ((name, arguments),) = calls_of(answer).items()
        assert name in names
        assert msgspec.json.decode(arguments)["city"] in ("Paris", "Rome")
        assert answer.finished.reason == "tool_calls"
        assert not answer.text


async def test_tools_are_told_where_the_template_knows_none(
    both: EngineManager, tiny: ModelFiles
) -> None:
    for choice in ("auto", "none"):
        question = TemplateQuestion(calling(choice))
        theirs = await both.ask(tiny, question, OTHER)
        assert theirs == await both.ask(twin(tiny), question, OWN)
        assert ("You may call functions" in theirs.text) == (choice == "auto")
    told_prompt = await ask(both, tiny, calling("auto", limits=Limits(1)), OTHER)
    assert told_prompt.finished.usage.prompt_tokens > 100


async def test_calls_and_results_are_told_where_the_template_knows_none() -> None:
    call = ToolCall("1", FunctionCall("time", "{}"))
    said = [Message("assistant", tool_calls=[call]), Message("tool", "noon", tool_call_id="1")]
    assert [message.content for message in told(ChatRequest(said), PLAIN).messages] == [
        '{"name":"time","arguments":{}}',
        "Result of time: noon",
    ]


async def nothing(question: TemplateQuestion) -> Text:
    raise AssertionError


def read(prepared: Prepared, *events: Event) -> list[Event]:
    return [each for event in events for each in prepared.read(event)]


async def test_calls_are_found_where_it_finds_none() -> None:
    prepared = await prepare(calling("auto"), PLAIN, nothing)
    call = '{"name": "time", "arguments": {"city": "Rome"}}'
    thought, end = ReasoningDelta("Hm"), Finished("stop", USAGE)
    events = read(prepared, thought, Delta(call[:9]), Delta(call[9:]), end)
    assert events[0] == thought
    assert calls_of(Answer(events)) == {"time": '{"city": "Rome"}'}
    assert events[-1] == Finished("tool_calls", USAGE)


async def test_words_that_are_no_call_keep_their_likelihoods() -> None:
    prepared = await prepare(calling("auto"), PLAIN, nothing)
    likely = [TokenLogprobs(Likelihood(piece, -1.0), []) for piece in (b"{", b"x")]
    parts = [Delta("{", logprobs=likely[:1]), Delta("x", logprobs=likely[1:])]
    events = read(prepared, *parts, Finished("stop", USAGE))
    found = [event for event in events if isinstance(event, Delta)]
    assert "".join(event.text for event in found) == "{x"
    assert [each for event in found for each in event.logprobs] == likely
    assert events[-1] == Finished("stop", USAGE)


@pytest.mark.parametrize("reason", ["stop", "length"])
async def test_an_answer_without_the_call_that_it_has_to_be_fails(reason: FinishReason) -> None:
    props = msgspec.structs.replace(PLAIN, chat_template=HARMONY)
    prepared = await prepare(calling(NamedTool("time")), props, nothing)
    assert isinstance(prepared.request, ChatRequest)
    assert prepared.request.tool_choice == "required"
    assert prepared.request.tools == TOOLS[:1]
    assert read(prepared, Delta("No")) == [Delta("No")]
    end = Finished(reason, USAGE)
    if reason == "length":
        assert read(prepared, end) == [end]
        return
    with pytest.raises(InvalidRequestError, match="could not hold this model") as raised:
        prepared.read(end)
    assert raised.value.param == "tool_choice"


async def test_a_template_for_tools_alone_is_left_to_it() -> None:
    props = Props("x", 1, 1, "completion", CHATML, "", "", tool_template=HERMES)
    assert told(calling("auto"), props) == calling("auto")


async def test_a_completions_form_is_held(both: EngineManager, tiny: ModelFiles) -> None:
    form = JSONAnswer({"enum": ["yes", "no"]})
    request = CompletionRequest("Hello", GREEDY, Limits(32), form)
    assert (await ask(both, tiny, request, OTHER)).text in ('"yes"', '"no"')
    request = CompletionRequest("Hello", GREEDY, Limits(4), JSONAnswer())
    assert (await ask(both, tiny, request, OTHER)).text.startswith("{")


async def test_thoughts_have_their_budget(both: EngineManager, tmp_path: Path) -> None:
    gguf = write_tiny_llama(
        tmp_path / "x.gguf", chat_template=THINKER, marks=("<think>", "</think>")
    )
    files = ModelFiles("sha256:thinks", "thinks", gguf)
    request = ChatRequest(
        [Message("user", "Go")], GREEDY, Limits(40), reasoning=Reasoning(budget=5)
    )
    answer = await ask(both, files, request, OTHER)
    thoughts = [event for event in answer.events if isinstance(event, ReasoningDelta)]
    assert 1 <= len(thoughts) <= 5
    assert answer.text


async def test_vectors_are_cut(both: EngineManager, tiny: ModelFiles, tmp_path: Path) -> None:
    files = ModelFiles("sha256:cut", "cut", write_tiny_bert(tmp_path / "embed.gguf"))
    question = EmbedQuestion(["hello world", "another text"], dimensions=8)
    theirs = await both.ask(files, question, OTHER)
    ours = await both.ask(twin(files), question, OWN)
    for one, other in zip(theirs.vectors, ours.vectors, strict=True):
        assert struct.unpack("<8f", one) == pytest.approx(struct.unpack("<8f", other), abs=1e-3)
    with pytest.raises(InvalidRequestError, match="dimensions must be between 1 and") as raised:
        await both.ask(files, EmbedQuestion(["hello"], dimensions=9999), OTHER)
    assert raised.value.param == "dimensions"
    with pytest.raises(InvalidRequestError, match="is for completion, not for embedding"):
        await both.ask(tiny, EmbedQuestion(["hello"]), OTHER)
    with pytest.raises(InvalidRequestError, match="is for completion, not for reranking"):
        await both.ask(tiny, RankQuestion("a", ["b"]), OTHER)
    with pytest.raises(InvalidRequestError, match="is for embedding: it cannot write"):
        await ask(both, files, complete("Hello"), OTHER)


async def test_the_context_shifts_when_the_profile_says_so(
    both: EngineManager, tiny: ModelFiles
) -> None:
    files = replace(tiny, id="sha256:shifts", name="shifts")
    request = complete("Hello", max_tokens=400)
    small = Profile(context_size=256, context_shift=True, backend="llama-server")
    assert (await ask(both, files, request, small)).finished.usage.completion_tokens == 400
    process = worker_of(both, files)
    rigid = Profile(context_size=256, context_shift=False, backend="llama-server")
    assert (await ask(both, files, request, rigid)).finished.usage.completion_tokens < 257
    assert worker_of(both, files) != process


async def test_a_shift_that_it_cannot_do_is_refused(tiny: ModelFiles) -> None:
    load = Load("x", None, None, None, 0, 1, 0, context_shift=True)
    assert shifts(tiny, load)
    assert not shifts(replace(tiny, mmproj=Path("x")), load)
    with pytest.raises(InvalidRequestError, match="context shift: llama-server does not") as raised:
        check(
            CompletionRequest("x", limits=Limits(context_shift=True)),
            mode="completion",
            shifts=False,
        )
    assert raised.value.param == "context_shift"


async def test_it_hears_of_budgets_in_its_own_word() -> None:
    _, body = to_body("x", ChatRequest([], reasoning=Reasoning(budget=7)), None)
    assert body["thinking_budget_tokens"] == 7
    assert told(ChatRequest([], reasoning=Reasoning(budget=0)), PLAIN).reasoning.enabled is False


async def test_what_it_has_not_been_started_for_is_the_requests_fault() -> None:
    text = '{"error": {"code": 501, "message": "no", "type": "not_supported_error"}}'
    assert isinstance(failure(501, "/engines/v1/embeddings", text), InvalidRequestError)
