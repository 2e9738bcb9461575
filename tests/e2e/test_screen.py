"""The full screen in a real terminal multiplexer, at the sizes people have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Program
from tests.e2e.tmux import Tmux, tmux_or_skip


@pytest.fixture(params=[(120, 36), (80, 24)], ids=lambda size: f"{size[0]}x{size[1]}")
def tmux(
    request: pytest.FixtureRequest, program: Program, tiny_gguf: Path, tmp_path: Path
) -> Iterator[Tmux]:
    tmux_or_skip()
    del program.environment["DEFAULT_REGISTRY"]  # nothing is pulled here: names stay short
    program.run("package", "--gguf", str(tiny_gguf), "my/random")
    terminal = Tmux(tmp_path / "tmux", program, *request.param)
    yield terminal
    terminal.close()


def test_from_the_first_frame_to_a_chat_and_out(tmux: Tmux) -> None:
    tmux.wait_for(r"my/random .*Q8_0")
    tmux.keys("Enter")
    tmux.wait_for(r"Chat with my/random")
    # One burst: the letters must come before the key that sends them.
    tmux.keys("Tell me something", "Enter")
    tmux.wait_for(r"\d tok/s")
    tmux.keys("Escape")
    screen = tmux.wait_for(r"(?s)\A(?!.*esc Stop)")
    assert "  0 left" not in screen  # the context is not full: it was stopped
    assert [p for p in tmux.descendants() if "llamacpp" in " ".join(p.cmdline())]
    tmux.keys("C-q")
    tmux.wait_for(r"left with 0")
    assert not [p for p in tmux.descendants() if "llamacpp" in " ".join(p.cmdline())]


def test_a_killed_worker_is_told_and_the_next_message_is_answered(tmux: Tmux) -> None:
    tmux.wait_for(r"my/random .*Q8_0")
    tmux.keys("Enter")
    tmux.wait_for(r"Chat with my/random")
    tmux.keys("Tell me something", "Enter")
    tmux.wait_for(r"\d tok/s")
    (worker,) = [p for p in tmux.descendants() if "llamacpp" in " ".join(p.cmdline())]
    worker.kill()
    tmux.wait_for(r"SIGKILL")
    tmux.keys("And again", "Enter")
    tmux.wait_for(r"esc Stop")
    tmux.keys("C-q")
    tmux.wait_for(r"left with 0")
