"""A newcomer's first day: the built-in model, one from a registry, a chat with it, its end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Program
from tests.e2e.tmux import Tmux, tmux_or_skip


@pytest.fixture
def screen(hub: Program, tmp_path: Path) -> Iterator[Tmux]:
    tmux_or_skip()
    terminal = Tmux(tmp_path / "tmux", hub, 80, 24)
    yield terminal
    terminal.close()


def test_first_run_chat_pull_chat_delete(screen: Tmux, hub: Program) -> None:
    # An empty store: one key begins a chat with the model that comes with the program.
    screen.wait_for(r"Welcome to dmr\.")
    screen.wait_for(r"▸ dmr/guide")
    screen.keys("Enter")
    screen.wait_for(r"\[3 Chat\]")
    screen.keys("How do I pull a model?", "Enter")
    screen.wait_for(r"dmr pull")
    # A model from a registry, by its name.
    screen.keys("M-2")
    screen.wait_for(r"\[2 Get\]")
    screen.keys("ai/smollm2:latest")
    screen.wait_for(r"ai/smollm2")
    screen.keys("Enter")
    screen.wait_for(r"\[3 Chat\]")
    screen.wait_for(r"smollm2")
    # A chat with it, while the window is dragged about.
    screen.keys("C-n")
    screen.wait_for(r"New chat")  # the speed of the guide's answer is gone
    screen.keys("Tell me something", "Enter")
    screen.wait_for(r"\d tok/s|esc Stop")
    for columns, rows in [(100, 30), (60, 15), (200, 50), (40, 10), (81, 23), (80, 24)] * 3:
        screen.resize(columns, rows)
    screen.wait_for(r"(?s)\A(?!.*esc Stop).*\d tok/s.*⏎ Send")
    # And it goes again.
    screen.keys("M-1")
    screen.wait_for(r"smollm2 .*Q8_0")
    screen.keys("/")
    screen.wait_for(r"words to look for|All models")
    screen.keys("smollm2", "Enter")
    screen.wait_for(r"(?m)^ *▸.*smollm2")
    screen.wait_for(r"⏎ Chat")  # the table has the keys again
    screen.keys("d")
    screen.wait_for(r"Delete smollm2|Delete .*smollm2")
    screen.keys("d")
    screen.wait_for(r"Deleted")
    screen.keys("C-q")
    screen.wait_for(r"left with 0")
    listed = hub.run("list").stdout
    assert "smollm2" not in listed
    assert "dmr/guide" in listed
