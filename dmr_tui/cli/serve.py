"""`dmr serve`: models for other programs, over HTTP, until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path

import click

from dmr_tui.cli.command import command, run_async
from dmr_tui.cli.output import talk
from dmr_tui.errors import UsageError
from dmr_tui.paths import Paths
from dmr_tui.settings import Settings, check_key, load_settings


@command(
    "serve",
    "dmr serve",
    "dmr serve --port 9000",
    "dmr serve --socket /run/user/1000/dmr.sock",
    "curl http://127.0.0.1:12434/engines/v1/models",
)
@click.option(
    "--port", metavar="N", type=click.IntRange(0, 65535), help="TCP port (12434); 0: a free one."
)
@click.option("--host", metavar="ADDRESS", help="Address to listen on (127.0.0.1).")
@click.option(
    "--api-key", metavar="KEY", help="What clients must bring; better in DMR_API_KEY than here."
)
@click.option("--socket", type=click.Path(path_type=Path), help="Unix socket instead of TCP.")
@click.option(
    "--models-path", type=click.Path(file_okay=False, path_type=Path), help="Folder of the store."
)
def serve_command(
    port: int | None,
    host: str | None,
    api_key: str | None,
    socket: Path | None,
    models_path: Path | None,
) -> None:
    """Serve models over HTTP, in the foreground.

    Other programs use them with any OpenAI client; Ctrl-C ends it.
    """
    if socket is not None and (port is not None or host is not None):
        raise UsageError("--socket and --port or --host exclude each other")
    if models_path is not None:
        os.environ["MODELS_PATH"] = str(models_path.absolute())
    paths = Paths.default()
    settings = load_settings(paths)
    settings = replace(
        settings,
        port=settings.port if port is None else port,
        host=host or settings.host,
        api_key=settings.api_key if api_key is None else check_key(api_key, "--api-key"),
    )
    run_async(_serve(paths, settings, socket))


async def _serve(paths: Paths, settings: Settings, socket: Path | None) -> None:
    from dmr_tui.runner.local import LocalRunner
    from dmr_tui.server.endpoint import Endpoint
    from dmr_tui.server.security import is_loopback

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    runner = LocalRunner.open(paths, settings)
    try:
        endpoint = Endpoint(runner, settings, host=settings.host, port=settings.port, socket=socket)
        await endpoint.start()
        try:
            talk(f"Listening on {endpoint.url}")
            if socket is None:
                if not settings.api_key and not is_loopback(settings.host):
                    talk(f"Everybody who reaches {settings.host} may ask: DMR_API_KEY sets a key.")
                talk(f"OpenAI clients use the base URL {endpoint.url}/engines/v1")
            await stop.wait()
        finally:
            await endpoint.stop()
    finally:
        await runner.close()
