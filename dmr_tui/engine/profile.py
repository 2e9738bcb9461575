"""Settings of one model: how it is loaded and how it samples unless a request says otherwise."""

from __future__ import annotations

from msgspec import Struct

from dmr_tui.engine.request import Sampling
from dmr_tui.engine.stats import Stats


class Profile(Struct, frozen=True, omit_defaults=True):
    """What a person set for a model; None leaves the choice to settings and the model itself."""

    context_size: int | None = None
    """Context tokens; -1: the model's training context."""
    keep_alive: float | None = None
    """Seconds in memory after the last request; 0: unload at once; negative: for ever."""
    threads: int | None = None
    gpu_layers: int | None = None
    sampling: Sampling = Sampling()
    context_shift: bool | None = None
    """Forget the older half of a text that fills the context, instead of ending the answer."""
    force: bool | None = None
    """Load it even when it does not seem to fit into memory."""
    backend: str | None = None
    """The engine: `llama.cpp` or `llama-server`."""
    reasoning_budget: int | None = None
    """Most tokens of thoughts where a request says nothing of them; -1: any number."""


class RunningModel(Struct, frozen=True):
    """One model in memory, or on its way there."""

    id: str
    name: str
    backend: str
    mode: str
    state: str
    """`loading`, `ready` or `unloading`."""
    in_use: int
    """Requests being answered or waiting."""
    keep_alive: float
    """Seconds; negative: for ever."""
    last_used: float | None
    """Unix time of the last answer's end; None while in use or never used."""
    context_size: int
    memory: int
    """Resident bytes of the worker."""
    gpu_layers: int
    pid: int
    layers: int = 0
    """All of the model's, without its output, which `gpu_layers` counts too; 0: not known."""
    slots: int = 0
    """Requests that are answered at a time; 0: not known."""
    planned: int = 0
    """Bytes that the memory plan expected, main memory and GPU together; 0: not planned."""
    progress: float | None = None
    """Share of the weights that has been read; None unless it is loading."""
    stats: Stats | None = None
    """What its worker last told of its work; None: nothing yet, or the engine does not count."""
