"""What a template is given, and answers that have to be calls or JSON in every family's format."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from dmr_tui.engine.request import (
    ChatRequest,
    Delta,
    Event,
    Function,
    FunctionCall,
    GrammarAnswer,
    JSONAnswer,
    Message,
    NamedTool,
    Reasoning,
    ReasoningDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
)
from dmr_tui.engine.text.answer import AnswerText
from dmr_tui.engine.text.plan import continued, plan_chat, template_input
from dmr_tui.errors import InvalidRequestError
from tests.engine.text.tools import recorded
from tests.support.writer import RandomWriter

CITY = {"type": "object", "properties": {"city": {"enum": ["Paris", "Oslo"]}}, "required": ["city"]}
SUM = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1, "maximum": 9}}}
SCHEMAS: dict[str, Any] = {"weather": CITY, "add": SUM}
TOOLS = [Tool(Function(name, "Does.", schema)) for name, schema in SCHEMAS.items()]
ASKED = [Message("system", "Be brief."), Message("user", "Go")]
CALLED = Message("assistant", "", tool_calls=[ToolCall("c1", FunctionCall("add", '{"a": 1}'))])
CONVERSATION = [
    *ASKED,
    CALLED,
    Message("tool", "1", tool_call_id="c1"),
    Message("tool", "2", name="other"),
]

FAMILIES = {
    name: template
    for name, template in vars(recorded).items()
    if name.isupper() and isinstance(template, str)
}


@pytest.fixture(scope="module")
def writer(tiny_gguf: Path) -> RandomWriter:
    return RandomWriter(tiny_gguf)


def written(writer: RandomWriter, request: ChatRequest, template: str, seed: int) -> list[Event]:
    plan = plan_chat(request, template, "")
    assert plan.grammar is not None
    start = ""
    if template == recorded.HARMONY:
        # No thoughts: random ones would seldom end.
        start = "<|channel|>f" if request.format and seed % 2 else "<|channel|>c"
    text = writer.write(plan.grammar, seed, start=start, most=1500)
    assert text is not None
    answer = AnswerText(plan.reader())
    return [*answer.feed(text.encode()), *answer.finish()]


def calls_in(events: list[Event], schemas: dict[str, Any] = SCHEMAS) -> list[str]:
    """The names of the calls, each with arguments that satisfy its tool's schema."""
    parts = [event for event in events if isinstance(event, ToolCallDelta)]
    names = [event.name for event in parts if event.name]
    for index, name in enumerate(names):
        given = "".join(event.arguments for event in parts if event.index == index)
        Draft202012Validator(schemas[name]).validate(json.loads(given))
    return names


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("choice", ["required", NamedTool("add")])
def test_forced_calls_are_valid_in_every_format(
    writer: RandomWriter, family: str, choice: ToolChoice
) -> None:
    for seed in range(4):
        request = ChatRequest(
            ASKED, tools=TOOLS, tool_choice=choice, parallel_tool_calls=seed % 2 == 1
        )
        events = written(writer, request, FAMILIES[family], seed)
        assert not any(isinstance(event, Delta) for event in events)
        names = calls_in(events)
        assert 1 <= len(names) <= (8 if request.parallel_tool_calls else 1)
        assert isinstance(choice, str) or set(names) == {"add"}


