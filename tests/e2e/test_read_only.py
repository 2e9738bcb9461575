"""A store that may only be read: a shared disk, another user's folder."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmr_tui.store.package import package_gguf
from dmr_tui.store.reference import parse_reference
from dmr_tui.store.store import Store
from tests.e2e.conftest import Program


@pytest.fixture
def team(tmp_path: Path, program: Program, tiny_gguf: Path) -> Iterator[Path]:
    """A store with one model, which was never run."""
    root = tmp_path / "team"
    name = parse_reference("my/m", default_registry=program.environment["DEFAULT_REGISTRY"])
    package_gguf(Store(root), tiny_gguf, name)
    yield root
    for folder, _, _ in os.walk(root):
        os.chmod(folder, 0o755)


def run(program: Program, team: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `dmr` where the store cannot be written."""
    command = [sys.executable, "-m", "dmr_tui", *arguments]
    if os.geteuid() == 0:  # root may write whatever is not mounted otherwise
        if shutil.which("unshare") is None:
            pytest.skip("root cannot be kept from writing without unshare")
        mount = f"mount --bind {team} {team} && mount -o remount,ro,bind {team}"
        command = ["unshare", "-m", "sh", "-c", f"{mount} && exec {shlex.join(command)}"]
    else:
        for folder, _, _ in os.walk(team):
            os.chmod(folder, 0o555)
    environment = {**program.environ, "MODELS_PATH": str(team)}
    return subprocess.run(
        command, env=environment, cwd=program.home, capture_output=True, text=True, timeout=60
    )


def test_it_is_listed_inspected_checked_and_run(program: Program, team: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in team.rglob("*")}
    for arguments in (["list"], ["inspect", "my/m"], ["show", "my/m"], ["df"], ["fsck", "--full"]):
        done = run(program, team, *arguments)
        if "mount" in done.stderr:
            pytest.skip(f"nothing can be mounted here: {done.stderr}")
        assert done.returncode == 0, done.stderr
    answer = run(program, team, "run", "--max-tokens", "4", "my/m", "Hello")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip()
    assert {path: path.stat().st_mtime_ns for path in team.rglob("*")} == before


def test_what_must_write_says_why_it_cannot(program: Program, team: Path) -> None:
    for arguments in (["rm", "my/m"], ["tag", "my/m", "x"], ["prune", "-f"]):
        done = run(program, team, *arguments)
        if "mount" in done.stderr:
            pytest.skip(f"nothing can be mounted here: {done.stderr}")
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert "Read-only file system" in done.stderr or "Permission denied" in done.stderr
