"""The floors hold: nothing imports from a floor above it, and start-up stays light."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def test_import_contracts_hold() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_a_room_that_imports_from_above_is_caught(tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "house"
    shutil.copytree(ROOT / "dmr_tui", copy / "dmr_tui")
    shutil.copy(ROOT / "pyproject.toml", copy)
    culprit = copy / "dmr_tui" / "store" / "reference.py"
    culprit.write_text(culprit.read_text() + "\nimport dmr_tui.runner.base\n")
    linter = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run(
        [linter, "--no-cache"],
        cwd=copy,
        env={"PYTHONPATH": str(copy), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert run.returncode != 0
    assert "dmr_tui.store.reference -> dmr_tui.runner.base" in run.stdout


@pytest.mark.parametrize(
    ("room", "forbidden"),
    [
        ("dmr_tui.store.store", {"asyncio", "httpx", "oras", "rich", "textual", "llama_cpp"}),
        ("dmr_tui.store.transfer.pull", {"textual", "llama_cpp", "prompt_toolkit"}),
        ("dmr_tui.engine.manager", {"httpx", "rich", "textual", "llama_cpp", "jinja2"}),
        ("dmr_tui.runner.local", {"httpx", "oras", "rich", "textual", "llama_cpp", "jinja2"}),
        ("dmr_tui.chat.commands", {"httpx", "rich", "textual", "prompt_toolkit", "llama_cpp"}),
        ("dmr_tui.cli.main", {"httpx", "oras", "rich", "textual", "llama_cpp", "prompt_toolkit"}),
        ("dmr_tui.app", {"httpx", "oras", "llama_cpp", "jinja2", "starlette", "uvicorn"}),
    ],
)
def test_importing_a_room_leaves_heavy_packages_alone(room: str, forbidden: set[str]) -> None:
    code = f"import sys, {room}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not forbidden & set(run.stdout.split())