def required(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


YES = {"type": "boolean"}
DIGIT = {"type": "integer", "minimum": 0, "maximum": 9}
AWKWARD: dict[str, Any] = {
    "no names of Python's": required(**{"from": YES, "max-size": YES}),
    "no names at all": required(**{"two words": YES, "a=b": YES}),
    "choices of any kind": required(
        word={"enum": ["1", "true"]}, number={"enum": [1, 20]}, any={"enum": ["auto", 1, None]}
    ),
    "a reference": {
        "$ref": "#/$defs/D",
        "$defs": {"D": required(a={"$ref": "#/$defs/E"}), "E": DIGIT},
    },
    "all of one": {"allOf": [required(a=DIGIT), required(b=YES)]},
    "one or the other": {"anyOf": [required(a=DIGIT), required(b=YES)]},
    "one or both": {
        **required(),
        "properties": {"a": DIGIT, "b": YES},
        "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
    },
    "signs": required(
        a={"enum": ["</parameter>", "x</arg_value>", "a\n", "```"]},
        b={"type": "string", "enum": ["<escape>", '<|"|>', "<tool_call|>", "<|tool_call_end|>"]},
        **{'a">b': YES, "</k": YES},
    ),
    "keys": required(**{"a:b": YES, "c{,": YES}),
    "bounded texts": required(
        a={"type": "string", "pattern": "^[a-z]{3}$"}, b={"type": "string", "maxLength": 3}
    ),
    "texts of a form": required(
        a={"type": "string", "format": "date"}, b={"type": "string", "const": "x"}
    ),
    "unnamed": {"type": "object", "additionalProperties": DIGIT, "required": ["x"]},
}


@pytest.mark.parametrize("family", ["CODER", "GLM", "DSML", "MINIMAX", "GEMMA", "LFM2", "GEMMA_4"])
@pytest.mark.parametrize("awkward", AWKWARD)
def test_forced_calls_are_valid_whatever_a_tool_takes(
    writer: RandomWriter, family: str, awkward: str
) -> None:
    schema = AWKWARD[awkward]
    tools = [Tool(Function("do-it", parameters=schema))]
    for seed in range(3):
        request = ChatRequest(ASKED, tools=tools, tool_choice="required", parallel_tool_calls=False)
        events = written(writer, request, FAMILIES[family], seed)
        assert calls_in(events, {"do-it": schema}) == ["do-it"]
        assert not any(isinstance(event, Delta) for event in events)


def test_a_call_that_has_begun_is_not_held_to_what_cannot_be_read(writer: RandomWriter) -> None:
    schema = required(a={"enum": ["x", "</parameter>"]}, **{"b>": YES})
    plan = plan_chat(
        ChatRequest(ASKED, tools=[Tool(Function("f", parameters=schema))]), recorded.CODER, ""
    )
    assert plan.call_grammar is not None
    grammar = plan.call_grammar()
    assert grammar is not None
    begin = "<tool_call><function=f><parameter=a>"
    assert writer.follows(grammar, f"{begin}x</parameter></function></tool_call>")
    assert not writer.follows(grammar, f"{begin}</parameter></parameter>")


BEGUN = {
    "CODER": ("<tool_call>\n<function=do-it>\n<parameter=", "a>\n7\n</parameter>"),
    "GLM": ("<tool_call>do-it\n<arg_key>", "a</arg_key>\n<arg_value>7</arg_value>"),
    "MINIMAX": ('<invoke name="do-it">\n<parameter name="', 'a">7</parameter>'),
    "LFM2": ("<|tool_call_start|>[do-it(", "a=7)"),
    "FUNCTION_GEMMA": ("<start_function_call>call:do-it{", "a:7}"),
}


@pytest.mark.parametrize("family", BEGUN)
def test_a_call_that_has_begun_is_held_to_what_a_reference_stands_for(
    writer: RandomWriter, family: str
) -> None:
    begin, rest = BEGUN[family]
    for awkward, held in (("a reference", True), ("one or the other", False)):
        tools = [Tool(Function("do-it", parameters=AWKWARD[awkward]))]
        plan = plan_chat(ChatRequest(ASKED, tools=tools), FAMILIES[family], "")
        assert plan.call_grammar is not None
        grammar = plan.call_grammar()
        assert grammar is not None
        assert writer.follows(grammar, begin + rest)
        assert writer.follows(grammar, begin + "x") is not held


@pytest.mark.parametrize(
    ("family", "call"),
    [
        ("LFM2", "<|tool_call_start|>[do-it(a=7, b=7)"),
        ("GEMMA", "```tool_code\ndo-it(a=7, b=7)"),
        ("FUNCTION_GEMMA", "<start_function_call>call:do-it{a:7,b:7}"),
        ("GEMMA_4", "<|tool_call>call:do-it{a:7,b:7}"),
    ],
)
@pytest.mark.parametrize("odd", [{"multipleOf": 1021}, {"minimum": 1e30}, {"minimum": "1"}])
def test_a_call_that_has_begun_is_not_held_to_bounds_that_no_grammar_holds(
    writer: RandomWriter, family: str, call: str, odd: dict[str, Any]
) -> None:
    schema = required(a={"type": "integer", **odd}, b=DIGIT)
    tools = [Tool(Function("do-it", parameters=schema))]
    plan = plan_chat(ChatRequest(ASKED, tools=tools), FAMILIES[family], "")
    assert plan.call_grammar is not None
    grammar = plan.call_grammar()
    assert grammar is not None
    assert writer.follows(grammar, call)
    assert not writer.follows(grammar, call.replace("7", "x", 1))
    assert not writer.follows(grammar, call[::-1].replace("7", "77", 1)[::-1])
    with pytest.raises(InvalidRequestError, match=f"tools: .*{next(iter(odd))}"):
        plan_chat(ChatRequest(ASKED, tools=tools, tool_choice="required"), FAMILIES[family], "")


def test_a_built_in_tool_of_llamas_that_has_begun_is_not_held_to_them_either() -> None:
    schema = required(query={"type": "integer", "multipleOf": 1021})
    tools = [Tool(Function("brave_search", parameters=schema))]
    plan = plan_chat(ChatRequest(ASKED, tools=tools), recorded.LLAMA, "")
    assert plan.call_grammar is not None
    assert plan.call_grammar()


@pytest.mark.parametrize(
    ("header", "held"),
    [
        ("<|message|>", True),
        (" <|message|>", True),
        (" json<|message|>", True),
        ("<|constrain|>json<|message|>", True),
        (" <|constrain|>json<|message|>", True),
        ("<|channel|>commentary json<|message|>", True),
        ("<|channel|>commentary <|constrain|>json<|message|>", True),
        ("json<|message|>", False),
    ],
)
def test_what_may_follow_a_tools_name_in_harmony(
    writer: RandomWriter, header: str, held: bool
) -> None:
    plan = plan_chat(ChatRequest(ASKED, tools=TOOLS), recorded.HARMONY, "")
    assert plan.call_grammar is not None
    grammar = plan.call_grammar()
    assert grammar is not None
    call = f'to=functions.add{header}{{"a": 1}}'
    assert writer.follows(grammar, call) is held
    text = AnswerText(plan.reader())
    events = [*text.feed(f"<|channel|>commentary {call}<|call|>".encode()), *text.finish()]
    assert calls_in(events) == (["add"] if held else [])


@pytest.mark.parametrize("choice", ["required", "auto"])
def test_a_call_may_follow_thoughts_that_were_ended_in_harmony(
    writer: RandomWriter, choice: ToolChoice
) -> None:
    asked = ChatRequest(ASKED, tools=TOOLS, tool_choice=choice, reasoning=Reasoning(budget=3))
    plan = plan_chat(asked, recorded.HARMONY, "")
    thoughts = "<|channel|>analysis<|message|>Hm"
    call = '<|channel|>commentary to=functions.add <|constrain|>json<|message|>{"a": 1}'
    ended, answered = (f"{thoughts}{closing}" for closing in plan.closings)
    assert answered == f"{ended}<|channel|>final<|message|>"
    text = AnswerText(plan.reader())
    events = [*text.feed(f"{ended}{call}".encode()), *text.finish()]
    assert calls_in(events) == ["add"]
    if plan.grammar is not None:
        assert writer.accepts(plan.grammar, f"{ended}{call}")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_tool_without_parameters_is_called_without_arguments(
    writer: RandomWriter, family: str
) -> None:
    object_ = {"type": "object", "title": "Nothing"}
    for schema in (None, object_, {**object_, "properties": {}, "required": []}):
        tools = [Tool(Function("now", parameters=schema))]
        request = ChatRequest(ASKED, tools=tools, tool_choice="required", parallel_tool_calls=False)
        for seed in range(4):
            events = written(writer, request, FAMILIES[family], seed)
            parts = [event for event in events if isinstance(event, ToolCallDelta)]
            assert "".join(part.name for part in parts) == "now"
            assert json.loads("".join(part.arguments for part in parts)) == {}


def test_a_tool_that_says_what_may_be_given_may_be_given_it(writer: RandomWriter) -> None:
    for schema in ({"type": "object", "additionalProperties": True}, {"required": ["a"]}):
        tools = [Tool(Function("now", parameters=schema))]
        request = ChatRequest(ASKED, tools=tools, tool_choice="required")
        grammar = plan_chat(request, recorded.NO_TOOLS, "").grammar
        assert grammar is not None
        assert writer.accepts(grammar, '{"name": "now", "arguments": {"a": 1}}')


@pytest.mark.parametrize("family", FAMILIES)
def test_json_may_come_where_a_call_may(writer: RandomWriter, family: str) -> None:
    form = JSONAnswer({"const": [1]})
    request = ChatRequest(ASKED, tools=TOOLS, format=form, parallel_tool_calls=False)
    kinds = set()
    for seed in range(12):
        events = written(writer, request, FAMILIES[family], seed)
        text = "".join(event.text for event in events if isinstance(event, Delta))
        assert bool(calls_in(events)) != (text == "[1]")
        kinds.add(text)
    assert kinds == {"", "[1]"}


@pytest.mark.parametrize("family", FAMILIES)
def test_beside_json_only_strict_tools_have_to_be_held(family: str) -> None:
    """Other tools are taken as they are without it: the answer need not be a call."""
    ids = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}

    def plan(choice: ToolChoice, *, strict: bool) -> None:
        tools = [Tool(Function("pick", None, required(ids=ids), strict))]
        form = JSONAnswer({"type": "object"})
        request = ChatRequest(ASKED, tools=tools, tool_choice=choice, format=form)
        assert plan_chat(request, FAMILIES[family], "").grammar

    plan("auto", strict=False)
    with pytest.raises(InvalidRequestError, match="uniqueItems"):
        plan("auto", strict=True)
    with pytest.raises(InvalidRequestError, match="uniqueItems"):
        plan("required", strict=False)


