from __future__ import annotations

from dmr_tui.chat.conversation import Conversation
from dmr_tui.engine.request import ChatRequest, Limits, Message, Sampling


def test_a_request_holds_system_and_all_turns_in_order() -> None:
    talk = Conversation("m", "be brief", sampling=Sampling(seed=3), limits=Limits(max_tokens=9))
    talk.ask("one")
    talk.answer("first")
    request = talk.ask("two")
    assert request.messages == [
        Message("system", "be brief"),
        Message("user", "one"),
        Message("assistant", "first"),
        Message("user", "two"),
    ]
    assert (request.sampling.seed, request.limits.max_tokens) == (3, 9)


def test_no_system_message_without_system() -> None:
    assert [m.role for m in Conversation("m").ask("hi").messages] == ["user"]


def test_thoughts_are_kept_but_not_sent_back() -> None:
    talk = Conversation("m")
    talk.ask("one")
    talk.answer("first", reasoning="hm")
    assert talk.turns[-1].reasoning_content == "hm"
    assert all(message.reasoning_content is None for message in talk.ask("two").messages)


def test_a_request_does_not_change_with_the_conversation() -> None:
    talk = Conversation("m")
    request = talk.ask("one")
    talk.answer("first")
    talk.clear()
    assert [m.content for m in request.messages] == ["one"]


def test_take_back_removes_the_last_question_and_its_answer() -> None:
    talk = Conversation("m")
    talk.ask("one")
    talk.answer("first")
    talk.ask("two")
    assert talk.take_back() == "two"
    assert talk.take_back() == "one"
    assert talk.turns == []
    assert talk.take_back() is None


def test_clear_keeps_what_was_set() -> None:
    talk = Conversation("m", "be brief", sampling=Sampling(temperature=0.0))
    talk.ask("one")
    talk.clear()
    assert talk.turns == []
    assert (talk.system, talk.sampling.temperature) == ("be brief", 0.0)


def test_two_conversations_share_nothing() -> None:
    first, second = Conversation("m"), Conversation("m")
    first.ask("one")
    assert second.turns == []


def test_a_request_becomes_a_conversation() -> None:
    request = ChatRequest(
        [
            Message("system", "Be brief."),
            Message("user", "one"),
            Message("assistant", "first", reasoning_content="hm"),
            Message("assistant", None),
            Message("tool", "42"),
        ],
        Sampling(temperature=0.5),
        template_options={"enable_thinking": False},
    )
    conversation = Conversation.from_request("m", request)
    assert conversation.system == "Be brief."
    assert conversation.title == "one"
    said = [(node.role, node.text, node.reasoning, node.model) for node in conversation.path]
    assert said == [
        ("user", "one", "", ""),
        ("assistant", "first", "hm", "m"),
        ("user", "42", "", ""),
    ]
    assert len(conversation.unsaved) == 3
    again = conversation.request()
    assert again.sampling.temperature == 0.5
    assert again.template_options == {"enable_thinking": False}


def test_an_answer_can_be_worded_otherwise() -> None:
    conversation = Conversation("m")
    conversation.ask("one")
    answer = conversation.answer("first")
    conversation.ask("two")
    better = conversation.rewrite(answer, "better")
    assert [node.text for node in conversation.path] == ["one", "better"]
    assert better.version == 2
    assert better.id in conversation.unsaved
    answer.choose()
    assert [node.text for node in conversation.path] == ["one", "first", "two"]
