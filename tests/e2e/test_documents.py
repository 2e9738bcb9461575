"""Every command that a document shows runs, in the order in which it is shown."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import Program, closed_port

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands(document: Path) -> list[str]:
    """The lines that begin with `$` in a document's console blocks."""
    blocks = BLOCK.findall(document.read_text("utf-8"))
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


@pytest.mark.parametrize("document", [d for d in DOCUMENTS if commands(d)], ids=lambda d: d.name)
def test_every_command_runs(document: Path, hub: Program, tiny_gguf: Path) -> None:
    port = str(closed_port())
    (hub.home / "model.gguf").symlink_to(tiny_gguf)
    subprocess.run(["git", "init", "-q", "."], cwd=hub.home, check=True)
    script = "\n".join(commands(document)).replace("12434", port)
    # The path of this clone is the reader's own; the tests have put the program there already.
    script = script.replace('export PATH="$PWD/.venv/bin:$PATH"', "true")
    run = subprocess.run(
        ["bash", "-euc", script],
        cwd=hub.home,
        env={**hub.environ, "MODEL_RUNNER_PORT": port},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_readme_shows_commands() -> None:
    assert len(commands(ROOT / "README.md")) > 8


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", document.read_text("utf-8"))
    missing = [target for target in targets if not (document.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_make_targets_exist(document: Path) -> None:
    known = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    shown = re.findall(r"\bmake ([a-z-]+)", document.read_text("utf-8"))
    assert set(shown) <= set(known)
