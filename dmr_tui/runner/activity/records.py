"""The facts that are kept of a request, of an event, and of a line in a log.

Plain data: the same in this process, over HTTP, and on the screens. Of a request's headers only the
client's name is kept; keys and cookies never are.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

CLIENT_LEFT = 499
"""nginx's status for an answer that nobody waits for any more."""

EventKind: TypeAlias = Literal["load", "unload", "evict", "crash", "pull", "push", "warning"]
Level: TypeAlias = Literal["debug", "info", "warn", "error"]
LEVELS: tuple[Level, ...] = ("debug", "info", "warn", "error")

LONGEST_NAME = 255
"""Characters that are kept of a model's name; no model has a longer one."""
LONGEST_TEXT = 4000
"""The same of a path, and of what is said about a failure, which may repeat what was sent."""


def shortened(text: str, most: int) -> str:
    """A text that somebody sent, in the length in which it is kept."""
    return text if len(text) <= most else text[:most] + "…"


class Failure(Struct, frozen=True, omit_defaults=True):
    """Why a request failed: what an error object says."""

    message: str
    hint: str = ""
    """What to do about it."""
    code: str = ""
    """Stable name of the kind of failure; see `dmr_tui.errors`."""
    param: str = ""


class RequestRecord(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One request, as far as it has come."""

    id: str
    time: float
    """Unix time of its arrival."""
    client: str = ""
    """Who asks: the User-Agent, or the part of this program."""
    method: str = ""
    path: str = ""
    """Without the query; empty for what this program asks of its own runner."""
    protocol: str = ""
    """What is asked for: `chat`, `completions`, `embeddings` …"""
    model: str = ""
    """As the request names it."""
    model_id: str = ""
    """Digest of its manifest; empty while it is not known."""
    stream: bool = False
    status: int = 0
    """HTTP status; 0 while it runs, 499 when the client hung up."""
    seconds: float | None = None
    """From its arrival to its end; None while it runs."""
    load_seconds: float | None = None
    """What of that went by while the model was loaded; None: it was in memory."""
    first_token_seconds: float | None = None
    """From its arrival to the first token of the answer."""
    prompt_seconds: float = 0.0
    generation_seconds: float = 0.0
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    """So far, while it runs."""
    cached_tokens: int = 0
    """Of the prompt's, those that were known already."""
    reason: str = ""
    """Why the answer ended: `stop`, `length` or `tool_calls`."""
    error: Failure | None = None
    bodies: bool = False
    """Whether the texts of request and answer are kept: see `Runner.bodies`."""

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.status == 0


class Bodies(Struct, frozen=True, omit_defaults=True):
    """The texts of a request and of its answer, as JSON; media and what is too long are cut."""

    request: str = ""
    response: str = ""
    """A streamed answer is put together to one object."""


class RunnerEvent(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Something that happened to a model."""

    id: int
    """Counts up."""
    time: float
    """Unix time."""
    kind: EventKind
    model: str
    text: str
    """What happened, in words."""
    level: Level = "info"
    hint: str = ""
    """What to do about it."""
    request: str = ""
    """Id of the request that it is about."""


class LogLine(Struct, frozen=True, omit_defaults=True):
    """One line of the runner's log, or of an engine's."""

    time: float
    """Unix time; 0 where it is not known."""
    text: str
    level: Level = "info"
    source: str = ""
    """What the line is about, for the runner's; the name of the engine's log."""
    engine: bool = False


class Activity(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What has changed since the last one of a stream; the first one has all that is kept."""

    requests: list[RequestRecord] = []
    """New ones, and others in the state that they have come to; the oldest first."""
    events: list[RunnerEvent] = []
    cleared: bool = False
    """Forget all requests from before."""
    bodies: bool = True
    """Whether texts are kept at the moment."""