@pytest.mark.parametrize("template", [recorded.HERMES + "</think>", recorded.HARMONY])
def test_thoughts_may_come_before_a_forced_answer(writer: RandomWriter, template: str) -> None:
    request = ChatRequest(ASKED, format=JSONAnswer({"const": 7}))
    plan = plan_chat(request, template, "")
    opening = "<think>" if "think" in template else "<|channel|>analysis<|message|>"
    closing, answer = "</think>\n", "7"
    if template == recorded.HARMONY:
        closing, answer = "<|end|><|start|>assistant", "<|channel|>final<|message|>7"
    assert plan.grammar is not None
    assert writer.accepts(plan.grammar, f"{opening}Hm < 8.{closing}{answer}")
    assert writer.accepts(plan.grammar, answer)
    assert not writer.accepts(plan.grammar, f"{opening}Hm{closing}8")
    text = AnswerText(plan.reader())
    events = [*text.feed(f"{opening}Hm{closing}{answer}".encode()), *text.finish()]
    assert [type(event) for event in events] == [ReasoningDelta, Delta]


def test_thoughts_that_the_prompt_opened_must_end_first(writer: RandomWriter) -> None:
    request = ChatRequest(ASKED, format=JSONAnswer({"const": 7}))
    plan = plan_chat(request, "</think>", "assistant\n<think>\n")
    assert plan.grammar is not None
    assert writer.accepts(plan.grammar, "Hm.</think>7")
    assert not writer.accepts(plan.grammar, "7")
    unthinking = plan_chat(request, "</think>", "<think>\n\n</think>\n\n").grammar
    assert unthinking is not None
    assert not writer.accepts(unthinking, "<think>Hm.</think>7")


