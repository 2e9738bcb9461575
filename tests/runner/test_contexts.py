"""Which runner a command gets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dmr_tui.errors import InvalidRequestError
from dmr_tui.paths import Paths
from dmr_tui.runner.contexts import announce, open_runner, runner_url, withdraw
from dmr_tui.runner.local import LocalRunner
from dmr_tui.runner.remote import RemoteRunner
from dmr_tui.server.endpoint import Endpoint
from dmr_tui.settings import Settings
from tests.support.fake_runner import FakeRunner


@pytest.fixture
def paths(home: Path) -> Paths:
    return Paths.default()


@pytest.fixture
async def endpoint(paths: Paths) -> AsyncIterator[Endpoint]:
    started = Endpoint(FakeRunner(), Settings(), port=0, paths=paths)
    await started.start()
    yield started
    await started.stop(grace=0)


async def found(paths: Paths, *, embedded: bool = False) -> str:
    """URL of the runner that is opened; empty for one of our own."""
    runner = await open_runner(Settings(), paths, embedded=embedded)
    await runner.close()
    assert isinstance(runner, RemoteRunner | LocalRunner)
    return runner.url if isinstance(runner, RemoteRunner) else ""


async def test_alone_it_is_our_own(paths: Paths) -> None:
    assert await found(paths) == ""


async def test_a_running_endpoint_is_found_until_it_stops(paths: Paths, endpoint: Endpoint) -> None:
    url = endpoint.url
    assert await found(paths) == url
    assert await found(paths, embedded=True) == ""
    await endpoint.stop()
    assert await found(paths) == ""


async def test_an_endpoint_on_a_unix_socket_is_found(paths: Paths, tmp_path: Path) -> None:
    endpoint = Endpoint(FakeRunner(), Settings(), socket=tmp_path / "s", paths=paths)
    await endpoint.start()
    assert await found(paths) == f"unix://{tmp_path}/s"
    await endpoint.stop(grace=0)


async def test_an_endpoint_of_another_store_is_not_taken(
    paths: Paths, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MODELS_PATH", str(tmp_path / "elsewhere"))
    assert await found(Paths.default()) == ""
    link = tmp_path / "link"
    paths.models.mkdir(parents=True)
    link.symlink_to(paths.models)
    monkeypatch.setenv("MODELS_PATH", str(link))
    assert await found(Paths.default()) == endpoint.url


def rewrite(paths: Paths, **fields: object) -> None:
    said = json.loads(paths.endpoint.read_text())
    paths.endpoint.write_text(json.dumps({**said, **fields}))


async def test_a_file_of_a_dead_process_is_not_taken(paths: Paths, endpoint: Endpoint) -> None:
    dead = subprocess.Popen([sys.executable, "-c", "pass"])
    dead.wait()
    rewrite(paths, pid=dead.pid)
    assert await found(paths) == ""


async def test_another_program_on_that_port_is_not_taken(paths: Paths, endpoint: Endpoint) -> None:
    rewrite(paths, instance="somebody else")
    assert await found(paths) == ""


async def test_a_port_where_nobody_answers_is_not_taken(paths: Paths, unused_tcp_port: int) -> None:
    announce(paths, f"http://127.0.0.1:{unused_tcp_port}", "x")
    assert await found(paths) == ""


@pytest.mark.parametrize("text", ["", "{", "[]", '{"url":1}', "\x00"])
async def test_a_file_that_says_nothing_is_not_taken(paths: Paths, text: str) -> None:
    paths.endpoint.parent.mkdir(parents=True)
    paths.endpoint.write_text(text)
    assert await found(paths) == ""
    withdraw(paths, "x")
    announce(paths, "http://127.0.0.1:1", "x")
    assert json.loads(paths.endpoint.read_text())["pid"] == os.getpid()
    withdraw(paths, "other")
    assert paths.endpoint.exists()
    withdraw(paths, "x")
    assert list(paths.endpoint.parent.iterdir()) == []


async def test_a_named_host_wins_over_a_running_endpoint(
    paths: Paths, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_RUNNER_HOST", "box.lan:12434")
    assert await found(paths) == "http://box.lan:12434"
    assert await found(paths, embedded=True) == ""
    monkeypatch.setenv("MODEL_RUNNER_HOST", " ")
    assert await found(paths) == endpoint.url


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, ""),
        ({"MODEL_RUNNER_HOST": ""}, ""),
        ({"MODEL_RUNNER_HOST": "localhost"}, "http://localhost"),
        ({"MODEL_RUNNER_HOST": '"http://a:1/"'}, "http://a:1"),
        ({"MODEL_RUNNER_HOST": "https://a/exp/vDD4.40"}, "https://a/exp/vDD4.40"),
        ({"MODEL_RUNNER_HOST": "unix:///run/dmr.sock"}, "unix:///run/dmr.sock"),
        ({"MODEL_RUNNER_HOST": "a:1", "MODEL_RUNNER_TLS": "true"}, "https://a:1"),
        ({"MODEL_RUNNER_HOST": "http://a:1", "MODEL_RUNNER_TLS": "true"}, "http://a:1"),
        ({"MODEL_RUNNER_HOST": "a:1", "MODEL_RUNNER_TLS": "1"}, "http://a:1"),
    ],
)
def test_the_named_host_as_a_url(environ: dict[str, str], url: str) -> None:
    assert runner_url(environ) == url


@pytest.mark.parametrize("host", ["ftp://a", "http://", "unix://", "tcp://a:1"])
def test_what_is_no_url_of_a_runner(host: str) -> None:
    with pytest.raises(InvalidRequestError, match="MODEL_RUNNER_HOST"):
        runner_url({"MODEL_RUNNER_HOST": host})


async def test_a_certificate_that_is_not_there_is_an_error(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_RUNNER_HOST", "https://box.lan")
    monkeypatch.setenv("MODEL_RUNNER_TLS_CA_CERT", "/no/such/file.pem")
    with pytest.raises(InvalidRequestError, match=r"/no/such/file\.pem"):
        await open_runner(Settings(), paths)


def test_looking_for_a_runner_imports_no_http_client(home: Path) -> None:
    code = (
        "import asyncio, sys\n"
        "from dmr_tui.paths import Paths\n"
        "from dmr_tui.runner.contexts import open_runner\n"
        "from dmr_tui.settings import Settings\n"
        "asyncio.run(open_runner(Settings(), Paths.default()))\n"
        "heavy = {'httpx', 'starlette', 'uvicorn', 'textual', 'llama_cpp', 'oras'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
