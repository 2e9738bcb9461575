"""The program as a person has it: real processes, a real registry, a home of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.registry import LiveRegistry


@dataclass
class Program:
    """Runs `dmr` with one home."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def environ(self) -> dict[str, str]:
        """What every process gets: little of the machine's own."""
        bin_folder = str(Path(sys.executable).parent)
        path = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
        return {"HOME": str(self.home), "PATH": path, "TERM": "xterm-256color", **self.environment}

    def start(self, *arguments: str, **options: object) -> subprocess.Popen[str]:
        """Start `dmr` and let it run; its streams are pipes of text."""
        return subprocess.Popen(
            [sys.executable, "-m", "dmr_tui", *arguments],
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.home,
        )

    def run(
        self, *arguments: str, stdin: str = "", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run `dmr` to its end; by default anything but success is a failure of the test."""
        run = subprocess.run(
            [sys.executable, "-m", "dmr_tui", *arguments],
            env=self.environ,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=self.home,
        )
        if check:
            assert run.returncode == 0, f"dmr {arguments}: {run.stdout}\n{run.stderr}"
        return run


@pytest.fixture
def program(home: Path) -> Program:
    """`dmr` in an empty home, with no registry within reach."""
    return Program(home, {"DEFAULT_REGISTRY": f"127.0.0.1:{closed_port()}"})


@pytest.fixture
def hub(program: Program, registry: LiveRegistry, tiny_gguf: Path) -> Program:
    """The same, where short names lead to a loopback registry that has `ai/smollm2`."""
    program.environment["DEFAULT_REGISTRY"] = registry.address
    # A small context, so that answers without a limit end soon.
    program.run("package", "--gguf", str(tiny_gguf), "--context-size", "256", "ai/smollm2")
    program.run("push", "ai/smollm2")
    program.run("rm", "ai/smollm2")
    return program


def closed_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