def begun(text: str, thoughts: str | None = None, **fields: Any) -> ChatRequest:
    """An answer that has begun."""
    last = Message("assistant", text, reasoning_content=thoughts)
    return ChatRequest([*ASKED, last], continues=True, **fields)


@pytest.mark.parametrize(
    ("template", "prompt", "request_", "written"),
    [
        ("", "A:", begun("Hello! I"), "A:Hello! I"),
        ("</think>", "A:<think>\n", begun("So"), "A:<think>\n\n</think>\n\nSo"),
        ("</think>", "A:<think>\n", begun("So", "Hm."), "A:<think>\nHm.\n</think>\n\nSo"),
        ("</think>", "A:<think>\n", begun("<think>\nHm"), "A:<think>\nHm"),
        ("</think>", "A:", begun("<think>\nHm"), "A:<think>\nHm"),
        ("</think>", "A:<think>\n", begun("<think>Hm</think>So"), "A:<think>Hm</think>So"),
        ("</think>", "A:", begun("So", "Hm."), "A:<think>\nHm.\n</think>\n\nSo"),
        ("</think>", "A:<think></think>\n", begun("So", "Hm."), "A:<think></think>\nSo"),
        ("", "A:", begun("So", "Hm."), "A:So"),
        (recorded.HARMONY, "A", begun("So"), "A<|channel|>final<|message|>So"),
    ],
)
def test_the_beginning_of_an_answer_follows_the_prompt(
    template: str, prompt: str, request_: ChatRequest, written: str
) -> None:
    messages, options = template_input(request_, template)
    assert messages == ASKED
    assert options["add_generation_prompt"] is True
    assert continued(request_, template, prompt) == written


