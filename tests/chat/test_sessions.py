from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import stat
import sys
import time
from pathlib import Path

import pytest

from dmr_tui.chat import schema
from dmr_tui.chat.archive import Archive, Changes
from dmr_tui.chat.conversation import Conversation
from dmr_tui.chat.sessions import Sessions
from dmr_tui.chat.stats import TurnStats
from dmr_tui.chat.turn import Turn
from dmr_tui.engine.profile import Profile
from dmr_tui.engine.request import (
    ContentPart,
    ImagePart,
    ImageURL,
    Limits,
    Message,
    Sampling,
    TextPart,
)
from dmr_tui.errors import InvalidRequestError, StoreError
from tests.support.fake_runner import NAMES, FakeRunner

MODEL = NAMES[0]


async def chat(sessions: Sessions, *exchanges: tuple[str, str], title: str = "") -> Conversation:
    talk = Conversation(MODEL, title=title)
    for question, answer in exchanges:
        talk.ask(question)
        talk.answer(answer)
    assert await sessions.save(talk) is None
    return talk


def shape(talk: Conversation) -> list[tuple[str, str, str]]:
    nodes = [node for node in talk.root.everything() if node is not talk.root]
    return [(node.id, node.parent.id if node.parent else "", node.text) for node in nodes]


async def test_a_chat_comes_back_as_it_was(sessions: Sessions) -> None:
    talk = Conversation(
        MODEL, "be brief", Sampling(temperature=0.5), Limits(max_tokens=9, stop=["x"]),
        Profile(context_size=512), {"enable_thinking": False},
    )  # fmt: skip
    parts: list[ContentPart] = [
        ImagePart(ImageURL("data:image/png;base64,AA==")),
        TextPart("what is it?"),
    ]
    talk.ask("what is @it?", parts)
    answer = talk.answer("a cat", "hm")
    answer.stats = TurnStats(11, 4, 3, 0.5, 14.0, 1.0, 2.5)
    answer.stopped = True
    talk.summary, talk.kept_from, talk.tokens_per_byte = "cats", talk.path[0].id, 0.25
    await sessions.save(talk)
    back = await sessions.load(talk.id)
    assert back == talk
    assert (back.id, back.created, back.tokens_per_byte) == (talk.id, talk.created, 0.25)
    assert [node.message for node in back.path] == [node.message for node in talk.path]
    # A chat that is begun after it is not set up like it.
    assert talk.following() == talk.fresh()
    assert back.following() == Conversation(MODEL)
    assert back.fork().following() == Conversation(MODEL)
    question, reply = back.path
    assert question.text == "what is @it?"
    assert (reply.stats, reply.stopped, reply.model) == (answer.stats, True, MODEL)
    assert back.unsaved == {}


async def test_all_branches_come_back_and_the_shown_one_is_shown(sessions: Sessions) -> None:
    talk = await chat(sessions, ("one", "first"), ("two", "second"))
    talk.ask("uno", replaces=talk.question(1))
    talk.answer("primo")
    talk.question(1).versions[0].choose()
    talk.ask_again(talk.question(2))
    talk.answer("2nd")
    talk.tip.versions[0].choose()
    await sessions.save(talk)
    back = await sessions.load(talk.id)
    assert shape(back) == shape(talk)
    assert [node.text for node in back.path] == ["one", "first", "two", "second"]
    assert back.tip.chosen is None


async def test_a_path_that_was_taken_back_stays_so(sessions: Sessions) -> None:
    talk = await chat(sessions, ("one", "first"), ("two", "second"))
    talk.take_back()
    await sessions.save(talk)
    assert [node.text for node in (await sessions.load(talk.id)).path] == ["one", "first"]


async def test_only_the_questions_of_the_shown_path_are_counted(sessions: Sessions) -> None:
    talk = await chat(sessions, ("one", "1"), ("two", "2"), ("three", "3"))
    talk.ask("two, in other words", replaces=talk.questions[1])
    talk.answer("2")
    await sessions.save(talk)
    (found,) = await sessions.chats()
    assert found.turns == len(talk.questions) == 2


async def test_the_list_is_in_the_order_of_use(sessions: Sessions) -> None:
    first = await chat(sessions, ("one", "1"), ("more", "2"))
    await chat(sessions, ("two", "2"))
    assert [(each.title, each.turns) for each in await sessions.chats()] == [("two", 1), ("one", 2)]
    first.ask("again")
    await sessions.save(first)
    found = await sessions.chats()
    assert [(each.title, each.turns) for each in found] == [("one", 3), ("two", 1)]
    assert found[0].created < found[0].updated
    assert await sessions.chats(model="nobody") == []


