from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from dmr_tui import __version__
from dmr_tui.cli.running import until
from dmr_tui.engine.profile import RunningModel
from dmr_tui.errors import UnavailableError
from dmr_tui.runner.base import RunnerStatus
from tests.cli.conftest import Dmr
from tests.support.fake_runner import FakeRunner

Use = Callable[[FakeRunner], None]


class Served(FakeRunner):
    async def status(self) -> RunnerStatus:
        backends = {
            "vllm": "Not Installed",
            "broken": "Error: import failed: no module",
            "llama.cpp": "Running: llama.cpp 0.3.36",
        }
        return RunnerStatus("remote", "http://127.0.0.1:12434", "1.2.3", backends)


class Gone(FakeRunner):
    async def status(self) -> RunnerStatus:
        raise UnavailableError("nobody answers")


def test_ps(dmr: Dmr, use_runner: Use) -> None:
    use_runner(FakeRunner())
    lines = [line.split() for line in dmr("ps").out.splitlines()]
    assert lines == [
        ["MODEL", "NAME", "BACKEND", "MODE", "UNTIL"],
        ["llama3.2:1B-Q8_0", "llama.cpp", "completion", "Expiring"],
        ["busy", "llama.cpp", "completion", "Loading...", "25%"],
    ]
    running = json.loads(dmr("ps", "--json").out)
    assert [each["pid"] for each in running] == [77, 78]


@pytest.mark.parametrize(
    ("state", "in_use", "keep_alive", "idle", "text"),
    [
        ("ready", 0, 300, None, "5 minutes from now"),
        ("ready", 1, 300, 200, "5 minutes from now"),
        ("ready", 0, 300, 200, "About a minute from now"),
        ("ready", 0, 300, 301, "Expiring"),
        ("ready", 0, -1, 1e6, "Forever"),
        ("ready", 0, 0, 1, "Expiring"),
        ("loading", 0, 300, None, "Loading..."),
        ("unloading", 0, 300, None, "Expiring"),
    ],
)
def test_until(state: str, in_use: int, keep_alive: float, idle: float | None, text: str) -> None:
    used = None if idle is None else time.time() - idle
    running = RunningModel(
        "id", "m", "llama.cpp", "completion", state, in_use, keep_alive, used, 0, 0, 0, 1
    )
    assert until(running) == text


def test_a_load_tells_how_far_it_is() -> None:
    model = RunningModel(
        "x", "m", "llama.cpp", "completion", "loading", 1, 300, None, 0, 0, 0, 0, progress=0.425
    )
    assert until(model) == "Loading... 42%"


def test_unload(dmr: Dmr, use_runner: Use) -> None:
    runner = FakeRunner()
    use_runner(runner)
    assert dmr("unload", "a", "b").out == "Unloaded 2 model(s).\n"
    assert dmr("unload", "--all").out == "Unloaded 2 model(s).\n"
    assert [call for call in runner.calls if call[0] == "unload"] == [
        ("unload", ("a", "b")),
        ("unload", None),
    ]


def test_unload_of_nothing(dmr: Dmr) -> None:
    assert dmr("unload", "--all").out == "No models are running.\n"


def test_status_of_a_server(dmr: Dmr, use_runner: Use) -> None:
    use_runner(Served())
    result = dmr("status")
    assert result.code == 0
    assert result.out.startswith("dmr is running at http://127.0.0.1:12434\n\n")
    assert [line.split(maxsplit=1)[0] for line in result.out.splitlines()[3:]] == [
        "llama.cpp",
        "broken",
        "vllm",
    ]
    assert "import failed: no module" in result.out
    as_json = dmr("status", "--json").out
    assert as_json.count("\n") == 1
    found = json.loads(as_json)
    assert found["running"] is True
    assert found["endpoint"] == found["endpointHost"] == "http://127.0.0.1:12434/v1/"
    assert found["kind"] == "remote"


def test_status_without_a_server(dmr: Dmr) -> None:
    result = dmr("status")
    assert (result.code, result.out) == (1, "")
    assert "dmr start-runner" in result.err
    result = dmr("status", "--json")
    assert result.code == 1
    assert json.loads(result.out)["running"] is False


def test_version(dmr: Dmr, use_runner: Use) -> None:
    use_runner(Served())
    out = dmr("version").out
    assert out.startswith(f"Client:\n Version:    {__version__}\n OS/Arch:    ")
    assert out.endswith("\n\nServer:\n Version:    1.2.3\n Engine:     remote\n")
    assert json.loads(dmr("version", "--json").out)["server"] == {
        "version": "1.2.3",
        "engine": "remote",
    }


@pytest.mark.parametrize("runner", [FakeRunner(), Gone()])
def test_version_without_a_server(dmr: Dmr, use_runner: Use, runner: FakeRunner) -> None:
    use_runner(runner)
    result = dmr("version")
    assert result.code == 0
    assert result.out.count("(not reachable)") == 2
    assert json.loads(dmr("version", "--json").out)["server"] is None