def test_an_answer_that_has_begun_is_past_its_thoughts_unless_it_opens_them() -> None:
    assert template_input(begun("So"), "</think>")[1]["enable_thinking"] is False
    for thoughtful in (begun("<think>\n"), begun("<think>Hm</think>So"), begun("So", "Hm.")):
        assert "enable_thinking" not in template_input(thoughtful, "</think>")[1]
    told = begun("So", reasoning=Reasoning(enabled=True))
    assert template_input(told, "</think>")[1]["enable_thinking"] is True


@pytest.mark.parametrize(
    ("request_", "template", "more", "events"),
    [
        (begun("Hello! I"), "</think>", " am.", [Delta(" am.")]),
        (begun("Hello! I", tools=TOOLS), "", " am.", [Delta(" am.")]),
        (begun("Hello! I"), recorded.HARMONY, " am.", [Delta(" am.")]),
        (begun("<think>\nHm"), "</think>", "</think>\nSo", [Delta("So")]),
        (begun("<think>\nHm"), "</think>", "m", [ReasoningDelta("m")]),
        (begun("<think>Hm</think>So"), "</think>", " it is", [Delta(" it is")]),
    ],
)
def test_an_answer_goes_on_from_its_beginning(
    request_: ChatRequest, template: str, more: str, events: list[Event]
) -> None:
    text = AnswerText(plan_chat(request_, template, "").reader())
    assert [*text.feed(more.encode()), *text.finish()] == events


def test_what_follows_the_beginning_of_an_answer_is_held_to_its_form(writer: RandomWriter) -> None:
    form = JSONAnswer({"const": 7})
    for template in (recorded.HERMES + "</think>", recorded.HARMONY):
        plan = plan_chat(begun("Seven:", format=form), template, "")
        assert plan.grammar is not None
        assert writer.accepts(plan.grammar, "7")
        assert not writer.accepts(plan.grammar, "<think>Hm.</think>7")
        assert not writer.accepts(plan.grammar, "<|channel|>final<|message|>7")
    forced = begun("I add.", tools=TOOLS, tool_choice=NamedTool("add"))
    plan = plan_chat(forced, recorded.HARMONY, "")
    call = (
        "<|end|><|start|>assistant<|channel|>commentary to=functions.add "
        '<|constrain|>json<|message|>{"a": 1}'
    )
    assert plan.grammar is not None
    assert writer.accepts(plan.grammar, call)
    text = AnswerText(plan.reader())
    assert calls_in([*text.feed(call.encode()), *text.finish()]) == ["add"]


def test_a_grammar_of_ones_own_is_taken_as_it_is() -> None:
    request = ChatRequest(ASKED, format=GrammarAnswer('root ::= "x"'))
    plan = plan_chat(request, "</think>", "<think>")
    assert plan.grammar == 'root ::= "x"'
    assert AnswerText(plan.reader()).feed(b"x") == [Delta("x")]


