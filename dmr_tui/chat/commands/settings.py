"""Slash commands that change or show the model and how it answers."""

from __future__ import annotations

import json
import re

from dmr_tui.chat.commands.base import ChatContext, Outcome, SlashCommand, table
from dmr_tui.chat.conversation import Conversation, title_of
from dmr_tui.chat.parameters import PARAMETERS, Parameter, find_parameter
from dmr_tui.chat.tree import Node
from dmr_tui.errors import InvalidRequestError, ModelNotFoundError

_THINKING = "enable_thinking"
"""The variable by which chat templates of thinking models are told."""
_DEFAULT = "default"
"""In place of a value: none of one's own."""


def settings_help() -> str:
    """What `/set` can set."""
    rows = [
        ("/set system TEXT", f"how the model should behave; {_DEFAULT}: nothing special"),
        ("/set num_ctx N", "context size in tokens, for this chat"),
        *(
            (f"/set parameter {each.name} {_sample(each.kind)}", each.summary)
            for each in PARAMETERS
        ),
        (f"/set parameter NAME {_DEFAULT}", "the model's own value again"),
    ]
    return table("Available settings:", rows)


async def _set(context: ChatContext, arguments: str) -> Outcome:
    what, _, value = arguments.partition(" ")
    value = value.strip()
    match what:
        case "system":
            return await _saved(context, _set_system(context, value))
        case "num_ctx":
            return await _saved(context, _set_parameter(context, "num_ctx", value))
        case "parameter":
            name, _, value = value.partition(" ")
            return await _saved(context, _set_parameter(context, name, value.strip()))
        case "":
            raise InvalidRequestError("Usage: /set system|num_ctx|parameter …", "see /? set")
    raise InvalidRequestError(f"Unknown setting '{what}'", "see /? set")


async def _saved(context: ChatContext, outcome: Outcome) -> Outcome:
    """The outcome of a change that is saved at once: another message may never come.

    Should that fail, the place that shows the chat tells of it, and the change holds all the same.
    """
    if context.sessions is not None and context.saving:
        await context.sessions.save(context.conversation)
    return outcome


def _set_system(context: ChatContext, value: str) -> Outcome:
    if not value:
        raise InvalidRequestError(
            f"Usage: /set system TEXT|{_DEFAULT}", f"{_DEFAULT} clears it, /system shows it"
        )
    text = "" if value == _DEFAULT else re.sub(r'\A"""|"""\Z', "", value).strip()
    context.conversation.system = text or None
    return Outcome("Set system message." if text else "Cleared system message.")


def _set_parameter(context: ChatContext, name: str, value: str) -> Outcome:
    if not name:
        raise InvalidRequestError("Usage: /set parameter NAME VALUE", "see /? set")
    parameter = find_parameter(name)
    if not value:
        raise InvalidRequestError(
            f"Usage: /set parameter {name} {_sample(parameter.kind)}|{_DEFAULT}"
        )
    conversation = context.conversation
    unset = value == _DEFAULT
    parameter.set(conversation, parameter.unset if unset else parameter.parse(value))
    if unset:
        # What is in memory suits a chat that asks for no size.
        when = ", from its next load on" if parameter.home == "profile" else ""
        return Outcome(f"Parameter '{name}' is the model's own again{when}")
    # Not what was typed, which may be understood otherwise than it was meant.
    shown = _shown(parameter, conversation)
    shown = shown if parameter.kind is list else f"'{shown}'"
    return Outcome(f"Set parameter '{name}' to {shown}")


def _shown(parameter: Parameter, conversation: Conversation) -> str:
    """The value in force; texts in quotes, so that one sees where each begins and ends."""
    value = parameter.get(conversation)
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    return parameter.written(conversation)


async def _show(context: ChatContext, what: str) -> Outcome:
    conversation = context.conversation
    match what:
        case "info":
            return await _show_info(context)
        case "system":
            return Outcome(conversation.system or "No system message is set.")
        case "parameters":
            rows = [
                (each.name, _shown(each, conversation))
                for each in PARAMETERS
                if each.get(conversation) not in (None, [])
            ]
            if not rows:
                return Outcome("No parameters are set; the model's own defaults apply.")
            return Outcome(table("Parameters:", rows))
        case "turns":
            return _show_turns(conversation)
    raise InvalidRequestError("Usage: /show info|parameters|system|turns")


def _show_turns(conversation: Conversation) -> Outcome:
    if not conversation.turns:
        return Outcome("Nothing was asked yet.")
    rows = [
        (f"{number:3}", title_of(question.text) + _versions(question))
        for number, question in enumerate(conversation.questions, 1)
    ]
    return Outcome(table(conversation.title, rows))


def _versions(question: Node) -> str:
    count = len(question.versions)
    return f"  ‹{question.version}/{count}›" if count > 1 else ""


async def _show_info(context: ChatContext) -> Outcome:
    model = await context.runner.model(context.conversation.model)
    config = model.config
    rows = [
        ("Model", context.conversation.model),
        ("ID", model.id),
        ("Architecture", config.architecture),
        ("Parameters", config.parameters),
        ("Quantization", config.quantization),
        ("Size", config.size),
        ("Context size", str(config.context_size or "")),
    ]
    return Outcome(table("", [(name, value) for name, value in rows if value]))


async def _model(context: ChatContext, name: str) -> Outcome:
    conversation = context.conversation
    if not name:
        return Outcome(f"Talking to {conversation.model}. Use /model NAME to change.")
    try:
        await context.runner.model(name)
    except ModelNotFoundError as error:
        hint = error.hint or f"get it with: dmr pull {name}"
        raise ModelNotFoundError(error.message, hint) from error
    conversation.model = name
    return await _saved(context, Outcome(f"Now talking to {name}."))


def _sample(kind: type[object]) -> str:
    return {int: "N", float: "X"}.get(kind, "TEXT …")


async def _system(context: ChatContext, text: str) -> Outcome:
    return await (_set(context, f"system {text}") if text else _show(context, "system"))


async def _think(context: ChatContext, choice: str) -> Outcome:
    options = context.conversation.template_options
    match choice:
        case "on" | "off":
            options[_THINKING] = choice == "on"
        case "auto":
            options.pop(_THINKING, None)
        case "":
            pass
        case _:
            raise InvalidRequestError("Usage: /think on|off|auto")
    chosen = {True: "on", False: "off", None: "up to the model"}[options.get(_THINKING)]
    told = Outcome(f"Thinking is {chosen}.")
    return await _saved(context, told) if choice else told


COMMANDS = (
    SlashCommand("/set", (), "system|num_ctx|parameter …", "change how the model answers", _set,
                 "model", ("system", "num_ctx", "parameter")),
    SlashCommand("/show", (), "info|parameters|system|turns", "show the model and what is set",
                 _show, "model", ("info", "parameters", "system", "turns")),
    SlashCommand("/model", (), "[NAME]", "go on with another model", _model, "model",
                 offers="models"),
    SlashCommand("/system", (), "[TEXT]", "show or set how the model should behave", _system,
                 "model"),
    SlashCommand("/think", (), "on|off|auto", "let the model think before it answers", _think,
                 "model", ("on", "off", "auto")),
)  # fmt: skip
