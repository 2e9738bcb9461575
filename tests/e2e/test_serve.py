"""`dmr serve` on its worst days: killed workers, signals, busy ports."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.conftest import Program, closed_port

LONG = {
    "model": "my/m",
    "messages": [{"role": "user", "content": "Go on"}],
    "stream": True,
    "max_tokens": 3500,
    "temperature": 0,
}


class Served:
    """A `dmr serve` that answers."""

    def __init__(self, program: Program) -> None:
        port = str(closed_port())
        self.program = program
        self.url = f"http://127.0.0.1:{port}"
        self.process = program.start("serve", "--port", port)
        deadline = time.monotonic() + 20
        while True:
            try:
                httpx.get(f"{self.url}/version")
                break
            except httpx.ConnectError:
                assert self.process.poll() is None, self.process.communicate()
                assert time.monotonic() < deadline
                time.sleep(0.02)

    def workers(self) -> list[psutil.Process]:
        """The processes of loaded models."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def ask(self) -> httpx.Response:
        """One short answer."""
        short = {**LONG, "stream": False, "max_tokens": 4}
        return httpx.post(f"{self.url}/v1/chat/completions", json=short, timeout=30)


@pytest.fixture
def served(program: Program, tiny_gguf: Path) -> Iterator[Served]:
    program.run("package", "--gguf", str(tiny_gguf), "my/m")
    server = Served(program)
    yield server
    if server.process.poll() is None:
        server.process.terminate()
    server.process.communicate(timeout=20)


def test_a_killed_worker_ends_its_stream_with_an_error_and_the_next_request_answers(
    served: Served,
) -> None:
    url = f"{served.url}/v1/chat/completions"
    with httpx.stream("POST", url, json=LONG, timeout=30) as stream:
        lines = stream.iter_lines()
        assert "delta" in next(line for line in lines if "content" in line)
        running = json.loads(served.program.run("ps", "--json").stdout)
        assert len(running) == 1
        (worker,) = served.workers()
        worker.kill()
        rest = list(lines)
    errors = [json.loads(line[6:])["error"] for line in rest if '"error"' in line]
    assert len(errors) == 1
    assert "SIGKILL" in errors[0]["message"]
    assert served.ask().json()["usage"]["completion_tokens"] == 4


def test_sigterm_ends_streams_and_leaves_no_worker(served: Served) -> None:
    url = f"{served.url}/v1/chat/completions"
    with httpx.stream("POST", url, json=LONG, timeout=30) as stream:
        lines = stream.iter_lines()
        next(line for line in lines if "content" in line)
        workers = served.workers()
        assert workers
        served.process.send_signal(signal.SIGTERM)
        list(lines)  # ends without an exception: the stream was closed, not cut
    _, err = served.process.communicate(timeout=20)
    assert served.process.returncode == 0, err
    assert "Traceback" not in err
    _gone, alive = psutil.wait_procs(workers, timeout=5)
    assert not alive


def test_no_worker_outlives_a_killed_server(served: Served) -> None:
    assert served.ask().status_code == 200
    workers = served.workers()
    assert workers
    os.kill(served.process.pid, signal.SIGKILL)
    _gone, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive


def test_a_busy_port_is_an_error_with_exit_1(served: Served) -> None:
    port = served.url.rpartition(":")[2]
    second = served.program.run("serve", "--port", port, check=False)
    assert second.returncode == 1
    assert port in second.stderr
    assert "Traceback" not in second.stderr


def test_other_commands_find_the_server_and_use_its_models(served: Served) -> None:
    answer = served.program.run("run", "--max-tokens", "4", "my/m", "Hello")
    assert answer.stdout.strip()
    (running,) = json.loads(served.program.run("ps", "--json").stdout)
    assert running["name"].endswith("my/m:latest")
    assert "Unloaded 1 model" in served.program.run("unload", "my/m").stdout
    assert served.workers() == []
