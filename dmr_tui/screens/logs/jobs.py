"""What is done to requests; each job says in the status bar how it went."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from dmr_tui.engine.profile import Profile
from dmr_tui.engine.request import ChatRequest, Finished, Message
from dmr_tui.errors import DmrError, InvalidRequestError, StoreError
from dmr_tui.runner.activity.records import Bodies, RequestRecord
from dmr_tui.screens.logs import wording
from dmr_tui.screens.logs.curl import json_line
from dmr_tui.screens.logs.remedies import remedy
from dmr_tui.screens.workspace import Workspace

if TYPE_CHECKING:
    from dmr_tui.runner.base import Runner


class _Choice(Struct, frozen=True):
    message: Message | None = None


class _Answer(Struct, frozen=True):
    """What is read of a chat's answer."""

    choices: list[_Choice]


def chat_so_far(record: RequestRecord, bodies: Bodies | None) -> ChatRequest:
    """A recorded chat with what was answered, as far as that came.

    Raises:
        InvalidRequestError: see `chat_request`.
    """
    request = chat_request(record, bodies)
    answer = _first_answer(bodies.response) if bodies is not None else None
    return replace(request, messages=[*request.messages, answer]) if answer else request


def _first_answer(text: str) -> Message | None:
    """The message of the first choice; None: there is none, or it says nothing."""
    try:
        choices = msgspec.json.decode(text, type=_Answer).choices
    except msgspec.MsgspecError:
        return None  # nothing came, or what came is no answer but an error
    message = choices[0].message if choices else None
    return message if message is not None and message.content else None


def chat_request(record: RequestRecord, bodies: Bodies | None) -> ChatRequest:
    """A recorded chat as a request.

    Raises:
        InvalidRequestError: it was no chat, or its text is not there.
    """
    if bodies is None or not bodies.request:
        raise InvalidRequestError("the text of this request was not kept", "b keeps the next ones")
    if record.protocol != "chat":
        raise InvalidRequestError(f"this was no chat but {record.protocol or record.path}")
    from dmr_tui.server.openai_request import ChatBody, to_chat  # not before it is needed

    try:
        return to_chat(msgspec.json.decode(bodies.request, type=ChatBody))
    except msgspec.MsgspecError as error:
        raise InvalidRequestError(f"the text of this request cannot be read: {error}") from error


async def replay(workspace: Workspace, record: RequestRecord) -> None:
    """Ask the same again; the answer is a request of its own in the list."""
    name = wording.model(record)
    try:
        bodies = await workspace.runner.bodies(record.id)
        request = await asyncio.to_thread(chat_request, record, bodies)
        workspace.say(f"Asking {name} again …")
        finished = await _answered(workspace.runner, record.model, request)
    except DmrError as error:
        workspace.fail(error)
        return
    if finished is not None:
        usage = finished.usage
        workspace.say(
            f"{name} has answered again: {usage.prompt_tokens}→{usage.completion_tokens} tokens."
        )


async def _answered(runner: Runner, model: str, request: ChatRequest) -> Finished | None:
    finished = None
    async with aclosing(runner.generate(model, request)) as events:
        async for event in events:
            if isinstance(event, Finished):
                finished = event
    return finished


async def repair(
    workspace: Workspace, record: RequestRecord, *, then: str = "R asks again."
) -> None:
    """Do what helps against a failure; see `remedies`.

    Args:
        workspace: whose runner it is done to.
        record: the request that failed.
        then: what one can do next, for the status bar.
    """
    found, name = remedy(record), wording.model(record)
    try:
        match found.fix:
            case "context":
                await workspace.runner.configure(record.model, Profile(context_size=found.context))
                workspace.say(
                    f"{name} is loaded with a context of {found.context} tokens from now on, "
                    f"if that fits.  {then}"
                )
            case "pull":
                workspace.pull(record.model)
            case "unload":
                gone = await workspace.runner.unload(None)
                workspace.say(f"Unloaded {gone} idle models.  {then}")
            case "load":
                workspace.say(f"Loading {name} …")
                await workspace.runner.load(record.model)
                workspace.say(f"{name} is loaded.  {then}")
            case _:
                return
    except DmrError as error:
        workspace.fail(error)


async def clear(workspace: Workspace) -> None:
    """Forget the requests that have ended."""
    try:
        await workspace.runner.clear_requests()
    except DmrError as error:
        workspace.fail(error)
    else:
        workspace.say("The list is empty; the log still has a line of each.")


async def keep_bodies(workspace: Workspace, keep: bool) -> None:
    """Keep the texts of requests, or forget them all."""
    try:
        await workspace.runner.keep_bodies(keep)
    except DmrError as error:
        workspace.fail(error)
        return
    words = "are kept from now on, in memory only" if keep else "are not kept, and those are gone"
    workspace.say(f"Texts of requests {words}.")


async def export(workspace: Workspace, records: Sequence[RequestRecord], folder: Path) -> None:
    """Write requests with their texts to a file of JSON lines that only this user can read."""
    moment = time.strftime("%Y%m%d-%H%M%S", time.localtime(workspace.clocks.now()))
    file = folder / f"dmr-requests-{moment}.jsonl"
    try:
        runner = workspace.runner
        lines = []
        for record in records:
            bodies = await runner.bodies(record.id) if record.bodies else None
            lines.append(json_line(record, bodies))
        await asyncio.to_thread(_write, file, b"".join(lines))
    except DmrError as error:
        workspace.fail(error)
    else:
        workspace.say(f"Wrote {len(records)} requests to {file}")


def _write(file: Path, data: bytes) -> None:
    try:
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(data)
    except OSError as error:
        raise StoreError(f"cannot write {file}: {error.strerror}") from error