SINGLE = [
    (
        recorded.HERMES,
        '<tool_call>[{"name": "add", "arguments": {}}, {"name": "add", "arguments": {}}]',
    ),
    (recorded.LLAMA, '{"name": "add", "parameters": {}}; {"name": "add", "parameters": {}} So.'),
    (recorded.MISTRAL_ARGS, "[TOOL_CALLS]add[ARGS]{}[TOOL_CALLS]add[ARGS]{}"),
]


@pytest.mark.parametrize(("template", "output"), SINGLE)
@pytest.mark.parametrize("held", [True, False])
def test_one_call_is_all_where_there_may_not_be_several(
    template: str, output: str, held: bool
) -> None:
    request = ChatRequest(ASKED, tools=TOOLS, parallel_tool_calls=False)
    for size in (1, len(output)):
        answer = AnswerText(plan_chat(request, template, "").reader())
        answer.hold(held)
        pieces = [output[at : at + size] for at in range(0, len(output), size)]
        events = [event for piece in pieces for event in answer.feed(piece.encode())]
        events += answer.finish()
        assert calls_in(events) == ["add"]
        assert not any(isinstance(event, Delta) for event in events)
        assert answer.called


def test_free_answers_are_held_to_nothing() -> None:
    for choice in ("auto", "none"):
        request = ChatRequest(ASKED, tools=TOOLS, tool_choice=choice)
        assert plan_chat(request, recorded.HERMES, "").grammar is None


def test_a_template_that_knows_tools_gets_them() -> None:
    request = ChatRequest(CONVERSATION, tools=TOOLS, template_options={"x": 1})
    messages, options = template_input(request, recorded.HERMES)
    assert messages == CONVERSATION
    assert options["x"] == 1
    assert options["tools"][0]["type"] == "function"
    assert options["tools"][0]["function"]["name"] == "weather"
    assert [*options["tools"][0]] == ["type", "function"]  # as models saw it in their training


def test_calls_have_ids_that_the_template_takes() -> None:
    fussy = "{% if tools and messages[0].tool_calls[0].id|length != 9 %}[TOOL_CALLS]{% endif %}"
    given = ["call_GxY7bQ2mWv8pRk3t", "abcdefgh1", "call-0001", "call_GxY7bQ2mWv8pRk3u"]
    history = [
        Message("assistant", tool_calls=[ToolCall(each, FunctionCall("add", "{}"))])
        for each in given
    ] + [Message("tool", "1", tool_call_id=each) for each in given]
    messages, _ = template_input(ChatRequest(history, tools=TOOLS), fussy)
    called = [call.id for message in messages for call in message.tool_calls or ()]
    assert called == [message.tool_call_id for message in messages[len(given) :]]
    assert called[1] == given[1]
    assert len(set(called)) == len(given)
    assert all(len(each) == 9 and each.isalnum() for each in called)
    again, _ = template_input(ChatRequest(history[3:], tools=TOOLS), fussy)
    assert again == messages[3:]  # whatever is left out before it
    assert template_input(ChatRequest(history, tools=TOOLS), recorded.HERMES)[0] == history


@pytest.mark.parametrize("template", [recorded.HERMES, recorded.NO_TOOLS])
def test_without_a_choice_no_tools_are_told(template: str) -> None:
    request = ChatRequest(ASKED, tools=TOOLS, tool_choice="none")
    messages, options = template_input(request, template)
    assert messages == ASKED
    assert not options.get("tools")


@pytest.mark.parametrize("template", [recorded.NO_TOOLS, recorded.APERTUS])
def test_a_template_without_tools_in_a_known_form_is_told_of_them_in_words(template: str) -> None:
    messages, options = template_input(ChatRequest(CONVERSATION, tools=TOOLS), template)
    assert not options.get("tools")
    system, user, assistant, result = messages
    assert str(system.content).startswith("Be brief.\n\n")
    assert '"name":"weather","description":"Does."' in str(system.content)
    assert user == ASKED[1]
    assert assistant == Message("assistant", '{"name":"add","arguments":{"a":1}}')
    assert result == Message("user", "Result of add: 1\nResult of other: 2")


