"""Slash commands on the model's context: how full it is, and making room in it."""

from __future__ import annotations

from dmr_tui.chat.budget import Budget, context_window, measure
from dmr_tui.chat.commands.base import ChatContext, Outcome, SlashCommand
from dmr_tui.chat.compaction import compact


async def _ctx(context: ChatContext, arguments: str) -> Outcome:
    window = await context_window(context.runner, context.conversation)
    return Outcome(budget_text(measure(context.conversation, window)))


async def _compact(context: ChatContext, arguments: str) -> Outcome:
    conversation = context.conversation
    count = await compact(conversation, context.runner)
    await context.save()
    return Outcome(f"The model is sent a summary of {_messages(count)} from now on.")


def budget_text(budget: Budget) -> str:
    """How full the context is, in words."""
    about = "" if budget.measured else "about "
    if not budget.window:
        return f"The conversation takes {about}{budget.used} tokens; its model is not loaded."
    lines = [f"{about}{budget.used} of {budget.window} tokens are used ({budget.fraction:.0%})."]
    if budget.left_out:
        lines.append(f"The model is no longer sent the oldest {_messages(budget.left_out)}.")
    room = budget.window - budget.reserve - budget.used
    lines.append(
        f"{room} are left before the oldest turns are left out; /compact sums them up."
        if room > 0
        else "The oldest turns are left out with the next question; /compact sums them up."
    )
    return "\n".join(line[0].upper() + line[1:] for line in lines)


def _messages(count: int) -> str:
    return f"{count} message{'s' if count != 1 else ''}"


COMMANDS = (
    SlashCommand("/ctx", (), "", "show how full the context is", _ctx, "model"),
    SlashCommand("/compact", (), "", "let the model sum up the older turns, for more room",
                 _compact, "model", waits=True),
)  # fmt: skip
