from __future__ import annotations

import json
from pathlib import Path

import pytest

from dmr_tui.chat.conversation import Conversation
from dmr_tui.chat.export import export, to_json, to_markdown
from dmr_tui.errors import StoreError


def talk() -> Conversation:
    chat = Conversation("smollm2", "be brief\nand kind")
    chat.ask("Why is the *sky* blue?", "the text of a file")
    chat.answer("Because.", reasoning="hm")
    chat.ask_again(chat.question())
    chat.answer("Rayleigh").stopped = True
    return chat


def test_markdown_is_what_is_shown() -> None:
    lines = to_markdown(talk()).splitlines()
    assert lines[0] == "# Why is the *sky* blue?"
    assert lines[2].startswith("smollm2 · 20")
    assert "\n".join(lines[4:]) == (
        "> be brief\n> and kind\n\n## You\n\nWhy is the *sky* blue?\n\n"
        "## smollm2\n\nRayleigh\n\n*(stopped)*"
    )


def test_thoughts_are_folded() -> None:
    chat = talk()
    chat.tip.versions[0].choose()
    assert "<details><summary>Thoughts</summary>\n\nhm\n\n</details>\n\nBecause." in to_markdown(
        chat
    )


def test_json_has_every_branch() -> None:
    chat = talk()
    data = json.loads(to_json(chat))
    question, first, second = data["messages"]
    assert (question["parent"], question["content"]) == (None, "the text of a file")
    assert question["typed"] == "Why is the *sky* blue?"
    assert first["parent"] == second["parent"] == question["id"]
    assert [each["shown"] for each in data["messages"]] == [True, False, True]
    assert (first["reasoning"], second["stopped"]) == ("hm", True)
    assert (data["model"], data["system"]) == ("smollm2", "be brief\nand kind")


def test_a_file_is_named_by_the_title_and_never_overwritten(tmp_path: Path) -> None:
    chat = talk()
    paths = [export(chat, "md", None, tmp_path) for _ in range(3)]
    assert [path.name for path in paths] == [
        "why-is-the-sky-blue.md", "why-is-the-sky-blue-2.md", "why-is-the-sky-blue-3.md",
    ]  # fmt: skip
    assert paths[0].read_text() == to_markdown(chat)
    named = tmp_path / "mine.txt"
    assert export(chat, "json", Path("mine.txt"), tmp_path) == named
    with pytest.raises(StoreError, match="exists already"):
        export(chat, "json", named, tmp_path)
    with pytest.raises(StoreError, match="cannot write"):
        export(chat, "json", tmp_path / "no" / "folder", tmp_path)
