"""What the worker's main thread does with messages, seen from inside."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from queue import SimpleQueue

import pytest

from dmr_tui.engine.context import QUEUE, SEQUENCES
from dmr_tui.engine.llamacpp import tally
from dmr_tui.engine.llamacpp.opening import open_service
from dmr_tui.engine.llamacpp.pipe import ParentPipe
from dmr_tui.engine.llamacpp.service import Service
from dmr_tui.engine.protocol import (
    Cancel,
    Failed,
    FromWorker,
    Generate,
    Load,
    Loaded,
    LoadProgress,
    Query,
    Reply,
    Step,
    ToWorker,
    encode_frame,
)
from dmr_tui.engine.questions import TemplateQuestion, Text
from dmr_tui.engine.request import (
    ChatRequest,
    CompletionRequest,
    Finished,
    Function,
    Limits,
    Message,
    PromptLogprobs,
    Sampling,
    Started,
    Tool,
)
from dmr_tui.engine.stats import Stats
from dmr_tui.errors import BusyError, EngineError, to_error
from tests.engine.asking import chat, complete
from tests.support.gguf_maker import write_tiny_llama
from tests.support.gguf_states import write_tiny_mamba


class Pipe(ParentPipe):
    """Both ends in one process: what was sent can be read."""

    def __init__(self) -> None:
        self.inbox: SimpleQueue[ToWorker] = SimpleQueue()
        self.sent: list[FromWorker] = []
        self.told: list[Stats] = []
        """Apart, because it comes with the clock."""

    def send(self, message: FromWorker) -> None:
        if isinstance(message, Stats):
            self.told.append(message)
        else:
            self.sent.append(message)


def started(file: Path, context: int = 512) -> tuple[Service, Pipe]:
    pipe = Pipe()
    load = Load(str(file), None, context, None, 0, 1, 0)
    service = open_service(load, pipe)
    assert isinstance(service, Service)
    return service, pipe


def test_a_load_is_told_step_by_step(tiny_gguf: Path) -> None:
    _, pipe = started(tiny_gguf)
    *progress, loaded = pipe.sent
    fractions = [message.fraction for message in progress if isinstance(message, LoadProgress)]
    assert len(fractions) == len(progress) > 0
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert isinstance(loaded, Loaded)
    assert (loaded.context_size, loaded.trained_context, loaded.layers) == (512, 4096, 2)
    assert loaded.gpu_layers == 0
    assert "llama" in loaded.description


def test_one_frame_for_all_answers(tiny_gguf: Path) -> None:
    service, pipe = started(tiny_gguf)
    pipe.sent.clear()
    for number in range(3):
        pipe.inbox.put(Generate(number, complete("Hello", max_tokens=4)))
    while not any(isinstance(m, Step) and ends(m) == {0, 1, 2} for m in pipe.sent):
        service.turn()
    steps = [message for message in pipe.sent if isinstance(message, Step)]
    assert len(steps) == len(pipe.sent) <= 6
    assert {number for number, _ in steps[1].events} <= {0, 1, 2}


def test_a_failed_step_fails_those_it_had_and_no_more(
    tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, pipe = started(tiny_gguf)
    pipe.inbox.put(Generate(1, chat("Hello")))
    pipe.inbox.put(Generate(2, chat("Hello")))
    service.turn()
    pipe.sent.clear()

    def broken() -> bool:
        raise EngineError("no more memory on the device")

    with monkeypatch.context() as patch:
        patch.setattr(service._context, "decode", broken)
        service.turn()
    assert pipe.sent == [
        Failed(1, "engine_error", "no more memory on the device"),
        Failed(2, "engine_error", "no more memory on the device"),
    ]
    pipe.sent.clear()
    pipe.inbox.put(Generate(3, complete("Hello", max_tokens=1)))
    service.turn()
    (step,) = pipe.sent
    assert isinstance(step, Step)
    assert ends(step) == {3}


def test_two_faults_in_one_pass_are_both_told(
    tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, pipe = started(tiny_gguf)
    for number in (1, 2, 3):
        pipe.inbox.put(Generate(number, complete("Hello", max_tokens=100)))
    service.turn()
    pipe.sent.clear()
    batcher = service._batcher
    first, second, _ = batcher._running

    def broken(index: int) -> int:
        raise EngineError("its own fault")

    def broken_for_all(index: int) -> int:
        batcher._suspend(second)
        raise EngineError("the context is lost")

    monkeypatch.setattr(first, "draw", broken)
    monkeypatch.setattr(second, "draw", broken_for_all)
    service.turn()
    errors = [(each.id, each.message) for each in pipe.sent if isinstance(each, Failed)]
    assert errors == [(1, "its own fault"), (3, "the context is lost")]


def test_a_defect_ends_the_request_that_meets_it_and_no_other(
    tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("dmr_tui.engine.llamacpp.service._FRAME_INTERVAL", 0.0)
    service, pipe = started(tiny_gguf)
    pipe.inbox.put(Generate(1, complete("Hello", max_tokens=100)))
    pipe.inbox.put(Generate(2, complete("Hello", max_tokens=100)))
    service.turn()
    pipe.sent.clear()
    capsys.readouterr()

    def broken(index: int) -> int:
        raise KeyError("a defect")

    monkeypatch.setattr(service._batcher._running[0], "draw", broken)
    pipe.inbox.put(Query(3, TemplateQuestion(chat("Hello"))))
    pipe.inbox.put(Generate(4, chat("Hello")))
    with monkeypatch.context() as patch:
        patch.setattr(service, "_prompt_builder", dict[str, str]().popitem)
        service.turn()
    errors = [message for message in pipe.sent if isinstance(message, Failed)]
    assert [(each.id, each.code) for each in errors] == [
        (3, "engine_error"),
        (4, "engine_error"),
        (1, "engine_error"),
    ]
    assert errors[2].message == "the engine failed at this request: KeyError: 'a defect'"
    lines = capsys.readouterr().err.splitlines()
    assert sum("Traceback" in line for line in lines) == 3
    assert all(" I " in line[:40] for line in lines if line)
    pipe.sent.clear()
    service.turn()
    (step,) = (message for message in pipe.sent if isinstance(message, Step))
    assert {number for number, _ in step.events} == {2}
    assert service._batcher._memory.held > 0


def test_of_a_prompt_that_is_much_too_long_only_the_beginning_is_read(
    tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, pipe = started(tiny_gguf)
    tokenize, read = service._vocabulary.tokenize, list[int]()

    def counted(text: str, *, beginning: bool = True) -> list[int]:
        read.append(len(text))
        return tokenize(text, beginning=beginning)

    monkeypatch.setattr(service._vocabulary, "tokenize", counted)
    pipe.sent.clear()
    pipe.inbox.put(Generate(1, complete("Hello " * 1_000_000, max_tokens=1)))
    # Runs of blanks have few tokens: more of them is looked at before they are refused.
    pipe.inbox.put(Generate(2, complete("Hello" + " " * 1_000_000, max_tokens=1)))
    pipe.inbox.put(Generate(3, complete("Hello " * 100, max_tokens=1)))
    monkeypatch.setattr(service, "_handle_waiting", lambda: None)
    service._handle(pipe.inbox.get())
    (failed,) = pipe.sent
    assert isinstance(failed, Failed)
    assert failed.code == "context_length_exceeded"
    assert re.fullmatch(
        r"the prompt has at least \d{4,} tokens, the context holds 512", failed.message
    )
    assert sum(read) < 100_000
    read.clear()
    service._handle(pipe.inbox.get())
    assert isinstance(pipe.sent[-1], Failed)
    service._handle(pipe.inbox.get())
    assert len(pipe.sent) == 2


def test_a_template_for_tools_writes_conversations_with_tools(tmp_path: Path) -> None:
    tools = [Tool(Function("weather"))]
    asked = [Message("user", "Hi")]
    requests = [
        ChatRequest(asked, tools=tools),
        ChatRequest(asked, tools=tools, tool_choice="none"),
        ChatRequest(asked),
    ]
    own = "{% for tool in tools %}<tool_call>{{ tool.function.name }}{% endfor %}"
    unknown = "{{ tools|length }}"
    for source, written in ((own, ["<tool_call>weather", "plain", "plain"]), (unknown, ["plain"])):
        file = write_tiny_llama(
            tmp_path / "model.gguf", chat_template="plain", tool_template=source
        )
        service, pipe = started(file)
        pipe.sent.clear()
        for at, request in enumerate(requests):
            service._handle(Query(at, TemplateQuestion(request)))
        texts = [each.answer for each in pipe.sent if isinstance(each, Reply)]
        assert texts[: len(written)] == [Text(each) for each in written]
    service, pipe = started(write_tiny_llama(tmp_path / "own.gguf", tool_template=own))
    prompt = service._prompt_builder().build(requests[0])
    assert "<tool_call>" in prompt.plan.marks
    assert "<tool_call>" not in service._prompt_builder().build(requests[2]).plan.marks


def test_an_error_with_half_a_character_is_told(
    tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, pipe = started(tiny_gguf)

    def broken() -> None:
        raise EngineError("the template says \ud83d", "no \udc00")

    monkeypatch.setattr(service, "_prompt_builder", broken)
    pipe.inbox.put(Generate(1, chat("Hello")))
    pipe.inbox.put(Generate(2, complete("Hello", max_tokens=1)))
    pipe.sent.clear()
    monkeypatch.setattr(service, "_handle_waiting", lambda: None)
    service.turn()
    (told,) = pipe.sent
    assert told == Failed(1, "engine_error", "the template says ?", "no ?")
    encode_frame(told)


def test_short_passes_share_a_frame(tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmr_tui.engine.llamacpp.service._FRAME_INTERVAL", 60.0)
    service, pipe = started(tiny_gguf)
    pipe.sent.clear()
    pipe.inbox.put(Generate(1, complete("Hello", max_tokens=6)))
    for _ in range(6):
        service.turn()
    first, rest = (message for message in pipe.sent if isinstance(message, Step))
    assert isinstance(first.events[0][1], Started)
    assert ends(rest) == {1}


def test_nothing_is_held_back_while_a_prompt_is_read(
    tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dmr_tui.engine.llamacpp.service._FRAME_INTERVAL", 60.0)
    service, pipe = started(tiny_gguf)
    pipe.inbox.put(Generate(1, complete("Hello", max_tokens=100)))
    for _ in range(3):
        service.turn()
    pipe.sent.clear()
    pipe.inbox.put(Generate(2, complete([5] * 100, max_tokens=1)))
    service.turn()
    steps = [message for message in pipe.sent if isinstance(message, Step)]
    assert [{number for number, _ in step.events} for step in steps] == [{1}, {1, 2}]


def test_nothing_is_held_back_while_a_request_is_prepared(
    tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dmr_tui.engine.llamacpp.service._FRAME_INTERVAL", 60.0)
    service, pipe = started(tiny_gguf)
    pipe.inbox.put(Generate(1, complete("Hello", max_tokens=100)))
    for _ in range(3):
        service.turn()
    pipe.sent.clear()
    pipe.inbox.put(Query(2, TemplateQuestion(chat("Hello"))))
    service.turn()
    assert [type(message) for message in pipe.sent] == [Step, Reply]


def test_a_cancelled_request_is_gone_in_the_same_turn(
    tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dmr_tui.engine.llamacpp.service._FRAME_INTERVAL", 0.0)
    service, pipe = started(tiny_gguf)
    pipe.inbox.put(Generate(1, complete("Hello", max_tokens=100)))
    pipe.inbox.put(Generate(2, complete("Hello", max_tokens=100)))
    service.turn()
    pipe.sent.clear()
    pipe.inbox.put(Cancel(1))
    pipe.inbox.put(Cancel(7))
    service.turn()
    (step,) = pipe.sent
    assert isinstance(step, Step)
    assert {number for number, _ in step.events} == {2}


def test_a_full_queue_refuses(tiny_gguf: Path) -> None:
    service, pipe = started(tiny_gguf)
    pipe.sent.clear()
    for number in range(SEQUENCES + QUEUE + 2):
        pipe.inbox.put(Generate(number, complete("Hello", max_tokens=100)))
        if number == SEQUENCES - 1:
            service.turn()
    service.turn()
    refused = [message for message in pipe.sent if isinstance(message, Failed)]
    assert [each.id for each in refused] == [SEQUENCES + QUEUE, SEQUENCES + QUEUE + 1]
    assert {each.code for each in refused} == {"too_many_requests"}
    assert isinstance(to_error(refused[0].code, "full"), BusyError)


def test_prompts_are_looked_at_where_each_place_has_one_output(tmp_path: Path) -> None:
    service, pipe = started(write_tiny_mamba(tmp_path / "mamba.gguf"), 2048)
    assert service._context.ids == service._context.sequences == SEQUENCES
    pipe.sent.clear()
    greedy, one = Sampling(temperature=0.0), Limits(1)
    for number in range(SEQUENCES):
        prompt = [300 + number, *range(400, 410)]
        asked = CompletionRequest(prompt, greedy, one, logprobs=0, prompt_logprobs=True)
        pipe.inbox.put(Generate(number, asked))
    while not service._batcher.idle or pipe.sent == []:
        service.turn()
    steps = [message for message in pipe.sent if isinstance(message, Step)]
    assert len(steps) == len(pipe.sent)
    looked = [
        len(event.tokens)
        for step in steps
        for _, event in step.events
        if isinstance(event, PromptLogprobs)
    ]
    assert looked == [10] * SEQUENCES


def test_a_long_silence_is_broken(tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service, pipe = started(tiny_gguf)
    long = complete([5] * 500, max_tokens=1)
    monkeypatch.setattr("dmr_tui.engine.llamacpp.service._HEARTBEAT", 0.0)
    pipe.inbox.put(Generate(1, long))
    pipe.sent.clear()
    monkeypatch.setattr(service._batcher, "step", list)
    service.turn()
    assert pipe.sent == [Step([])]
    monkeypatch.setattr("dmr_tui.engine.llamacpp.service._HEARTBEAT", 60.0)
    service.turn()
    assert pipe.sent == [Step([])]


def test_what_is_done_is_told_when_it_is_due_and_when_nothing_follows(
    tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, pipe = started(tiny_gguf)
    monkeypatch.setattr(tally, "INTERVAL", 3600.0)
    pipe.inbox.put(Generate(1, complete("Hello", max_tokens=100)))
    for _ in range(5):
        service.turn()
    assert pipe.told == []
    monkeypatch.setattr(tally, "INTERVAL", 0.0)
    service.turn()
    (busy,) = pipe.told
    assert (busy.busy, busy.generated_tokens) == (1, 6)
    monkeypatch.setattr(tally, "INTERVAL", 3600.0)
    pipe.inbox.put(Cancel(1))
    service.turn()
    assert len(pipe.told) == 1
    # Nothing to do: it is told before the next message is waited for.
    monkeypatch.setattr(tally, "INTERVAL", 0.0)
    threading.Timer(0.2, pipe.inbox.put, [Cancel(2)]).start()
    service.turn()
    idle = pipe.told[-1]
    assert len(pipe.told) == 2
    assert (idle.busy, idle.kv_used, idle.generated_tokens) == (0, 0, 6)
    threading.Timer(0.1, pipe.inbox.put, [Cancel(3)]).start()
    service.turn()
    assert len(pipe.told) == 2


def ends(step: Step) -> set[int]:
    """The requests that a step finished."""
    return {number for number, event in step.events if isinstance(event, Finished)}
