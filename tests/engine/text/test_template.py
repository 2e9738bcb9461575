"""Chat templates: what they are given, and that they cannot do harm."""

from __future__ import annotations

from datetime import datetime

import pytest

from dmr_tui.engine.request import (
    ContentPart,
    FunctionCall,
    ImagePart,
    ImageURL,
    Message,
    TextPart,
    ToolCall,
)
from dmr_tui.engine.text.template import ChatTemplate
from dmr_tui.errors import InvalidRequestError
from tests.engine.text.tools import recorded

USER = Message("user", "Hi")


def render(source: str | None, *messages: Message, **options: object) -> str:
    return ChatTemplate(source, bos="<s>", eos="</s>").render(messages or [USER], dict(options))


def test_chatml_is_used_when_there_is_none() -> None:
    assert render(None, Message("system", "Be brief."), USER) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_blocks_leave_no_white_space() -> None:
    source = (
        "{% for m in messages %}\n    {% if true %}\n{{ m.content }}\n    {% endif %}\n{% endfor %}"
    )
    assert render(source) == "Hi\n"


def test_loops_can_be_left() -> None:
    source = (
        "{% for m in messages %}{% if loop.index == 2 %}{% break %}{% endif %}"
        "{{ m.role }}{% endfor %}"
    )
    assert render(source, USER, USER, USER) == "user"


def test_variables_of_transformers_are_there() -> None:
    assert render("{{ bos_token }}|{{ eos_token }}|{{ add_generation_prompt }}|{{ tools }}") == (
        "<s>|</s>|True|None"
    )
    assert render("{{ strftime_now('%Y') }}") == str(datetime.now().year)


def test_json_is_not_escaped_for_html() -> None:
    assert render("{{ x | tojson }}", x={"a": "<é>'"}) == """{"a": "<é>'"}"""
    assert render("{{ x | tojson(indent=1) }}", x=[1]) == "[\n 1\n]"


def test_marks_for_training_print_their_body() -> None:
    source = "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}"
    assert render(source) == "Hi"


def test_options_reach_the_template_but_do_not_replace_the_conversation() -> None:
    source = "{{ enable_thinking }} {{ messages[0].content }}"
    assert render(source, enable_thinking=False) == "False Hi"


def test_parts_become_text() -> None:
    parts = Message("user", [TextPart("one"), TextPart("two")])
    assert render("{{ messages[0].content }}", parts) == "one\ntwo"


def test_a_template_that_reads_parts_gets_parts() -> None:
    source = (
        "{% for m in messages %}{% for part in m['content'] %}"
        "{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endfor %}"
    )
    assert render(source) == "Hi"


def test_content_that_is_missing_is_empty() -> None:
    call = ToolCall("1", FunctionCall("look", "{}"))
    source = "{{ messages[0].content }}{{ messages[0].tool_calls[0].function.name }}"
    assert render(source, Message("assistant", None, tool_calls=[call])) == "look"


def test_an_image_is_refused() -> None:
    parts: list[ContentPart] = [TextPart("what?"), ImagePart(ImageURL("data:image/png;base64,"))]
    with pytest.raises(InvalidRequestError, match="cannot see images"):
        render(None, Message("user", parts))


def test_a_refusal_says_the_templates_own_words() -> None:
    with pytest.raises(InvalidRequestError, match="roles must alternate"):
        render("{{ raise_exception('roles must alternate') }}")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ nothing.at.all }}", "UndefinedError"),
        ("{{ messages[0].content + 1 }}", "TypeError"),
        ("{% for x in range(9) %}{{ x", "line 1"),
        ("{{ x | nosuchfilter }}", "nosuchfilter"),
    ],
)
def test_a_broken_template_is_named(source: str, words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words) as caught:
        render(source)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ raise_exception.__globals__['json'] }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ '{0.__class__.__mro__}'.format(1) }}",
        "{{ range(1000000) }}",
        "{% include '/etc/passwd' %}",
    ],
)
def test_the_sandbox_holds(source: str) -> None:
    with pytest.raises(InvalidRequestError):
        render(source)