def test_old_calls_are_words_even_when_no_tools_are_offered_any_more() -> None:
    messages, _ = template_input(ChatRequest(CONVERSATION), recorded.NO_TOOLS)
    assert [message.role for message in messages] == ["system", "user", "assistant", "user"]
    assert messages[0] == ASKED[0]


def test_old_arguments_that_nest_without_end_are_words_too() -> None:
    deep = '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}"
    old = Message("assistant", None, tool_calls=[ToolCall("c1", FunctionCall("look", deep))])
    messages, _ = template_input(ChatRequest([*ASKED, old]), recorded.NO_TOOLS)
    assert "[[[[" in str(messages[-1].content)


@pytest.mark.parametrize("template", [recorded.GEMMA, recorded.FUNCTION_GEMMA, recorded.HERMES])
def test_parameters_that_nest_without_end(template: str) -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(400):
        schema = {"type": "object", "properties": {"a": schema}}
    deep = [Tool(Function("deep", parameters=schema))]
    with pytest.raises(InvalidRequestError, match="nests too deep"):
        plan_chat(ChatRequest(ASKED, tools=deep, tool_choice="required"), template, "")
    free = plan_chat(ChatRequest(ASKED, tools=deep), template, "")
    assert free.call_grammar is not None
    free.call_grammar()


ODD: list[dict[str, Any]] = [
    {"properties": {"city": True, "days": False}},
    {"properties": {"city": 5, "days": None}},
    {"properties": {"city": {"enum": 5}, "days": {"type": 5}}, "required": ["city"]},
    {"properties": {"city": {"type": "object", "properties": {"x": {"enum": 5}}, "required": 5}}},
    {"properties": {"city": {"items": 5}, "days": {"$ref": 5}}},
    {"properties": {"city": {"type": "string"}}, "required": 5},
    {"properties": 5, "required": "city"},
    {"$defs": 5, "additionalProperties": 5},
]
"""Schemas of a tool's arguments that say what nobody expects; the first is a usual one."""


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("schema", ODD)
def test_a_tool_may_describe_itself_oddly(family: str, schema: dict[str, Any]) -> None:
    """What is wrong with a schema is the asker's fault, or is not looked at."""
    tools = [Tool(Function("weather", parameters=schema))]
    free = plan_chat(ChatRequest(ASKED, tools=tools), FAMILIES[family], "")
    assert free.call_grammar is not None
    assert free.call_grammar()
    for output in recorded.RECORDED:
        answer = AnswerText(free.reader())
        answer.feed(output.output.encode())
        answer.finish()
    with suppress(InvalidRequestError):
        plan_chat(ChatRequest(ASKED, tools=tools, tool_choice="required"), FAMILIES[family], "")


@pytest.mark.parametrize(
    ("reasoning", "options"),
    [
        (Reasoning(), {}),
        (Reasoning(enabled=False), {"enable_thinking": False, "thinking": False}),
        (Reasoning(effort="none"), {"enable_thinking": False, "thinking": False}),
        (
            Reasoning(effort="high"),
            {"enable_thinking": True, "thinking": True, "reasoning_effort": "high"},
        ),
        (
            Reasoning(budget=0),
            {"enable_thinking": False, "thinking": False, "thinking_budget": 0},
        ),
        (
            Reasoning(enabled=True, budget=9),
            {"enable_thinking": True, "thinking": True, "thinking_budget": 9},
        ),
    ],
)
def test_reasoning_reaches_the_template(reasoning: Reasoning, options: dict[str, Any]) -> None:
    _, given = template_input(ChatRequest(ASKED, reasoning=reasoning), "")
    assert {key: value for key, value in given.items() if key != "tools"} == options
    own = {"enable_thinking": "mine"}
    _, given = template_input(ChatRequest(ASKED, reasoning=reasoning, template_options=own), "")
    assert given["enable_thinking"] == "mine"