async def test_search_finds_parts_of_words_in_all_messages(sessions: Sessions) -> None:
    sky = await chat(sessions, ("why is the sky blue?", "Rayleigh SCATTERING of light"))
    await chat(sessions, ("语言模型 100% sure_thing", 'a "quoted" 答案'))
    for query, chats in (
        ("scatter", [sky.id]),
        ("ayleig  LIGH", [sky.id]),
        ("sky scattering", []),  # In different messages.
        ("语言模型", ["other"]),
        ("答", ["other"]),
        ("0% e_t", ["other"]),
        ("% s", ["other"]),
        ("no_such", []),
        ('"quoted"', ["other"]),
        ('" OR text : *', []),
        ("", []),
    ):
        hits = await sessions.search(query)
        assert [hit.chat if hit.chat == sky.id else "other" for hit in hits] == chats, query
    (hit,) = await sessions.search("scatt light")
    assert (hit.title, hit.role) == ("why is the sky blue?", "assistant")
    assert [hit.snippet[a:b] for a, b in hit.spans] == ["SCATT", "light"]
    (info,) = await sessions.chats("rayleigh")
    assert info.snippet == "Rayleigh SCATTERING of light"


async def test_a_snippet_is_the_neighbourhood(sessions: Sessions) -> None:
    await chat(sessions, ("q", "lorem " * 100 + "needle\nin a " + "haystack " * 100))
    (hit,) = await sessions.search("needle")
    assert "needle in a haystack" in hit.snippet
    assert hit.snippet[0] == hit.snippet[-1] == "…"
    assert len(hit.snippet) < 110


async def test_titles_are_searched_too(sessions: Sessions) -> None:
    talk = await chat(sessions, ("hello", "hi"), title="Travel plans")
    assert [each.id for each in await sessions.chats("travel")] == [talk.id]


async def test_what_changes_or_goes_is_not_found_any_more(sessions: Sessions) -> None:
    talk = await chat(sessions, ("alpha", "bravo"))
    talk.tip.message = Message("assistant", "charlie")
    talk.touch(talk.tip)
    await sessions.save(talk)
    assert await sessions.search("bravo") == []
    assert len(await sessions.search("charlie")) == 1
    talk.ask("delta")
    await sessions.save(talk)
    talk.withdraw(talk.tip)
    await sessions.save(talk)
    assert await sessions.search("delta") == []
    assert len(await sessions.search("charlie")) == 1
    await sessions.delete(talk.id)
    assert await sessions.search("charlie") == []


def triggers(file: Path) -> int:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        query = "SELECT count(*) FROM sqlite_master WHERE type = 'trigger'"
        (count,) = connection.execute(query).fetchone()
    assert isinstance(count, int)
    return count