def test_thoughts_of_an_earlier_turn_have_both_of_their_names() -> None:
    source = "{% for m in messages %}{{ m.reasoning_content }}|{{ m.thinking }}"
    source += "{% if m.tool_calls %}!{% endif %}{% endfor %}"
    call = ToolCall("c1", FunctionCall("f", "{}"))
    thought = Message("assistant", reasoning_content="Hm.", tool_calls=[call])
    assert ChatTemplate(source).render([thought]) == "Hm.|Hm.!"
    said = Message("assistant", "Yes.", reasoning_content="Hm.")
    assert ChatTemplate(source).render([said]) == "Hm.|"


def test_what_a_template_changes_is_its_own() -> None:
    source = (
        "{% set all = [] %}{% for m in messages %}{% set _ = all.append(m.content) %}"
        "{% set _ = m.update(content='changed') %}{% endfor %}{{ all | map('upper') | tojson }}"
    )
    template = ChatTemplate(source)
    assert template.render([USER]) == template.render([USER]) == f'["{str(USER.content).upper()}"]'


@pytest.mark.parametrize("refuses", ["raise_exception('no system')", "''"])
def test_instructions_go_to_the_user_where_a_template_has_no_place_for_them(refuses: str) -> None:
    source = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ " + refuses + " }}{% else %}"
        "[{{ m.role }}: {{ m.content }}]{% endif %}{% endfor %}"
    )
    template = ChatTemplate(source)
    brief, reply = Message("system", "Be brief."), Message("assistant", "Hi.")
    assert template.render([brief, Message("user", "Hello")]) == "[user: Be brief.\n\nHello]"
    asked = template.render([Message("user", "Hello"), reply, brief])
    assert asked == "[user: Hello][assistant: Hi.][user: Be brief.]"


def test_calls_that_a_template_writes_as_python_are_given_as_objects() -> None:
    source = each_call(
        "{{ c.function.name }}({% for key, value in c.function.arguments.items() %}"
        "{{ key }}='{{ value }}'{% endfor %})"
    )
    call = ToolCall("c1", FunctionCall("f", '{"a": "b"}'))
    assert ChatTemplate(source).render([Message("assistant", tool_calls=[call])]) == "f(a='b')"


def test_a_template_can_be_used_again() -> None:
    template = ChatTemplate("{{ messages | length }}")
    assert [template.render([USER] * count) for count in (1, 2)] == ["1", "2"]


def each_call(source: str) -> str:
    loops = "{% for m in messages %}{% for c in m.tool_calls %}", "{% endfor %}{% endfor %}"
    return loops[0] + source + loops[1]


CALLING = Message(
    "assistant", None, tool_calls=[ToolCall("c1", FunctionCall("look", '{"at": ["é", 1]}'))]
)


@pytest.mark.parametrize(
    ("source", "written"),
    [
        ("{{ c.function.arguments | tojson }}", '{"at": ["é", 1]}'),
        (
            "{% for k, value in c.function.arguments.items() %}{{ k }}={{ value[1] }}{% endfor %}",
            "at=1",
        ),
        ("{{ '' + c.function.arguments }}", '{"at": ["é", 1]}'),
        ("{{ c.function.arguments }}", '{"at": ["é", 1]}'),
        ("{{ c.type }} {{ c.id }}", "function c1"),
        ("{{ c | list }}", "['id', 'type', 'function']"),
    ],
)
def test_arguments_come_as_the_template_takes_them(source: str, written: str) -> None:
    assert render(each_call(source), USER, CALLING) == written


def test_arguments_that_are_no_json_stay_text() -> None:
    broken = Message("assistant", None, tool_calls=[ToolCall("c1", FunctionCall("look", "{at"))])
    source = each_call("{{ c.function.arguments | tojson }}")
    assert render(source, USER, broken) == '"{at"'


