"""`dmr requests` and `dmr logs`."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dmr_tui.engine.request import ChatRequest, Message
from dmr_tui.paths import Paths
from dmr_tui.runner.activity.answering import Answering
from dmr_tui.runner.activity.log_lines import line_text
from dmr_tui.runner.activity.records import LogLine
from dmr_tui.server.endpoint import Endpoint
from dmr_tui.settings import Settings
from tests.cli.conftest import Dmr
from tests.support.fake_runner import FakeRunner

Use = Callable[[FakeRunner], None]
NAME = "ai/llama3.2:1B-Q8_0"
LINES = (
    LogLine(time.time() - 86_400, "old", "info", "load"),
    LogLine(time.time(), "new \x1b[2Jtext", "warn", "http"),
    LogLine(time.time(), "of an engine", "error", "m", engine=True),
)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRunner]:
    """A runner behind an endpoint that another thread serves."""
    runner = FakeRunner()
    ready, done = threading.Event(), threading.Event()
    url: list[str] = []

    async def serve() -> None:
        endpoint = Endpoint(
            runner, Settings(), port=0, paths=Paths(tmp_path, tmp_path, tmp_path / "s")
        )
        await endpoint.start()
        url.append(endpoint.url)
        ready.set()
        await asyncio.to_thread(done.wait)
        await endpoint.stop(grace=0)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(20)
    monkeypatch.setenv("MODEL_RUNNER_HOST", url[0])
    yield runner
    done.set()
    thread.join()


def ask(runner: FakeRunner, model: str = NAME) -> None:
    with Answering(runner.journal, "curl/8.5", model, ChatRequest([Message("user", "hi")]), None):
        pass


def test_requests_are_printed_as_docker_has_them(dmr: Dmr, served: FakeRunner) -> None:
    assert json.loads(dmr("requests").out) == []
    ask(served)
    ask(served, "other")
    (shown,) = json.loads(dmr("requests", "--model", NAME).out)
    assert (shown["model"], shown["count"]) == (NAME, 1)
    assert json.loads(shown["records"][0]["request"])["model"] == NAME
    result = dmr("requests", "--model", "none")
    assert (result.code, result.out) == (1, "")
    assert "no records found for model 'none'" in result.err


def test_requests_on_a_terminal_are_one_line_each(
    dmr: Dmr, served: FakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(served)
    ask(served, "other\x1b[2J")
    monkeypatch.setattr("dmr_tui.cli.observing.on_terminal", lambda: True)
    lines = dmr("requests").out.splitlines()
    assert [line.split()[2:5] for line in lines] == [
        ["200", "llama3.2:1B-Q8_0", "chat"],
        ["200", "other[2J", "chat"],
    ]
    assert len(dmr("requests", "--filter", "model:other").out.splitlines()) == 1
    assert json.loads(dmr("requests", "--json").out)
    monkeypatch.setattr("dmr_tui.cli.observing.on_terminal", lambda: False)
    assert len(dmr("requests", "--filter", "model:other").out.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--include-existing"], "--include-existing can only be used with --follow"),
        (["--filter", "status:many"], "expects a number after “status:”"),
        (["--filter", "x", "--json"], "--filter is for lines, not for JSON"),
    ],
)
def test_wrong_options(dmr: Dmr, arguments: list[str], text: str) -> None:
    result = dmr("requests", *arguments)
    assert result.code in (1, 2)
    assert text in result.err


def test_without_a_server_there_are_no_requests(dmr: Dmr) -> None:
    result = dmr("requests")
    assert result.code == 1
    assert "dmr start-runner" in result.err


def test_logs(dmr: Dmr, use_runner: Use) -> None:
    use_runner(FakeRunner(lines=LINES))
    lines = dmr("logs").out.splitlines()
    assert lines == [line_text(line).replace("\x1b", "") for line in LINES]
    assert len(dmr("logs", "--no-engines").out.splitlines()) == 2
    assert len(dmr("logs", "--since", "6h").out.splitlines()) == 2
    assert dmr("logs", "--level", "error").out.splitlines() == lines[2:]
    assert dmr("logs", "--filter", "source:load").out.splitlines() == lines[:1]
    assert dmr("logs", "--since", "long").code == 1


def test_logs_are_there_without_a_server(dmr: Dmr) -> None:
    folder = Paths.default().logs
    folder.mkdir(parents=True)
    (folder / "runner.log").write_text(line_text(LINES[0]) + "\n")
    assert dmr("logs").out == line_text(LINES[0]) + "\n"