async def test_search_without_an_index(chats_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An SQLite without FTS5 finds the same, and one with it finds what the other wrote."""
    with_index = Sessions(chats_file)
    await chat(with_index, ("first words", "ok"))
    await with_index.close()
    with monkeypatch.context() as patch:
        patch.setattr(schema, "_PROBE", "CREATE VIRTUAL TABLE temp.probe USING nothing (text)")
        without = Sessions(chats_file)
        await chat(without, ("second words", "ok"))
        assert {hit.title for hit in await without.search("ord")} == {"first words", "second words"}
        assert triggers(chats_file) == 0  # They could not run there.
        await without.close()
    again = Sessions(chats_file)
    assert {hit.title for hit in await again.search("ords")} == {"first words", "second words"}
    await chat(again, ("third words", "ok"))
    assert len(await again.search("ords")) == 3
    await again.close()


async def test_rename(sessions: Sessions) -> None:
    talk = await chat(sessions, ("one", "1"))
    await sessions.rename(talk.id, "numbers")
    talk.ask("two")
    await sessions.save(talk)  # An open conversation does not undo it.
    assert [each.title for each in await sessions.chats()] == ["numbers"]


async def test_a_deleted_chat_can_be_brought_back_until_the_next(sessions: Sessions) -> None:
    first, second = await chat(sessions, ("one", "1")), await chat(sessions, ("two", "2"))
    await sessions.delete(first.id)
    assert [each.title for each in await sessions.chats()] == ["two"]
    with pytest.raises(InvalidRequestError):
        await sessions.load(first.id)
    assert await sessions.restore() == first.id
    assert (await sessions.load(first.id)).turns == first.turns
    assert await sessions.restore() is None
    await sessions.delete(first.id)
    await sessions.delete(second.id)
    assert await sessions.restore() == second.id
    assert [each.title for each in await sessions.chats()] == ["two"]


async def test_what_was_deleted_leaves_the_file(chats_file: Path) -> None:
    sessions = Sessions(chats_file)
    talk = await chat(sessions, ("the password is xyzzy", "ok"))
    await sessions.delete(talk.id)
    await sessions.close()
    left = b"".join(file.read_bytes() for file in chats_file.parent.iterdir())
    assert b"password is xyzzy" not in left


async def test_nobody_else_can_read_the_files(chats_file: Path) -> None:
    chats_file.parent.mkdir(parents=True)
    chats_file.touch(0o644)
    sessions = Sessions(chats_file)
    await chat(sessions, ("one", "1"))
    files = list(chats_file.parent.iterdir())
    assert {file.name for file in files} >= {"chats.db", "chats.db-wal"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    await sessions.close()


async def test_nothing_is_written_before_something_is_said(chats_file: Path) -> None:
    sessions = Sessions(chats_file)
    await sessions.close()
    assert not chats_file.exists()


async def test_a_turn_is_saved_as_it_happens(sessions: Sessions) -> None:
    talk = Conversation(MODEL)
    seen: list[list[str]] = []

    class Watching(FakeRunner):
        async def _hold(self) -> None:
            seen.append([node.text for node in (await sessions.load(talk.id)).path])

    await drain(Turn(talk, Watching(words=("Hel", "lo"), endless=True), "hi", sessions=sessions))
    assert seen == [["hi"]]  # The question was on disk before the answer began.
    back = await sessions.load(talk.id)
    assert [node.text for node in back.path] == ["hi", "Hello"]
    assert (back.tip.stopped, back.tip.stats) == (False, talk.tip.stats)
    assert back.tip.stats is not None


async def drain(turn: Turn) -> None:
    async for _ in turn.stream():
        pass


async def test_a_stopped_answer_is_saved_as_such(sessions: Sessions) -> None:
    talk, runner = Conversation(MODEL), FakeRunner(words=("Hel",), endless=True)
    task = asyncio.create_task(drain(Turn(talk, runner, "hi", sessions=sessions)))
    await runner.waiting.wait()
    task.cancel()
    await asyncio.wait({task})
    back = await sessions.load(talk.id)
    assert (back.tip.text, back.tip.stopped) == ("Hel", True)


async def test_a_question_that_got_nothing_is_not_kept(sessions: Sessions) -> None:
    runner = FakeRunner(failure=StoreError("broken"), fails_at=0)
    with pytest.raises(StoreError):
        await drain(Turn(Conversation(MODEL), runner, "hi", sessions=sessions))
    assert await sessions.chats() == []


_DYING = """
import asyncio, sys
from pathlib import Path
from dmr_tui.chat.conversation import Conversation
from dmr_tui.chat.sessions import Sessions
from dmr_tui.chat.turn import Turn
from tests.support.fake_runner import NAMES, FakeRunner

async def main():
    talk, sessions = Conversation(NAMES[0]), Sessions(Path(sys.argv[1]))
    runner = FakeRunner(words=("half ", "an ans"), endless=True)
    turn = Turn(talk, runner, "tell me", sessions=sessions)
    async def answer():
        async for _ in turn.stream():
            pass
    task = asyncio.create_task(answer())
    await runner.waiting.wait()
    while (await sessions.load(talk.id)).tip.text != "half an ans":
        await asyncio.sleep(0.02)
    print(talk.id, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_kill_9_in_mid_answer_keeps_what_came(chats_file: Path) -> None:
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _DYING, str(chats_file), stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert program.stdout is not None
    id_ = (await asyncio.wait_for(program.stdout.readline(), 20)).decode().strip()
    program.kill()
    await program.wait()
    sessions = Sessions(chats_file)
    back = await sessions.load(id_)
    assert [node.text for node in back.path] == ["tell me", "half an ans"]
    assert back.tip.stopped
    await sessions.close()


_WRITING = """
import asyncio, sys
from pathlib import Path
from dmr_tui.chat.conversation import Conversation
from dmr_tui.chat.sessions import Sessions

async def main():
    sessions = Sessions(Path(sys.argv[1]))
    for number in range(25):
        talk = Conversation("m")
        talk.ask(f"{sys.argv[2]} {number}")
        assert await sessions.save(talk) is None, sessions.problem
    await sessions.close()

asyncio.run(main())
"""


async def test_several_processes_write_at_once(chats_file: Path, sessions: Sessions) -> None:
    programs = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", _WRITING, str(chats_file), name,
            cwd=Path(__file__).parents[2],
        )
        for name in ("left", "right", "third")
    ]  # fmt: skip
    assert [await program.wait() for program in programs] == [0, 0, 0]
    assert len(await sessions.chats()) == 75
    assert len(await sessions.search("right")) == 25


