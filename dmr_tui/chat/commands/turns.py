"""Slash commands on what was said: again, otherwise, back, and out of the chat."""

from __future__ import annotations

from dmr_tui.chat.blocks import code_blocks
from dmr_tui.chat.commands.base import ChatContext, Outcome, SlashCommand, number_of
from dmr_tui.chat.conversation import Conversation
from dmr_tui.chat.stats import stats_text
from dmr_tui.chat.tree import Node
from dmr_tui.errors import InvalidRequestError


async def _retry(context: ChatContext, number: str) -> Outcome:
    return Outcome(again=context.conversation.question(number_of(number)))


async def _edit(context: ChatContext, number: str) -> Outcome:
    question = context.conversation.question(number_of(number))
    return Outcome(put=question.text, replaces=question)


async def _undo(context: ChatContext, arguments: str) -> Outcome:
    if context.conversation.take_back() is None:
        raise InvalidRequestError("Nothing was asked yet")
    await context.save()
    return Outcome("Took the last question back.", redraw=True)


async def _version(context: ChatContext, number: str) -> Outcome:
    """The last message of the path that has versions decides which ones are meant."""
    path = context.conversation.path
    node = next((each for each in reversed(path) if len(each.versions) > 1), None)
    if node is None:
        raise InvalidRequestError("Nothing has other versions", "/retry and /edit make them")
    wanted = number_of(number)
    what = "question" if node.role == "user" else "answer"
    if wanted is None:
        lines = [
            f"{'>' if each is node else ' '} {at}  {_brief(each)}"
            for at, each in enumerate(node.versions, 1)
        ]
        return Outcome("\n".join([f"Versions of the {what}:", *lines]))
    if not 1 <= wanted <= len(node.versions):
        raise InvalidRequestError(f"There are {len(node.versions)} versions")
    node.versions[wanted - 1].choose()
    await context.save()
    return Outcome(f"Version {wanted} of {len(node.versions)} of the {what}.", redraw=True)


async def _copy(context: ChatContext, number: str) -> Outcome:
    text = _last_answer(context.conversation).text
    wanted = number_of(number)
    if wanted is None:
        return Outcome("Copied the last answer as Markdown.", copy=text)
    blocks = code_blocks(text)
    if not 1 <= wanted <= len(blocks):
        raise InvalidRequestError(f"The last answer has {len(blocks) or 'no'} code blocks")
    block = blocks[wanted - 1]
    lines = block.text.count("\n") + 1
    return Outcome(f"Copied {lines} line{'s' if lines > 1 else ''}.", copy=block.text)


async def _raw(context: ChatContext, arguments: str) -> Outcome:
    return Outcome(_last_answer(context.conversation).text)


async def _stats(context: ChatContext, arguments: str) -> Outcome:
    conversation = context.conversation
    counted = [node.stats for node in conversation.answers if node.stats is not None]
    if not counted:
        raise InvalidRequestError("Nothing was answered yet")
    generated = sum(stats.completion_tokens for stats in counted)
    seconds = sum(stats.total_seconds for stats in counted)
    answers = f"{len(counted)} answer{'s' if len(counted) > 1 else ''}"
    whole = f"{'chat:':<13}{answers}, {generated} tokens, {seconds:.1f} s"
    return Outcome(f"{stats_text(counted[-1])}\n{whole}")


def _last_answer(conversation: Conversation) -> Node:
    answers = conversation.answers
    if not answers:
        raise InvalidRequestError("Nothing was answered yet")
    return answers[-1]


def _brief(node: Node) -> str:
    line = " ".join(node.text.split())
    return line if len(line) <= 60 else line[:59] + "…"


COMMANDS = (
    SlashCommand("/retry", (), "[N]", "answer the last question, or question N, anew",
                 _retry, "turns", waits=True),
    SlashCommand("/edit", (), "[N]", "write the last question, or question N, anew",
                 _edit, "turns"),
    SlashCommand("/undo", (), "", "take the last question and its answer back", _undo, "turns",
                 waits=True),
    SlashCommand("/version", (), "[N]", "list versions, or go to version N", _version, "turns",
                 waits=True),
    SlashCommand("/copy", (), "[N]", "copy the last answer, or its N-th code block",
                 _copy, "turns"),
    SlashCommand("/raw", (), "", "show the last answer as the model wrote it", _raw, "turns"),
    SlashCommand("/stats", (), "", "show counts and speeds of the last answer", _stats, "turns"),
)  # fmt: skip
