from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from dmr_tui.chat.attachments import attach
from dmr_tui.chat.commands import ChatContext, suggest
from dmr_tui.chat.conversation import Conversation
from dmr_tui.chat.sessions import Sessions
from tests.support import fake_runner
from tests.support.fake_runner import MODEL, NAMES, FakeRunner


@pytest.fixture
def context(sessions: Sessions, tmp_path: Path) -> ChatContext:
    folder = tmp_path / "work"
    for name in ("album", "two words"):
        (folder / name).mkdir(parents=True)
    for name in ("alpha.txt", "Albert.md", "my notes.txt", ".hidden", "two words/in.txt"):
        (folder / name).write_text(name)
    (folder / "album" / "one.png").touch()
    return ChatContext(Conversation(NAMES[0]), FakeRunner(), "", sessions, folder=folder)


async def offered(before: str, context: ChatContext) -> list[str]:
    """The whole text before the cursor with each suggestion taken."""
    return [before[: each.start] + each.text for each in await suggest(before, context)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("see @al", ["see @album/", "see @alpha.txt"]),
        ("see @album/", ["see @album/one.png"]),
        ("see @my", ['see @"my notes.txt"']),
        ('see @"my', ['see @"my notes.txt"']),
        ("see @two", ['see @"two words/']),
        ('see @"two words/', ['see @"two words/in.txt"']),
        ("@.h", ["@.hidden"]),
        ("first\n@A", ["first\n@Albert.md"]),
        ("me@al", []),
        ("see @zzz", []),
        ("see @nowhere/", []),
        ("al", []),
        ("/fi", ["/file"]),
        ("/file al", ["/file album/", "/file alpha.txt"]),
        ("/file my no", ["/file my notes.txt"]),
        ("/set parameter top_", ["/set parameter top_k", "/set parameter top_p"]),
        ("/model llama", ["/model llama3.2:1B-Q8_0"]),
        ("/think o", ["/think on", "/think off"]),
        ("/bye ", []),
        ("/nothing ", []),
        ("/home/me", []),
    ],
)
async def test_what_may_come_next(context: ChatContext, before: str, after: list[str]) -> None:
    assert await offered(before, context) == after


async def test_what_is_offered_is_found(context: ChatContext) -> None:
    everything = await suggest("@", context)
    assert [each.text for each in everything if each.more] == ["@album/", '@"two words/']
    for each in everything:
        if not each.more:
            assert len(attach(each.text, context.folder).files) == 1


async def test_a_tag_of_another_program_is_offered_as_it_is(
    context: ChatContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags = ["docker.io/ai/smollm2:latest", "docker.io/org/my-_model:v1"]
    model = msgspec.structs.replace(MODEL, tags=tags)
    monkeypatch.setattr(fake_runner, "MODEL", model)
    assert await offered("/model docker", context) == ["/model docker.io/org/my-_model:v1"]
    assert await offered("/model smol", context) == ["/model smollm2"]


async def test_saved_chats_are_offered_by_title(context: ChatContext) -> None:
    for question in ("Why so blue?", "what else?"):
        context.conversation = context.conversation.fresh()
        async for _ in context.turn(question).stream():
            pass
    assert await offered("/load wh", context) == ["/load what else?", "/load Why so blue?"]
    assert await offered("/load why s", context) == ["/load Why so blue?"]
