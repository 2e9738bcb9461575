from __future__ import annotations

import json
from pathlib import Path

import pytest

from dmr_tui.chat.commands import (
    COMMANDS,
    ChatContext,
    Outcome,
    completions,
    execute,
    is_command,
    is_whole,
)
from dmr_tui.chat.conversation import Conversation
from dmr_tui.chat.parameters import PARAMETERS, Parameter, set_in_few_words
from dmr_tui.engine.profile import Profile
from dmr_tui.paths import Paths
from dmr_tui.runner.local import LocalRunner
from dmr_tui.settings import Settings
from tests.support.fake_runner import NAMES, FakeRunner

MODEL = NAMES[0]


@pytest.fixture
def context() -> ChatContext:
    return ChatContext(Conversation(MODEL), FakeRunner(), "Ctrl + c  stop")


@pytest.mark.parametrize("line", ["/bye", "/?", "/set system x", "/nonsense", "/", "/set\nsystem"])
def test_commands_are_told_from_messages(line: str) -> None:
    assert is_command(line)


@pytest.mark.parametrize("line", ["/etc/hosts", "/home/me/x what is it?", "hi /bye", "", "//"])
def test_messages_are_no_commands(line: str) -> None:
    assert not is_command(line)


@pytest.mark.parametrize("line", ["/bye", "/exit", "/BYE", "  /bye  "])
async def test_leaving(context: ChatContext, line: str) -> None:
    assert await execute(line, context) == Outcome(leave=True)


@pytest.mark.parametrize("line", ["/clear", "/new"])
async def test_clear(context: ChatContext, line: str) -> None:
    context.conversation.ask("one")
    outcome = await execute(line, context)
    assert outcome.cleared
    assert context.conversation.turns == []


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("/cler", "Unknown command '/cler'. Did you mean /clear? Type /? for help"),
        ("/zzz", "Unknown command '/zzz'. Type /? for help"),
    ],
)
async def test_unknown_commands(context: ChatContext, line: str, text: str) -> None:
    assert await execute(line, context) == Outcome(text, error=True)


async def test_help_names_every_command(context: ChatContext) -> None:
    outcome = await execute("/help", context)
    for command in COMMANDS:
        for name in (command.name, *command.aliases):
            assert name in outcome.text
    assert outcome == await execute("/?", context)


async def test_help_topics(context: ChatContext) -> None:
    assert (await execute("/? shortcuts", context)).text == "Ctrl + c  stop"
    topic = (await execute("/? set", context)).text
    for name in ("temperature", "top_k", "top_p", "min_p", "seed", "num_predict", "stop",
                 "repeat_penalty", "presence_penalty", "frequency_penalty", "num_ctx"):  # fmt: skip
        assert f"/set parameter {name} " in topic
    assert (await execute("/? cookery", context)).error


async def test_set_system(context: ChatContext) -> None:
    talk = context.conversation
    assert (await execute("/set system be brief", context)).text == "Set system message."
    assert talk.system == "be brief"
    assert (await execute("/set system", context)).text.startswith("Usage: /set system TEXT")
    assert talk.system == "be brief"
    assert (await execute("/set system default", context)).text == "Cleared system message."
    assert talk.system is None
    await execute('/set system """line\nline two"""', context)
    assert talk.system == "line\nline two"


@pytest.mark.parametrize("line", ["/set num_ctx 4096", "/set parameter num_ctx 4096"])
async def test_num_ctx_holds_for_this_chat_only(context: ChatContext, line: str) -> None:
    runner = context.runner
    assert isinstance(runner, FakeRunner)
    assert (await execute(line, context)).text == "Set parameter 'num_ctx' to '4096'"
    other = ChatContext(Conversation(MODEL), runner)
    for each in (context, other):
        async for _ in each.turn("hi").stream():
            pass
    assert [profile for _, _, profile in runner.asked] == [Profile(context_size=4096), Profile()]
    # Other programs get what is stored for the model, and a loaded model stays.
    assert runner.calls == []


async def test_num_ctx_stores_nothing_for_the_model(tiny_gguf: Path) -> None:
    paths, model = Paths.default(), str(tiny_gguf)
    runner, another = (LocalRunner.open(paths, Settings()) for _ in range(2))
    try:
        context = ChatContext(Conversation(model), runner)
        assert not (await execute("/set num_ctx 4096", context)).error
        assert await another.profile(model) == Profile()
    finally:
        await runner.close()
        await another.close()


@pytest.mark.parametrize("line", ["/set num_ctx default", "/set parameter num_ctx default"])
async def test_num_ctx_can_be_unset(context: ChatContext, line: str) -> None:
    await execute("/set num_ctx 4096", context)
    outcome = await execute(line, context)
    assert outcome.text == "Parameter 'num_ctx' is the model's own again, from its next load on"
    assert context.conversation.profile == Profile()


@pytest.mark.parametrize("value", ["", "0", "-1", "x", "2147483648"])
async def test_num_ctx_must_be_a_positive_int32(context: ChatContext, value: str) -> None:
    assert (await execute(f"/set num_ctx {value}", context)).error


