"""What the engine tells of the models in memory while it works."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

EngineEventKind: TypeAlias = Literal["load", "unload", "evict", "crash"]


class Tell(Protocol):
    """Takes one event; is called in the engine's loop and does not wait."""

    def __call__(
        self,
        kind: EngineEventKind,
        model: str,
        text: str,
        *,
        level: Literal["info", "warn", "error"] = "info",
        hint: str = "",
    ) -> None:
        """Something has happened to a model.

        Args:
            kind: what.
            model: its name.
            text: in words.
            level: how much it matters.
            hint: what to do about it.
        """
        ...


def tell_nobody(
    kind: EngineEventKind,
    model: str,
    text: str,
    *,
    level: Literal["info", "warn", "error"] = "info",
    hint: str = "",
) -> None:
    """Nobody listens."""
    del kind, model, text, level, hint
