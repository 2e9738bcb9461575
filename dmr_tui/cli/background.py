"""The server in the background: `start-runner`, `stop-runner`, and who else needs one."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import msgspec

from dmr_tui.cli.command import command, run_async
from dmr_tui.cli.output import talk
from dmr_tui.errors import UnavailableError, UsageError
from dmr_tui.paths import Paths
from dmr_tui.runner.contexts import Announcement, open_runner, runner_url
from dmr_tui.runner.local import LocalRunner
from dmr_tui.settings import load_settings

START_SECONDS = 30.0
"""How long a new server has to answer."""

STOP_SECONDS = 15.0
"""How long a server has to end its answers and its workers."""

_POLL = 0.05


@command("start-runner", "dmr start-runner", "dmr start-runner --port 9000")
@click.option(
    "--port", metavar="N", type=click.IntRange(0, 65535), help="TCP port (12434); 0: a free one."
)
@click.option("--host", metavar="ADDRESS", help="Address to listen on (127.0.0.1).")
def start_runner_command(port: int | None, host: str | None) -> None:
    """Serve models over HTTP, in the background.

    It goes on until dmr stop-runner; dmr commands find it by themselves.
    """
    paths = Paths.default()
    options = [*(["--port", str(port)] if port is not None else [])]
    options += ["--host", host] if host else []
    url = run_async(_start_once(paths, options))
    print(f"dmr is running at {url}")


@command("stop-runner", "dmr stop-runner")
def stop_runner_command() -> None:
    """Stop the server that runs in the background, and its models with it."""
    run_async(_stop(Paths.default()))


async def running_url(paths: Paths) -> str:
    """Base URL of this user's running server; empty when there is none."""
    runner = await open_runner(load_settings(paths), paths)
    try:
        return "" if isinstance(runner, LocalRunner) else (await runner.status()).endpoint
    finally:
        await runner.close()


async def start_server(paths: Paths, options: list[str] | None = None) -> str:
    """Start `dmr serve` as a process of its own and wait until it answers.

    Args:
        paths: where it announces itself and writes its log.
        options: of `dmr serve`.

    Returns:
        Its base URL.

    Raises:
        UnavailableError: it ended at once (its last words are in the message), or did not answer.
    """
    log = paths.logs / "serve.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        begin = out.tell()
        # Its own session and directory: it outlives this terminal and holds no folder of it.
        process = subprocess.Popen(
            [sys.executable, "-m", "dmr_tui", "serve", *(options or [])],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            cwd="/",
        )
    try:
        async with asyncio.timeout(START_SECONDS):
            while process.poll() is None:
                if url := await running_url(paths):
                    return url
                await asyncio.sleep(_POLL)
    except TimeoutError:
        process.terminate()
        raise UnavailableError("the server did not answer", f"its log: {log}") from None
    raise UnavailableError(_last_words(log, begin), f"its log: {log}")


async def _start_once(paths: Paths, options: list[str]) -> str:
    if runner_url(os.environ):
        raise UsageError("MODEL_RUNNER_HOST names another runner", "unset it to start one here")
    url = await running_url(paths)
    if url:
        talk("It is running already.")
        return url
    return await start_server(paths, options)


def _last_words(log: Path, begin: int) -> str:
    with log.open("rb") as words:
        words.seek(begin)
        text = words.read().decode("utf-8", "replace").strip()
    first = text.splitlines()[0] if text else "it ended at once"
    return f"the server did not start: {first.removeprefix('Error: ')}"


async def _stop(paths: Paths) -> None:
    import psutil

    if runner_url(os.environ) or not await running_url(paths):
        print("No server is running.")
        return
    # The file has just been held against the server that answers, so the pid is its own.
    said = msgspec.json.decode(paths.endpoint.read_bytes(), type=Announcement)
    try:
        process = psutil.Process(said.pid)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(STOP_SECONDS):
            # One that nobody waits for stays as a zombie where there is no init process.
            while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                await asyncio.sleep(_POLL)
    except psutil.NoSuchProcess:
        pass
    except TimeoutError:
        raise UnavailableError(
            f"the server (process {said.pid}) has not ended in {STOP_SECONDS:g} s"
        ) from None
    print("Stopped the server.")
