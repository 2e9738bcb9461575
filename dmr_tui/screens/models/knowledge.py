"""Everything that is known of the model under the cursor; some of it comes a little later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dmr_tui.screens.library import Entry
from dmr_tui.widgets.figures import grouped

if TYPE_CHECKING:
    from dmr_tui.engine.fit import Fit
    from dmr_tui.engine.profile import Profile

_SMALLEST = 512
"""Tokens below which nobody looks."""

SAMPLING = ("temperature", "top_k", "top_p", "min_p", "repeat_penalty", "seed")
"""The sampling settings that a person sets for a model, in the order in which they are shown."""


@dataclass(frozen=True)
class Knowledge:
    """One model, as the details tell of it.

    Attributes:
        entry: what the list knows.
        fit: what loading it would take at `context`; None while that is not known.
        context: tokens that somebody wants to see the memory for; 0: what it would be loaded with.
        manifest: its OCI manifest; empty until it has been read, or where no runner shows it.
        profile: what was set for it; None until it has been read.
        outdated: whether a registry has something newer under its name.
        now: Unix time.
        shared: bytes of its files that other models need, too.
        freed: bytes that are free once it is deleted.
    """

    entry: Entry
    fit: Fit | None = None
    context: int = 0
    manifest: Mapping[str, Any] = field(default_factory=dict)
    profile: Profile | None = None
    outdated: bool = False
    now: float = 0.0
    shared: int = 0
    freed: int = 0

    @property
    def layers(self) -> Sequence[Mapping[str, Any]]:
        """The layers of its manifest."""
        found = self.manifest.get("layers", [])
        return found if isinstance(found, list) else []

    @property
    def title(self) -> str:
        """The name that its author gave it, else the one that it is called by."""
        return self.fact("general.name") or self.entry.name

    @property
    def licence(self) -> str:
        """Under what it may be used, if it says."""
        return self.fact("general.license") or self.fact("general.license.name")

    def fact(self, key: str) -> str:
        """A value of its metadata; empty where it has none."""
        return self.entry.model.config.gguf.get(key, "")

    def number(self, key: str) -> str:
        """A value of its metadata about its architecture, grouped where it is a number."""
        text = self.fact(f"{self.entry.model.config.architecture}.{key}")
        return grouped(int(text)) if text.isdigit() else text

    def settings(self) -> list[tuple[str, str]]:
        """What was set for it: names and values as a person writes them."""
        profile = self.profile
        if profile is None:
            return []
        said = [
            ("ctx", _tokens(profile.context_size)),
            ("keep-alive", _duration(profile.keep_alive)),
            ("engine", profile.backend or ""),
            ("threads", _text(profile.threads)),
            ("GPU layers", _text(profile.gpu_layers)),
            *((name, _text(getattr(profile.sampling, name))) for name in SAMPLING),
            ("context shift", {True: "on", False: "off", None: ""}[profile.context_shift]),
        ]
        return [(name, value) for name, value in said if value]


def next_context(now: int, trained: int, step: int) -> int:
    """The context after this one: powers of two up to what the model was trained for.

    Args:
        now: tokens.
        trained: tokens; 0 where nobody knows.
        step: 1 for the next larger one, -1 for the next smaller one.
    """
    power = _SMALLEST
    steps = []
    while power < trained or (not trained and power <= 1 << 20):
        steps.append(power)
        power *= 2
    steps.append(trained or power)
    if step > 0:
        return next((each for each in steps if each > now), steps[-1])
    return next((each for each in reversed(steps) if each < now), steps[0])


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _tokens(size: int | None) -> str:
    if not size:
        return ""  # 0, as programs may set it, leaves the choice to others, too
    return "as trained" if size < 0 else grouped(size)


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 0:
        return "for ever"
    if seconds and seconds % 60 == 0:
        return f"{seconds / 60:g} min"
    return f"{seconds:g} s"
