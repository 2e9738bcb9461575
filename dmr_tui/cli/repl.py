"""The chat of `dmr run MODEL`: a prompt, an answer, and the terminal's own scrollback."""

from __future__ import annotations

import asyncio
import base64
import sys

from dmr_tui.chat.commands import ChatContext, Outcome, execute, is_command, suggest
from dmr_tui.chat.conversation import Conversation
from dmr_tui.chat.history import forgets
from dmr_tui.chat.sessions import Sessions
from dmr_tui.chat.stats import stats_text
from dmr_tui.chat.tree import Node
from dmr_tui.chat.turn import Turn
from dmr_tui.cli.answering import printer_for, show_answer
from dmr_tui.cli.output import display_name, error_text, talk
from dmr_tui.cli.progress import Waiting
from dmr_tui.cli.prompt import SHORTCUTS, Prompt, message_of
from dmr_tui.cli.terminal import quiet_input, until_interrupted
from dmr_tui.errors import DmrError
from dmr_tui.paths import Paths
from dmr_tui.runner.base import Runner
from dmr_tui.widgets.printable import printable


class Repl:
    """Reads, answers, and reads again, until the person leaves."""

    def __init__(
        self,
        runner: Runner,
        conversation: Conversation,
        paths: Paths,
        *,
        sessions: Sessions | None = None,
        saving: bool = True,
        color: str = "auto",
        verbose: bool = False,
    ) -> None:
        """Prepare a chat.

        Args:
            runner: where the model runs.
            conversation: to go on with; its model is loaded while the first message is typed.
            paths: where the history of the prompt is.
            sessions: saved chats.
            saving: whether this chat becomes one of them.
            color: whether answers are rendered; see `printer_for`.
            verbose: show counts and speeds below each answer.
        """
        self._runner = runner
        self._context = ChatContext(conversation, runner, SHORTCUTS, sessions, saving)
        self._prompt = Prompt(
            None if forgets() else paths.history, lambda before: suggest(before, self._context)
        )
        self._put = ""
        self._replaces: Node | None = None
        self._told: DmrError | None = None
        self._printer = printer_for(sys.stdout, color)
        self._verbose = verbose

    async def run(self) -> None:
        """Chat until `/bye` or Ctrl-D."""
        self._show_last()
        preload = asyncio.create_task(self._preload())
        try:
            # All the time, and not just while answers come: what is typed on the way to the next
            # prompt, a Ctrl-D for one, must not become the terminal's own.
            with quiet_input():
                await self._converse()
        finally:
            preload.cancel()
            await asyncio.wait({preload})

    async def _converse(self) -> None:
        while True:
            try:
                typed = await self._prompt.read(self._put)
            except KeyboardInterrupt:
                self._put, self._replaces = "", None
                if self._prompt.was_empty:
                    talk("Use Ctrl + d or /bye to exit.")
                continue
            except EOFError:
                return
            self._put = ""
            message = message_of(typed)
            if is_command(message):
                if await self._command(message):
                    return
            elif message.strip():
                turn = self._context.turn(message, replaces=self._replaces)
                if await self._answer(turn):
                    self._replaces = None
                else:
                    self._put = typed

    async def _preload(self) -> None:
        """Load the model while the person types; a failure is shown at the prompt.

        When no prompt is on the screen, a question is waiting for the same load and reports it.
        """
        conversation = self._context.conversation
        try:
            await self._runner.load(conversation.model, profile=conversation.profile)
        except DmrError as error:
            if self._prompt.is_reading:
                await self._prompt.say(error_text(error))

    async def _command(self, line: str) -> bool:
        """Run a slash command; returns whether to leave."""
        outcome = Outcome()

        async def run() -> None:
            nonlocal outcome
            async with Waiting(f"{line.split()[0]} is at work"):
                outcome = await execute(line, self._context)

        before = self._context.conversation
        await until_interrupted(run())
        if outcome.text:
            text = printable(outcome.text)
            print(f"Error: {text}" if outcome.error else text)
        if outcome.copy:
            _copy(outcome.copy)
        if self._context.conversation is not before:
            self._show_last()
        if outcome.again is not None:
            await self._answer(self._context.turn(again=outcome.again))
        self._put, self._replaces = outcome.put, outcome.replaces
        return outcome.leave

    async def _answer(self, turn: Turn) -> bool:
        """Print the answer to a message; returns whether there was one."""
        name = display_name(self._context.conversation.model)
        try:
            await until_interrupted(show_answer(turn, name, self._printer))
        except DmrError as error:
            talk(error_text(error))
            await until_interrupted(self._report_problem())
            return bool(turn.text)
        if self._verbose and turn.text:
            talk(f"\n{stats_text(turn.stats())}")
        await until_interrupted(self._report_problem())
        print()
        return True

    async def _report_problem(self) -> None:
        """Say once that a chat cannot be saved; a prompt means that what is above it is."""
        problem = await self._context.sessions.settled() if self._context.sessions else None
        if problem is not None and self._told is None:
            talk(error_text(problem))
        self._told = problem

    def _show_last(self) -> None:
        """Show where an earlier conversation ended."""
        path = self._context.conversation.path
        last = path[-2:] if len(path) > 1 and path[-1].role == "assistant" else path[-1:]
        for node in last:
            if node.role == "user":
                lines = printable(node.text).splitlines() or [""]
                print("\n".join(f"{'. ' if at else '> '}{line}" for at, line in enumerate(lines)))
            else:
                printer = self._printer()
                printer.write(printable(node.text))
                printer.close()
        if last:
            print()


def _copy(text: str) -> None:
    """Put text on the clipboard of the terminal, also over SSH (OSC 52)."""
    sys.stdout.write(f"\x1b]52;c;{base64.b64encode(text.encode()).decode()}\a")
    sys.stdout.flush()
