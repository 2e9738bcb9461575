from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from dmr_tui.chat.attachments import MAX_TEXT_BYTES, attach, mention
from dmr_tui.engine.request import ImagePart, ImageURL, TextPart
from dmr_tui.errors import InvalidRequestError

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20
JPEG = b"\xff\xd8\xff\xe0" + b"\0" * 20
WEBP = b"RIFF\x10\0\0\0WEBPVP8 " + b"\0" * 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    where = tmp_path / "work"
    where.mkdir()
    (where / "notes.txt").write_text("buy milk")
    (where / "my notes.txt").write_text("with blanks")
    (where / "price.md").write_text("costs $1 and \\1 and \\g<0>, see @notes.txt")
    (where / "sub").mkdir()
    (where / "sub" / "deep.py").write_text("x = 1")
    (where / "cat.png").write_bytes(PNG)
    (where / "two words.JPG").write_bytes(JPEG)
    return where


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("@notes.txt", "buy milk"),
        ("sum up @notes.txt please", "sum up buy milk please"),
        ('read @"my notes.txt"!', "read with blanks!"),
        ("read @'my notes.txt'", "read with blanks"),
        (r"read @my\ notes.txt", "read with blanks"),
        ("read @notes.txt, then @sub/deep.py.", "read buy milk, then x = 1."),
        ("(@notes.txt)", "(buy milk)"),
        ("`@notes.txt`", "`buy milk`"),
        ("@./notes.txt", "buy milk"),
        ("a\n@notes.txt\nb", "a\nbuy milk\nb"),
    ],
)
def test_text_files_take_the_place_of_their_names(folder: Path, typed: str, sent: str) -> None:
    assert attach(typed, folder).content() == sent


@pytest.mark.parametrize(
    "typed",
    ["me@notes.txt", "@dataclass", "@missing.txt", "@", "@ notes.txt", '@"no such.txt"', "a @ b",
     "notes.txt", "@" + "x" * 5000, "@~nobody-of-this-name/x", "@a\0b", "./missing.png",
     "/etc/hosts"],
)  # fmt: skip
def test_what_is_no_file_stays_as_it_is(folder: Path, typed: str) -> None:
    attached = attach(typed, folder)
    assert attached.content() == typed
    assert attached.files == ()


def test_content_is_neither_expanded_nor_searched(folder: Path) -> None:
    assert attach("@price.md", folder).content() == "costs $1 and \\1 and \\g<0>, see @notes.txt"


def test_a_name_within_a_name_is_no_other_file(folder: Path) -> None:
    (folder / "see @notes.txt").mkdir()
    (folder / "see @notes.txt" / "cat.png").write_bytes(PNG)
    parts = attach('look "./see @notes.txt/cat.png"', folder).content()
    assert parts == [image(PNG, "png"), TextPart("look")]


def test_a_byte_order_mark_is_not_sent(folder: Path) -> None:
    (folder / "bom.txt").write_bytes(b"\xef\xbb\xbfhi")
    assert attach("@bom.txt", folder).content() == "hi"


def test_the_home_folder(folder: Path, home: Path) -> None:
    (home / "todo.txt").write_text("sleep")
    assert attach("@~/todo.txt", folder).content() == "sleep"


def image(data: bytes, kind: str) -> ImagePart:
    encoded = base64.b64encode(data).decode()
    return ImagePart(ImageURL(f"data:image/{kind};base64,{encoded}"))


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [("a.png", PNG, "png"), ("a.jpeg", JPEG, "jpeg"), ("a.webp", WEBP, "webp"),
     ("wrong.png", JPEG, "jpeg"), ("none", PNG, "png")],
)  # fmt: skip
def test_images_are_told_by_their_content(folder: Path, name: str, data: bytes, kind: str) -> None:
    (folder / name).write_bytes(data)
    parts = attach(f"what is on @{name} here?", folder).content()
    assert parts == [image(data, kind), TextPart("what is on here?")]


@pytest.mark.parametrize(
    "typed",
    ["describe ./cat.png", 'describe "cat.png"', "describe '{folder}/cat.png'",
     "describe {folder}/cat.png", "./cat.png describe"],
)  # fmt: skip
def test_an_image_path_as_terminals_drop_it(folder: Path, typed: str) -> None:
    attached = attach(typed.format(folder=folder), folder)
    assert attached.content() == [image(PNG, "png"), TextPart("describe")]
    assert attached.files == (folder / "cat.png",)


def test_escaped_blanks_and_several_images(folder: Path) -> None:
    attached = attach(rf"compare {folder}/two\ words.JPG and @cat.png.", folder)
    assert attached.content() == [image(JPEG, "jpeg"), image(PNG, "png"), TextPart("compare and.")]


def test_an_image_alone_needs_no_text(folder: Path) -> None:
    assert attach("@cat.png", folder).content() == [image(PNG, "png")]


def test_a_bare_path_of_no_image_is_text(folder: Path) -> None:
    (folder / "fake.png").write_text("not an image")
    assert attach("open ./fake.png and ./notes.txt", folder).content() == (
        "open ./fake.png and ./notes.txt"
    )


def test_more_text_is_below_and_not_searched(folder: Path) -> None:
    assert attach("see @notes.txt", folder).content("@notes.txt") == "see buy milk\n\n@notes.txt"
    assert attach("@cat.png", folder).content("log") == [image(PNG, "png"), TextPart("log")]


def test_folders_binaries_and_giants_are_refused(folder: Path) -> None:
    (folder / "data.bin").write_bytes(b"\x00\x01")
    (folder / "latin.txt").write_bytes("é".encode("latin-1"))
    (folder / "big.txt").write_bytes(b"a" * (MAX_TEXT_BYTES + 1))
    (folder / "full.txt").write_bytes(b"a" * MAX_TEXT_BYTES)
    for name, why in (
        ("sub", "is a folder"),
        ("data.bin", "neither UTF-8 text nor"),
        ("latin.txt", "neither UTF-8 text nor"),
        ("big.txt", "a text file may have 1.0 MiB"),
    ):
        with pytest.raises(InvalidRequestError, match=why):
            attach(f"see @{name}", folder)
    assert len(attach("@full.txt", folder).text) == MAX_TEXT_BYTES


def test_a_pipe_is_refused_without_waiting_for_it(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(InvalidRequestError, match="no regular file"):
        attach("@pipe", folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_refused(folder: Path) -> None:
    (folder / "notes.txt").chmod(0)
    with pytest.raises(InvalidRequestError, match="cannot read"):
        attach("@notes.txt", folder)


@pytest.mark.parametrize("name", ["a.txt", "a b.txt", "it's.txt", 'say "hi".txt'])
def test_a_mention_finds_its_file(folder: Path, name: str) -> None:
    (folder / name).write_text("found")
    assert attach(f"see {mention(name)} now", folder).content() == "see found now"
