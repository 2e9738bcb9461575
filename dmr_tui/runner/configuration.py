"""A model's stored settings as `/engines/_configure` has them."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct, field

from dmr_tui.engine.profile import Profile
from dmr_tui.engine.request import Sampling
from dmr_tui.settings import parse_duration


class LlamaCpp(Struct, frozen=True, rename="kebab", omit_defaults=True):
    """What Docker Model Runner has for llama.cpp alone."""

    reasoning_budget: Annotated[int, Meta(ge=-1, le=2**31 - 1)] | None = None


class Configuration(Struct, frozen=True, rename="kebab", omit_defaults=True):
    """The settings; besides `context-size`, `keep_alive` and `llamacpp` this program's own."""

    context_size: int | None = None
    threads: int | None = None
    gpu_layers: int | None = None
    sampling: Sampling | None = None
    backend: str | None = None
    context_shift: bool | None = None
    keep_alive: str | float | None = field(default=None, name="keep_alive")
    llamacpp: LlamaCpp | None = None


class Configured(Struct, frozen=True, rename="pascal"):
    """One row of `GET /engines/_configure`."""

    backend: str = ""
    model: str = ""
    model_id: str = field(default="", name="ModelID")
    mode: str = ""
    config: Configuration = Configuration()


def to_configuration(profile: Profile) -> Configuration:
    """What a profile says, for the wire."""
    alive, budget = profile.keep_alive, profile.reasoning_budget
    return Configuration(
        context_size=profile.context_size,
        threads=profile.threads,
        gpu_layers=profile.gpu_layers,
        sampling=profile.sampling if msgspec.to_builtins(profile.sampling) else None,
        backend=profile.backend,
        context_shift=profile.context_shift,
        keep_alive=None if alive is None else "-1" if alive < 0 else f"{alive:g}s",
        llamacpp=None if budget is None else LlamaCpp(budget),
    )


def to_profile(configuration: Configuration) -> Profile:
    """The profile that a configuration from the wire stands for.

    Raises:
        InvalidRequestError: `keep_alive` is no duration.
    """
    alive = configuration.keep_alive
    return Profile(
        context_size=configuration.context_size,
        keep_alive=parse_duration(alive, "keep_alive") if isinstance(alive, str) else alive,
        threads=configuration.threads,
        gpu_layers=configuration.gpu_layers,
        sampling=configuration.sampling or Sampling(),
        backend=configuration.backend,
        context_shift=configuration.context_shift,
        reasoning_budget=configuration.llamacpp.reasoning_budget
        if configuration.llamacpp
        else None,
    )