async def test_a_full_or_broken_disk_does_not_stop_the_chat(
    sessions: Sessions, chats_file: Path
) -> None:
    chats_file.parent.mkdir(parents=True)
    chats_file.write_bytes(b"this is no database, but it is long enough to look like one" * 20)
    talk, runner = Conversation(MODEL), FakeRunner(words=("Hello",))
    await drain(Turn(talk, runner, "hi", sessions=sessions))
    assert talk.tip.text == "Hello"
    talk.ask("never mind")
    await sessions.save(talk)
    talk.withdraw(talk.tip)
    problem = await sessions.save(talk)
    assert isinstance(problem, StoreError)
    assert len(talk.dropped) == 1
    assert str(chats_file) in (problem.hint or "")
    chats_file.unlink()
    assert await sessions.save(talk) is None  # Nothing was forgotten in the meantime.
    assert sessions.problem is None
    assert [node.text for node in (await sessions.load(talk.id)).path] == ["hi", "Hello"]


async def test_a_wait_for_what_is_being_written(
    sessions: Sessions, chats_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Archive.write

    def slowly(archive: Archive, changes: Changes) -> None:
        time.sleep(0.1)
        write(archive, changes)

    monkeypatch.setattr(Archive, "write", slowly)
    talk = Conversation(MODEL)
    talk.ask("hi")
    sessions.save(talk)
    talk.answer("Hello")
    sessions.save(talk)
    assert await sessions.settled() is None
    other = Sessions(chats_file)
    assert [node.text for node in (await other.load(talk.id)).path] == ["hi", "Hello"]
    await other.close()

    def broken(archive: Archive, changes: Changes) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(Archive, "write", broken)
    talk.ask("again")
    sessions.save(talk)
    assert "the disk is full" in str(await sessions.settled())


async def test_a_newer_file_is_left_alone(sessions: Sessions, chats_file: Path) -> None:
    await chat(sessions, ("one", "1"))
    with sqlite3.connect(chats_file) as connection:
        connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    connection.close()
    other = Sessions(chats_file)
    with pytest.raises(StoreError, match="newer version"):
        await other.chats()
    await other.close()


async def test_an_older_file_is_brought_up_to_date(
    chats_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Sessions(chats_file)
    talk = await chat(before, ("one", "1"))
    await before.close()
    step = "ALTER TABLE chats ADD COLUMN mood TEXT NOT NULL DEFAULT 'good; fine';"
    monkeypatch.setattr(schema, "_MIGRATIONS", (*schema._MIGRATIONS, step))
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    after = Sessions(chats_file)
    assert (await after.load(talk.id)).turns == talk.turns
    await after.close()
    connection = sqlite3.connect(chats_file)
    assert connection.execute("SELECT mood FROM chats").fetchall() == [("good; fine",)]
    assert connection.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
    connection.close()


async def test_a_failed_migration_changes_nothing(
    chats_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Sessions(chats_file)
    await chat(before, ("one", "1"))
    await before.close()
    step = "ALTER TABLE chats ADD COLUMN mood TEXT;\nALTER TABLE no_such ADD COLUMN x TEXT;"
    monkeypatch.setattr(schema, "_MIGRATIONS", (*schema._MIGRATIONS, step))
    broken = Sessions(chats_file)
    with pytest.raises(StoreError):
        await broken.chats()
    await broken.close()
    monkeypatch.undo()
    after = Sessions(chats_file)
    assert len(await after.chats()) == 1
    await after.close()
    connection = sqlite3.connect(chats_file)
    columns = [row[1] for row in connection.execute("PRAGMA table_info(chats)")]
    connection.close()
    assert "mood" not in columns


async def test_a_long_chat_comes_back_whole(sessions: Sessions) -> None:
    talk = await chat(sessions, *((f"question {n}", f"answer {n}") for n in range(1000)))
    back = await sessions.load(talk.id)
    assert len(back.path) == 2000
    back.ask("one more")
    await sessions.save(back)
    assert (await sessions.load(talk.id)).tip.text == "one more"
