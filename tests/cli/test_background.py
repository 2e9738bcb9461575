"""A real server in the background, started and stopped by the commands."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from dmr_tui.paths import Paths
from tests.support.terminal import Terminal


def dmr(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run the real program."""
    return subprocess.run(
        [sys.executable, "-m", "dmr_tui", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
    )


def server_pid() -> int:
    pid: int = json.loads(Paths.default().endpoint.read_bytes())["pid"]
    return pid


@pytest.fixture
def model(tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A packaged model, a free port by default, and no server left behind."""
    monkeypatch.setenv("MODEL_RUNNER_PORT", "0")
    assert dmr("package", "--gguf", str(tiny_gguf), "me/m").returncode == 0
    yield "me/m"
    dmr("stop-runner")


def test_start_use_and_stop(model: str) -> None:
    started = dmr("start-runner")
    assert started.returncode == 0, started.stderr
    assert started.stdout.startswith("dmr is running at http://127.0.0.1:")
    url = started.stdout.split()[-1]
    server = psutil.Process(server_pid())
    again = dmr("start-runner")
    assert (again.returncode, again.stdout) == (0, started.stdout)
    assert server_pid() == server.pid
    status = dmr("status", "--json")
    assert status.returncode == 0
    assert json.loads(status.stdout)["endpoint"] == f"{url}/v1/"
    assert dmr("version", "--json").stdout.count("remote") == 1
    stopped = dmr("stop-runner")
    assert (stopped.returncode, stopped.stdout) == (0, "Stopped the server.\n")
    assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE
    assert not Paths.default().endpoint.exists()
    assert dmr("stop-runner").stdout == "No server is running.\n"


def test_preload_starts_a_server_that_keeps_the_model(model: str) -> None:
    loaded = dmr("run", "-d", "--keep-alive", "-1", model)
    assert (loaded.returncode, loaded.stdout) == (0, ""), loaded.stderr
    assert "Started the server at http://127.0.0.1:" in loaded.stderr
    listed = dmr("ps").stdout.splitlines()[1].split()
    assert listed == ["me/m", "llama.cpp", "completion", "Forever"]
    answer = dmr("run", model, "--max-tokens", "4", stdin="hi")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip()
    assert dmr("unload", model).stdout == "Unloaded 1 model(s).\n"
    assert len(dmr("ps").stdout.splitlines()) == 1


def test_a_server_that_cannot_start_says_why(model: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = dmr("start-runner", "--port", port)
        assert (result.returncode, result.stdout) == (1, "")
        assert "did not start" in result.stderr
        assert port in result.stderr
        assert "serve.log" in result.stderr
        assert "Traceback" not in result.stderr


def test_a_named_runner_is_not_started_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_RUNNER_HOST", "http://127.0.0.1:9")
    assert dmr("start-runner").returncode == 2
    assert dmr("stop-runner").stdout == "No server is running.\n"


@pytest.mark.parametrize("key", ["C-c", None])
def test_serve_ends_cleanly(key: str | None, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dmr_tui", "serve", "--port", "0", "--models-path", "store"]
    with Terminal(command, cwd=tmp_path) as terminal:
        url = terminal.wait_for(r"^Listening on (http://127\.0\.0\.1:\d+)$")[1]
        terminal.wait_for(rf"^OpenAI clients use the base URL {url}/engines/v1$")
        announced = json.loads(Paths.default().endpoint.read_bytes())
        assert announced["models"] == str(tmp_path / "store")
        if key:
            terminal.keys(key)
        else:
            terminal.signal(15)
        assert terminal.wait_exit() == 0
        assert "Traceback" not in terminal.everything()


def test_serve_on_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s"
    command = [sys.executable, "-m", "dmr_tui", "serve", "--socket", str(path)]
    with Terminal(command, columns=200) as terminal:
        terminal.wait_for(rf"^Listening on unix://{path}$")
        assert dmr("status").returncode == 0
        monkeypatch.setenv("MODEL_RUNNER_HOST", f"unix://{path}")
        assert dmr("list").returncode == 0
