"""How a command is declared: its text, its examples, and the runner it is given."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, NoReturn, TypeVar

import click

from dmr_tui.errors import UsageError
from dmr_tui.paths import Paths
from dmr_tui.runner.base import Runner
from dmr_tui.settings import load_settings
from dmr_tui.system import threads

T = TypeVar("T")


class Command(click.Command):
    """A command whose help ends in examples, kept as they are written."""

    examples: tuple[str, ...] = ()

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


def command(
    name: str, *examples: str, **settings: Any
) -> Callable[[Callable[..., object]], Command]:
    """Make a command of a function; its docstring is the help."""

    def declare(function: Callable[..., object]) -> Command:
        help_text = inspect.cleandoc(function.__doc__ or "")
        made = click.command(name, cls=Command, help=help_text, **settings)(function)
        made.examples = examples
        return made

    return declare


def with_runner(
    action: Callable[[Runner], Awaitable[T]],
    *,
    store_only: bool = False,
    changes: Mapping[str, Any] | None = None,
) -> T:
    """Run `action` with the runner of this user, and close it afterwards.

    Args:
        action: what to do with the runner.
        store_only: the action needs the store and no running models, so a server on the same
            store is not looked for.
        changes: settings that are others for this command. They are those of this process: with
            any, no server on the same store is looked for either.

    Raises:
        UsageError: `changes` are for the runner of MODEL_RUNNER_HOST, which has its own.
    """

    async def body() -> T:
        from dmr_tui.runner.contexts import open_runner, runner_url

        paths = Paths.default()
        elsewhere = runner_url(os.environ)
        if changes and elsewhere:
            raise UsageError(f"{', '.join(changes)}: a setting of the runner at {elsewhere}")
        settings = replace(load_settings(paths), **(changes or {}))
        embedded = (store_only or bool(changes)) and not elsewhere
        runner = await open_runner(settings, paths, embedded=embedded)
        try:
            return await action(runner)
        finally:
            await runner.close()

    return run_async(body())


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run the one event loop of this process; Ctrl-C and SIGTERM cancel what it does.

    What is cancelled ends in order, and may have to wait: for the disk, or for a name's address
    that nobody tells. Another Ctrl-C ends the process at once.

    Raises:
        KeyboardInterrupt: Ctrl-C.
        SystemExit: SIGTERM, with a shell's exit code for it.
    """
    ended = closed = False

    async def supervised() -> T:
        nonlocal ended
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        threads.make_room()
        try:
            return await work
        finally:
            ended = True

    runner = asyncio.Runner()
    try:
        try:
            return runner.run(supervised())
        finally:
            if ended:
                runner.close()
                closed = True
    except asyncio.CancelledError:
        raise SystemExit(128 + signal.SIGTERM) from None
    except KeyboardInterrupt:
        if not closed:
            _leave_at_once()
        raise


def _leave_at_once() -> NoReturn:
    """End the process whatever its threads still wait for, with the cursor where it can be seen."""
    if sys.stderr.isatty():
        sys.stderr.write("\x1b[?25h\n")
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(128 + signal.SIGINT)