@pytest.mark.parametrize(
    ("name", "text", "home", "field", "value"),
    [
        ("temperature", "0.5", "sampling", "temperature", 0.5),
        ("top_k", "20", "sampling", "top_k", 20),
        ("top_p", "0.9", "sampling", "top_p", 0.9),
        ("min_p", "0.1", "sampling", "min_p", 0.1),
        ("seed", "-1", "sampling", "seed", -1),
        ("repeat_penalty", "1.1", "sampling", "repeat_penalty", 1.1),
        ("presence_penalty", "-2", "sampling", "presence_penalty", -2.0),
        ("frequency_penalty", "2", "sampling", "frequency_penalty", 2.0),
        ("num_predict", "64", "limits", "max_tokens", 64),
        ("max_tokens", "64", "limits", "max_tokens", 64),
    ],
)
async def test_parameters_go_where_they_belong(
    context: ChatContext, name: str, text: str, home: str, field: str, value: object
) -> None:
    outcome = await execute(f"/set parameter {name} {text}", context)
    assert outcome == Outcome(f"Set parameter '{name}' to '{text}'")
    assert getattr(getattr(context.conversation, home), field) == value
    request = context.conversation.ask("hi")
    assert getattr(getattr(request, home), field) == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("User: END", ["User:", "END"]),
        ('"\\n\\n" "the end"', ["\n\n", "the end"]),
        ('["a", "b c\\n"]', ["a", "b c\n"]),
        ("[END]", ["[END]"]),
        ('["a", "b"', ["[a,", "b"]),
    ],
)
async def test_stop_tells_which_texts_it_has_understood(
    context: ChatContext, text: str, words: list[str]
) -> None:
    outcome = await execute(f"/set parameter stop {text}", context)
    assert outcome == Outcome(f"Set parameter 'stop' to {json.dumps(words)}")
    assert context.conversation.ask("hi").limits.stop == words
    assert json.dumps(words) in (await execute("/show parameters", context)).text


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.name)
async def test_a_parameter_can_be_the_models_own_again(
    context: ChatContext, parameter: Parameter
) -> None:
    conversation = context.conversation
    parameter.set(conversation, parameter.parse("1"))
    assert parameter.written(conversation) == "1"
    outcome = await execute(f"/set parameter {parameter.name} default", context)
    assert "is the model's own again" in outcome.text
    assert parameter.written(conversation) == ""
    assert parameter.get(conversation) == parameter.unset


@pytest.mark.parametrize(
    "rest",
    ["temperature", "temperature hot", "temperature -1", "temperature nan", "top_p 1.1", "top_k x",
     "num_predict 0", 'stop "open', "colour red", ""],
)  # fmt: skip
async def test_bad_parameters_change_nothing(context: ChatContext, rest: str) -> None:
    outcome = await execute(f"/set parameter {rest}", context)
    assert outcome.error
    assert outcome.text
    assert context.conversation == Conversation(MODEL)


async def test_unknown_parameter_is_named(context: ChatContext) -> None:
    outcome = await execute("/set parameter colour red", context)
    assert outcome.text.startswith("Unknown parameter: colour")


async def test_show(context: ChatContext) -> None:
    info = (await execute("/show info", context)).text
    assert "llama" in info
    assert "Q8_0" in info
    assert (await execute("/show system", context)).text == "No system message is set."
    await execute("/set system be brief", context)
    assert (await execute("/show system", context)).text == "be brief"
    assert "defaults" in (await execute("/show parameters", context)).text
    await execute("/set parameter top_k 7", context)
    assert (await execute("/show parameters", context)).text == "Parameters:\n  top_k  7"
    assert (await execute("/show", context)).error


async def test_model_changes_in_mid_chat(context: ChatContext) -> None:
    context.conversation.ask("one")
    assert MODEL in (await execute("/model", context)).text
    assert (await execute(f"/model {NAMES[1]}", context)).text == f"Now talking to {NAMES[1]}."
    assert context.conversation.model == NAMES[1]
    assert len(context.conversation.turns) == 1


async def test_an_unknown_model_changes_nothing(context: ChatContext) -> None:
    outcome = await execute("/model nobody", context)
    assert outcome.error
    assert "nobody" in outcome.text
    assert context.conversation.model == MODEL


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("/se", ["/set"]),
        ("/set ", ["system", "num_ctx", "parameter"]),
        ("/set parameter top", ["top_k", "top_p"]),
        ("/help s", ["set", "shortcuts"]),
        ("/bye ", []),
        ("/zzz", []),
        ("/set parameter top_k ", []),
    ],
)
def test_completions(line: str, words: list[str]) -> None:
    assert [word for word, _ in completions(line)] == words


@pytest.mark.parametrize("line", ["/export", "/export ", "/model", "/help ", "/clear"])
def test_a_command_whose_arguments_are_optional_is_whole(line: str) -> None:
    assert is_whole(line)


@pytest.mark.parametrize("line", ["/exp", "/set ", "/load ", "/export m", "/nonsense", "hi", ""])
def test_what_is_not_a_whole_command(line: str) -> None:
    assert not is_whole(line)


async def test_what_is_set_is_told_in_few_words(context: ChatContext) -> None:
    talk = context.conversation
    assert set_in_few_words(talk) == []
    for line in ("system Be short", "parameter temperature 0.3", "parameter num_predict 3",
                 "num_ctx 1024"):  # fmt: skip
        await execute(f"/set {line}", context)
    assert set_in_few_words(talk) == ["system", "temp 0.3", "max 3", "ctx 1024"]
    await execute("/set parameter stop x y", context)
    await execute("/set parameter seed 7", context)
    assert set_in_few_words(talk) == ["system", "temp 0.3", "seed 7", "max 3", "2 more set"]
