"""The chat of `dmr run MODEL`: a prompt, an answer, and the terminal's own scrollback."""

from __future__ import annotations

import asyncio
import os
import sys

from dmr_tui.chat.commands import ChatContext, execute, is_command
from dmr_tui.chat.conversation import Conversation
from dmr_tui.chat.turn import Turn
from dmr_tui.cli.answering import printer_for, show_answer, stats_text
from dmr_tui.cli.output import display_name, error_text, talk
from dmr_tui.cli.prompt import SHORTCUTS, Prompt, message_of
from dmr_tui.cli.terminal import quiet_input, until_interrupted
from dmr_tui.errors import DmrError
from dmr_tui.paths import Paths
from dmr_tui.runner.base import Runner


class Repl:
    """Reads, answers, and reads again, until the person leaves."""

    def __init__(
        self,
        runner: Runner,
        conversation: Conversation,
        paths: Paths,
        *,
        color: str = "auto",
        verbose: bool = False,
    ) -> None:
        """Prepare a chat.

        Args:
            runner: where the model runs.
            conversation: to go on with; its model is loaded while the first message is typed.
            paths: where the history of the prompt is.
            color: whether answers are rendered; see `printer_for`.
            verbose: show counts and speeds below each answer.
        """
        forget = bool(os.environ.get("DOCKER_MODEL_NOHISTORY"))
        self._runner = runner
        self._conversation = conversation
        self._prompt = Prompt(None if forget else paths.history)
        self._context = ChatContext(conversation, runner, SHORTCUTS)
        self._printer = printer_for(sys.stdout, color)
        self._verbose = verbose

    async def run(self) -> None:
        """Chat until `/bye` or Ctrl-D."""
        preload = asyncio.create_task(self._preload())
        try:
            await self._converse()
        finally:
            preload.cancel()
            await asyncio.wait({preload})

    async def _converse(self) -> None:
        put_back = ""
        while True:
            try:
                typed = await self._prompt.read(put_back)
            except KeyboardInterrupt:
                put_back = ""
                if self._prompt.was_empty:
                    talk("Use Ctrl + d or /bye to exit.")
                continue
            except EOFError:
                return
            put_back = ""
            message = message_of(typed)
            if is_command(message):
                if await self._command(message):
                    return
            elif message.strip() and not await self._answer(message):
                put_back = typed

    async def _preload(self) -> None:
        """Load the model while the person types; a failure is shown at the prompt.

        When no prompt is on the screen, a question is waiting for the same load and reports it.
        """
        try:
            await self._runner.load(self._conversation.model, profile=self._conversation.profile)
        except DmrError as error:
            if self._prompt.is_reading:
                await self._prompt.say(error_text(error))

    async def _command(self, line: str) -> bool:
        """Run a slash command; returns whether to leave."""
        leave = False

        async def run() -> None:
            nonlocal leave
            outcome = await execute(line, self._context)
            leave = outcome.leave
            if outcome.text:
                print(f"Error: {outcome.text}" if outcome.error else outcome.text)

        await until_interrupted(run())
        return leave

    async def _answer(self, message: str) -> bool:
        """Print the answer to a message; returns whether there was one."""
        turn = Turn(self._conversation, self._runner, message)
        name = display_name(self._conversation.model)
        with quiet_input():
            try:
                await until_interrupted(show_answer(turn, name, self._printer))
            except DmrError as error:
                talk(error_text(error))
                return bool(turn.text)
        if self._verbose and turn.text:
            talk(f"\n{stats_text(turn.stats())}")
        print()
        return True