def test_arguments_that_nest_without_end_stay_text() -> None:
    deep = '{"a": ' + "[" * 100_000
    closed = deep + "]" * 100_000 + "}"
    for text in (deep, closed):
        old = Message("assistant", None, tool_calls=[ToolCall("c1", FunctionCall("look", text))])
        assert text in render(each_call("{{ c.function.arguments }}"), USER, old)


def asked(*calls: tuple[str, str]) -> list[Message]:
    """A conversation with calls in one turn, and their results."""
    made = [ToolCall(name, FunctionCall(name, given)) for name, given in calls]
    results = [Message("tool", f"{call.id}'s", tool_call_id=call.id) for call in made]
    return [USER, Message("assistant", "Wait.", tool_calls=made), *results]


SPELLED = [
    (recorded.GRANITE, '<|tool_call|>[{"name": "f", "arguments": {"a": [1, "é"]}}]'),
    (recorded.PHI, '<|tool_call|>[{"name": "f", "arguments": {"a": [1, "é"]}}]<|/tool_call|>'),
    (recorded.LFM2, "<|tool_call_start|>[f(a=[1, 'é'])]<|tool_call_end|>"),
    (recorded.HERMES, '{"name":"f","arguments":{"a":[1,"é"]}}'),
]


@pytest.mark.parametrize(("family", "call"), SPELLED)
def test_calls_that_a_template_leaves_out_are_text(family: str, call: str) -> None:
    source = family + "{% for m in messages %}{{ m.role }}: {{ m.content }};{% endfor %}"
    turns = f"user: Hi;assistant: Wait.{call};tool: f's;"
    assert render(source, *asked(("f", '{"a": [1, "é"]}'))).endswith(turns)


@pytest.mark.parametrize("given", ["", "[1]", "{"])
def test_odd_arguments_that_a_template_leaves_out_are_text(given: str) -> None:
    source = recorded.GRANITE + "{% for m in messages %}{{ m.content }};{% endfor %}"
    assert "Wait." in render(source, *asked(("f", given)))


def test_calls_are_no_text_where_they_are_written_only_behind_their_results() -> None:
    source = (
        "{% for m in messages %}{% if m.role == 'tool' %}"
        "{{ messages[loop.index0 - 1].tool_calls[0].function.name }}={{ m.content }}"
        "{% else %}{{ m.content }};{% endif %}{% endfor %}"
    )
    assert render(source, *asked(("f", "{}"))) == "Hi;Wait.;f=f's"


ONE_CALL = (
    "{% for m in messages %}{% if m.tool_calls and m.tool_calls|length > 1 %}"
    "{{ raise_exception('one only') }}{% endif %}"
    "{{ m.content }}{% if m.tool_calls %}({{ m.tool_calls[0].function.name }}){% endif %};"
    "{% endfor %}"
)


def test_calls_come_one_by_one_where_a_turn_may_have_one_only() -> None:
    conversation = [*asked(("f", "{}"), ("g", "{}")), Message("tool", "lost"), USER]
    assert render(ONE_CALL, *conversation) == "Hi;Wait.(f);f's;(g);g's;lost;Hi;"


def test_what_is_refused_one_by_one_stays_refused() -> None:
    source = "{% if messages|length > 1 %}{{ raise_exception('too many') }}{% endif %}"
    for conversation in (asked(("f", "{}"), ("g", "{}")), [USER, USER]):
        with pytest.raises(InvalidRequestError, match="too many"):
            render(source, *conversation)


def test_tools_are_in_the_first_system_message_where_they_are_looked_for() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    system = Message("system", "Be brief.")
    told = '<|tool|>[{"name": "f"}]<|/tool|>'
    assert render(recorded.PHI_4, system, USER, system, tools=tools) == (
        f"<|system|>Be brief.{told}<|user|>Hi<|system|>Be brief."
    )
    assert render(recorded.PHI_4, USER, tools=tools) == f"<|system|>{told}<|user|>Hi"
    assert render(recorded.PHI_4, USER) == "<|user|>Hi"
    with pytest.raises(InvalidRequestError):
        render(recorded.PHI_4, USER, tools=["f"])
