"""The commands on chats, versions, files and the context, over real saved chats."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmr_tui.chat.commands import ChatContext, Outcome, execute
from dmr_tui.chat.conversation import Conversation
from dmr_tui.chat.sessions import Sessions
from tests.chat.test_attachments import PNG
from tests.support.fake_runner import NAMES, FakeRunner

MODEL = NAMES[0]


@pytest.fixture
def runner() -> FakeRunner:
    return FakeRunner(words=("ok",))


@pytest.fixture
def context(runner: FakeRunner, sessions: Sessions, tmp_path: Path) -> ChatContext:
    return ChatContext(Conversation(MODEL), runner, "", sessions, folder=tmp_path)


async def ask(context: ChatContext, prompt: str, *words: str) -> None:
    assert isinstance(context.runner, FakeRunner)
    context.runner.words = words or ("ok",)
    async for _ in context.turn(prompt).stream():
        pass


async def do(context: ChatContext, line: str) -> Outcome:
    outcome = await execute(line, context)
    assert not outcome.error, outcome.text
    return outcome


async def refused(context: ChatContext, line: str) -> str:
    outcome = await execute(line, context)
    assert outcome.error
    return outcome.text


def said(context: ChatContext) -> list[str]:
    return [node.text for node in context.conversation.path]


async def test_chats_are_listed_found_and_opened(context: ChatContext) -> None:
    assert (await do(context, "/chats")).text == "No chats are saved yet."
    await ask(context, "why is the sky blue?", "scattering")
    assert (await do(context, "/new")).cleared
    await ask(context, "what is a mutex?", "a lock")
    listing = (await do(context, "/chats")).text.splitlines()
    assert listing[0] == "  1  what is a mutex?"
    assert listing[2] == "  2  why is the sky blue?"
    assert f"1 turn · {MODEL}" in listing[3]
    assert (await do(context, "/load 2")).redraw
    assert said(context) == ["why is the sky blue?", "scattering"]
    # The numbers are those of the last listing.
    assert "scattering" in (await do(context, "/chats scatter")).text
    await do(context, "/load 1")
    assert said(context)[0] == "why is the sky blue?"
    await do(context, "/load MUTEX")
    assert said(context)[0] == "what is a mutex?"
    assert "No chat" in (await do(context, "/chats zebra")).text


async def test_a_chat_must_be_named_clearly(context: ChatContext) -> None:
    for question in ("one apple", "one pear", "three"):
        await do(context, "/new")
        await ask(context, question)
    assert "fits several" in await refused(context, "/load one")
    assert "No chat is called '9'" in await refused(context, "/load 9")
    assert "Usage" in await refused(context, "/load")
    await do(context, "/rename one")
    await do(context, "/load one")
    assert said(context)[0] == "three"


async def test_an_opened_chat_goes_on_where_it_was(
    context: ChatContext, sessions: Sessions
) -> None:
    await do(context, "/system be brief")
    await ask(context, "one")
    await do(context, "/new")
    await do(context, "/load 1")
    await ask(context, "two")
    (chat,) = await sessions.chats()
    assert chat.turns == 2
    assert (await sessions.load(chat.id)).system == "be brief"


async def test_titles(context: ChatContext, sessions: Sessions) -> None:
    await do(context, "/rename before anything")
    await ask(context, "hello")
    assert [chat.title for chat in await sessions.chats()] == ["before anything"]
    assert (await do(context, "/save my chat")).text == "Saved as 'my chat'."
    await ask(context, "more")
    assert [chat.title for chat in await sessions.chats()] == ["my chat"]
    assert context.conversation.title == "my chat"
    assert "Usage" in await refused(context, "/rename")


async def test_saving_is_off_until_it_is_asked_for(
    context: ChatContext, sessions: Sessions
) -> None:
    context.saving = False
    assert "Nothing" in await refused(context, "/save")
    await ask(context, "secret")
    await do(context, "/undo")
    await ask(context, "not so secret")
    assert await sessions.chats() == []
    await do(context, "/save")
    await ask(context, "more")
    (chat,) = await sessions.chats()
    assert chat.turns == 2
    assert [node.text for node in (await sessions.load(chat.id)).questions] == [
        "not so secret", "more",
    ]  # fmt: skip


async def test_without_saved_chats_the_rest_works(context: ChatContext) -> None:
    context.sessions = None
    await ask(context, "one")
    await do(context, "/rename x")
    await do(context, "/undo")
    for line in ("/chats", "/load 1", "/save", "/delete", "/undelete"):
        assert "no saved chats" in await refused(context, line)


async def test_delete_and_undelete(context: ChatContext, sessions: Sessions) -> None:
    assert "nothing to delete" in await refused(context, "/delete")
    await ask(context, "one")
    await do(context, "/new")
    await ask(context, "two")
    outcome = await do(context, "/delete 2")
    assert outcome.text.startswith("Deleted 'one'")
    assert not outcome.redraw
    assert (await do(context, "/undelete")).text == "'one' is back."
    assert (await do(context, "/delete")).redraw
    assert said(context) == []
    assert [chat.title for chat in await sessions.chats()] == ["one"]
    assert (await do(context, "/undelete")).redraw
    assert said(context) == ["two", "ok"]
    assert "No chat was deleted" in await refused(context, "/undelete")


async def test_retry_makes_another_version(context: ChatContext, sessions: Sessions) -> None:
    assert "Nothing was asked" in await refused(context, "/retry")
    await ask(context, "one", "first")
    outcome = await do(context, "/retry")
    assert outcome.again is not None
    context.runner.words = ("second",)  # type: ignore[attr-defined]  # A FakeRunner here.
    async for _ in context.turn(again=outcome.again).stream():
        pass
    assert said(context) == ["one", "second"]
    listing = (await do(context, "/version")).text
    assert listing == "Versions of the answer:\n  1  first\n> 2  second"
    assert (await do(context, "/version 1")).redraw
    assert said(context) == ["one", "first"]
    assert [node.text for node in (await sessions.load(context.conversation.id)).path] == [
        "one", "first",
    ]  # fmt: skip
    assert "There are 2 versions" in await refused(context, "/version 3")


async def test_a_failed_retry_leaves_the_old_answer(context: ChatContext) -> None:
    await ask(context, "one", "first")
    again = (await do(context, "/retry")).again
    context.conversation.model = "nobody"
    with pytest.raises(Exception, match="nobody"):
        async for _ in context.turn(again=again).stream():
            pass
    assert said(context) == ["one", "first"]


async def test_edit_puts_the_question_back_to_be_sent_anew(context: ChatContext) -> None:
    await ask(context, "one", "first")
    await ask(context, "two", "second")
    outcome = await do(context, "/edit 1")
    assert outcome.put == "one"
    async for _ in context.turn("uno", replaces=outcome.replaces).stream():
        pass
    assert said(context) == ["uno", "second"]
    turns = (await do(context, "/show turns")).text
    assert "1  uno  ‹2/2›" in turns
    assert "There is no question 5" in await refused(context, "/edit 5")
    assert "is no number" in await refused(context, "/edit x")
    assert "other versions" not in (await do(context, "/version")).text


async def test_a_failed_edit_leaves_the_branch_that_was_shown(context: ChatContext) -> None:
    await ask(context, "one", "first")
    edited = (await do(context, "/edit")).replaces
    async for _ in context.turn("uno", replaces=edited).stream():
        pass
    await do(context, "/version 1")
    context.conversation.model = "nobody"
    with pytest.raises(Exception, match="nobody"):
        async for _ in context.turn("eins", replaces=edited).stream():
            pass
    assert said(context) == ["one", "first"]
    assert len(context.conversation.question(1).versions) == 2


async def test_undo(context: ChatContext, sessions: Sessions) -> None:
    await ask(context, "one")
    await ask(context, "two")
    assert (await do(context, "/undo")).redraw
    assert said(context) == ["one", "ok"]
    assert [node.text for node in (await sessions.load(context.conversation.id)).path] == [
        "one", "ok",
    ]  # fmt: skip
    await do(context, "/undo")
    assert "Nothing was asked" in await refused(context, "/undo")


async def test_fork(context: ChatContext, sessions: Sessions) -> None:
    await ask(context, "one")
    await ask(context, "two")
    before = context.conversation.id
    assert (await do(context, "/fork 1")).redraw
    await ask(context, "three")
    assert said(context) == ["one", "ok", "three", "ok"]
    chats = await sessions.chats()
    assert [(chat.turns, chat.origin) for chat in chats] == [(2, before), (2, "")]


async def test_copy_and_raw(context: ChatContext) -> None:
    assert "Nothing was answered" in await refused(context, "/copy")
    answer = "Try\n```sh\nls\npwd\n```\nor\n```py\nx\n```"
    await ask(context, "how?", answer)
    assert (await do(context, "/copy")).copy == answer
    assert await do(context, "/copy 1") == Outcome("Copied 2 lines.", copy="ls\npwd")
    assert (await do(context, "/copy 2")).copy == "x"
    assert "has 2 code blocks" in await refused(context, "/copy 3")
    assert (await do(context, "/raw")).text == answer


async def test_stats(context: ChatContext) -> None:
    assert "Nothing was answered" in await refused(context, "/stats")
    await ask(context, "one", "a", "b", "c")
    text = (await do(context, "/stats")).text
    assert "prompt:      11 tokens, 14.00 tokens/s" in text
    assert "chat:        1 answer, 3 tokens" in text


async def test_files_are_written_into_the_prompt(context: ChatContext, tmp_path: Path) -> None:
    (tmp_path / "my notes.txt").write_text("hi")
    (tmp_path / "cat.png").write_bytes(PNG)
    assert (await do(context, "/file my notes.txt")).put == '@"my notes.txt" '
    assert (await do(context, '/file "my notes.txt"')).put == '@"my notes.txt" '
    assert (await do(context, r"/file my\ notes.txt")).put == '@"my notes.txt" '
    assert (await do(context, "/image cat.png")).put == "@cat.png "
    assert "no such file" in await refused(context, "/file nothing")
    assert "is no PNG" in await refused(context, "/image my notes.txt")
    assert "is a folder" in await refused(context, f"/file {tmp_path}")
    assert "Usage" in await refused(context, "/file")
    await ask(context, "see @cat.png")
    assert context.conversation.questions[-1].text == "see @cat.png"


async def test_export(context: ChatContext, tmp_path: Path) -> None:
    assert "Nothing was said" in await refused(context, "/export")
    await ask(context, "Hello there", "General")
    assert (await do(context, "/export")).text == f"Wrote {tmp_path}/hello-there.md"
    await do(context, "/export json")
    await do(context, "/export out.json")
    await do(context, "/export md my file.txt")
    assert (tmp_path / "hello-there.json").read_text() == (tmp_path / "out.json").read_text()
    assert (tmp_path / "my file.txt").read_text().startswith("# Hello there")
    assert "exists already" in await refused(context, "/export out.json")


async def test_think(context: ChatContext, runner: FakeRunner) -> None:
    assert (await do(context, "/think")).text == "Thinking is up to the model."
    assert (await do(context, "/think off")).text == "Thinking is off."
    await ask(context, "one")
    assert runner.chat.template_options == {"enable_thinking": False}
    assert (await do(context, "/think auto")).text == "Thinking is up to the model."
    assert context.conversation.template_options == {}
    assert "Usage" in await refused(context, "/think hard")


async def test_system(context: ChatContext) -> None:
    assert (await do(context, "/system")).text == "No system message is set."
    assert (await do(context, "/system be brief")).text == "Set system message."
    assert (await do(context, "/system")).text == "be brief"


async def test_ctx_and_compact(context: ChatContext, sessions: Sessions) -> None:
    assert "nothing to sum up" in (await refused(context, "/compact")).lower()
    await ask(context, "one")
    assert "12 of 4096 tokens are used (0%)" in (await do(context, "/ctx")).text
    await ask(context, "two")
    assert isinstance(context.runner, FakeRunner)
    context.runner.words = ("a summary",)
    assert "a summary of 2 messages" in (await do(context, "/compact")).text
    assert "no longer sent the oldest 2 messages" in (await do(context, "/ctx")).text
    assert (await sessions.load(context.conversation.id)).summary == "a summary"


async def test_ctx_of_a_model_that_is_not_loaded(context: ChatContext) -> None:
    context.conversation.model = "nobody"
    assert "not loaded" in (await do(context, "/ctx")).text


async def test_help_on_one_command(context: ChatContext) -> None:
    assert (await do(context, "/? export")).text == (
        "  /export [md|json] [FILE]  write this chat to a file"
    )
    assert "@notes.txt" in (await do(context, "/? files")).text


async def test_what_is_set_is_saved_at_once(context: ChatContext) -> None:
    await ask(context, "why?")
    for line in (
        "/system be kind",
        "/set num_ctx 512",
        "/set parameter temperature 0.3",
        "/think off",
        f"/model {NAMES[1]}",
    ):
        await do(context, line)
    saved = await context.saved().load(context.conversation.id)
    assert (saved.system, saved.model) == ("be kind", NAMES[1])
    assert (saved.profile.context_size, saved.sampling.temperature) == (512, 0.3)
    assert saved.template_options == {"enable_thinking": False}


async def test_a_new_chat_is_not_saved_for_what_is_set(context: ChatContext) -> None:
    await do(context, "/system be kind")
    assert (await do(context, "/chats")).text == "No chats are saved yet."


async def test_a_chat_is_deleted_by_its_number_or_its_whole_title(context: ChatContext) -> None:
    await ask(context, "tell me 99 jokes")
    await do(context, "/new")
    await ask(context, "why?")
    for line in ("/delete 99", "/delete jokes"):
        assert "No chat is called" in await refused(context, line)
    assert (await do(context, "/delete Tell me 99 JOKES")).text.startswith("Deleted 'tell me")
    await do(context, "/new")
    await ask(context, "why?")
    assert "2 chats are called that" in await refused(context, "/delete why?")
    assert len(await context.saved().chats()) == 2
