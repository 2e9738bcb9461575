from __future__ import annotations

from dmr_tui.chat.conversation import Conversation, title_of
from dmr_tui.engine.request import Message


def texts(talk: Conversation) -> list[str]:
    return [node.text for node in talk.path]


def said(*exchanges: tuple[str, str]) -> Conversation:
    talk = Conversation("m")
    for question, answer in exchanges:
        talk.ask(question)
        talk.answer(answer)
    return talk


def test_an_edited_question_is_a_second_version_and_the_first_stays() -> None:
    talk = said(("one", "first"), ("two", "second"))
    first = talk.question(1)
    request = talk.ask("uno", replaces=first)
    assert [message.content for message in request.messages] == ["uno"]
    talk.answer("primo")
    assert texts(talk) == ["uno", "primo"]
    assert [(node.version, len(node.versions)) for node in talk.path] == [(2, 2), (1, 1)]
    first.choose()
    assert texts(talk) == ["one", "first", "two", "second"]


def test_a_question_on_another_branch_can_be_edited() -> None:
    talk = said(("one", "first"), ("two", "second"))
    second = talk.question(2)
    talk.ask("uno", replaces=talk.question(1))
    talk.ask("zwei", replaces=second)
    assert texts(talk) == ["one", "first", "zwei"]


def test_another_answer_is_a_second_version() -> None:
    talk = said(("one", "first"))
    request = talk.ask_again(talk.question())
    assert [message.content for message in request.messages] == ["one"]
    talk.answer("zweite")
    assert texts(talk) == ["one", "zweite"]
    assert talk.tip.version == 2
    talk.tip.versions[0].choose()
    assert texts(talk) == ["one", "first"]


def test_a_branch_remembers_how_it_went_on() -> None:
    talk = said(("one", "first"), ("two", "second"))
    last = talk.tip
    talk.ask("other", replaces=talk.question(2))
    talk.answer("way")
    other = talk.tip
    talk.question(2).versions[0].choose()
    assert talk.tip is last
    other.choose()
    assert texts(talk)[-2:] == ["other", "way"]


def test_take_back_keeps_the_question_as_a_version() -> None:
    talk = said(("one", "first"))
    assert talk.take_back() == "one"
    talk.ask("uno")
    assert (talk.tip.version, len(talk.tip.versions)) == (2, 2)


def test_withdraw_removes_for_good() -> None:
    talk = said(("one", "first"), ("two", "second"))
    gone = talk.question(2)
    ids = {node.id for node in gone.everything()}
    talk.withdraw(gone)
    assert texts(talk) == ["one", "first"]
    assert talk.dropped == ids
    assert not ids & set(talk.unsaved)


def test_a_fork_is_a_copy_up_to_a_message() -> None:
    talk = said(("one", "first"), ("two", "second"))
    copy = talk.fork(talk.path[1])
    copy.ask("three")
    assert texts(copy) == ["one", "first", "three"]
    assert texts(talk) == ["one", "first", "two", "second"]
    assert copy.id != talk.id
    assert copy.origin == talk.id
    assert not {node.id for node in copy.path} & {node.id for node in talk.path}
    assert set(copy.unsaved) == {node.id for node in copy.path}


def test_questions_are_numbered_on_the_path() -> None:
    talk = said(("one", "first"), ("two", "second"))
    assert talk.question(2).text == "two"
    assert talk.question().text == "two"
    talk.ask("uno", replaces=talk.question(1))
    assert talk.question(1).text == "uno"


def test_what_is_shown_is_what_was_typed() -> None:
    talk = Conversation("m")
    request = talk.ask("see @x", "see the text of x")
    assert request.messages == [Message("user", "see the text of x")]
    assert talk.tip.text == "see @x"
    assert talk.take_back() == "see @x"


def test_titles() -> None:
    assert title_of("\n  Why  is the\tsky blue?\nand") == "Why is the sky blue?"
    long = title_of("explain, please, the difference between a mutex and a semaphore to me")
    assert long == "explain, please, the difference between a…"
    assert title_of("x" * 80) == "x" * 47 + "…"
    assert title_of("语" * 80) == "语" * 47 + "…"
    assert title_of("") == ""


def test_the_first_question_gives_the_title_and_keeps_it() -> None:
    talk = said(("why is the sky blue?", "because"))
    talk.ask("and the sea?")
    assert talk.title == "why is the sky blue?"
    named = Conversation("m", title="colours")
    named.ask("why?")
    assert named.title == "colours"
