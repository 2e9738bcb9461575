from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from dmr_tui.cli.main import run
from tests.support.fake_runner import FakeRunner


@dataclass(frozen=True)
class Result:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


Dmr = Callable[..., Result]


@pytest.fixture
def dmr(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Dmr:
    """Runs a command line in this process."""

    def call(*arguments: str, stdin: str = "") -> Result:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        code = run(arguments)
        return Result(code, *capsys.readouterr())

    return call


@pytest.fixture
def use_runner(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeRunner], None]:
    """Makes every command use the given runner."""

    def use(runner: FakeRunner) -> None:
        async def open_runner(*_: Any, **__: Any) -> FakeRunner:
            return runner

        monkeypatch.setattr("dmr_tui.runner.contexts.open_runner", open_runner)

    return use
