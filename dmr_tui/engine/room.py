"""Before a load: what is free, what the model needs, and what can be done about the difference."""

from __future__ import annotations

import asyncio
import importlib.util
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import psutil

from dmr_tui.engine.context import DEFAULT_CONTEXT, POOLED_CONTEXT, choose_context_size
from dmr_tui.engine.files import ModelFiles
from dmr_tui.engine.plan import (
    RESERVE,
    SMALLEST_CONTEXT,
    Memory,
    ModelShape,
    Need,
    Verdict,
    Wish,
    make_plan,
)
from dmr_tui.engine.protocol import Load
from dmr_tui.errors import InsufficientMemoryError, InvalidRequestError
from dmr_tui.system.gpu import GpuMeter, shown_to_cuda
from dmr_tui.system.memory import read_memory

ShapeReader = Callable[[Path], ModelShape]
MemoryReader = Callable[[], Memory]

_OFFLOADING = ("cuda", "hip", "vulkan", "sycl")
"""In the names of llama.cpp's libraries that compute on a GPU with memory of its own."""

_INEXACT = 1.25
"""How many times what was planned a model on a GPU may take at most."""

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


class Planner:
    """Makes a plan for a load from what is free at the moment."""

    def __init__(
        self, files: ModelFiles, load: Load, shape: ModelShape, *, extras: int = 0
    ) -> None:
        """Prepare to plan how to load `files` as `load` wishes, and bytes of files beside it."""
        self._extras = extras
        self._files = files
        self._load = load
        self._shape = shape

    @property
    def mode(self) -> str:
        """What the model is for; see `ModelShape.mode`."""
        return self._shape.mode

    def plan(self, memory: Memory, resident: Iterable[Verdict]) -> Verdict:
        """Plan with the memory that is free now.

        Args:
            memory: as the system tells it.
            resident: the plans of models in memory. Their weights are mapped files, which the
                system counts as free: it could drop them, and read them again for every token.
        """
        mapped = sum(verdict.host.weights for verdict in resident)
        left = replace(memory, free=max(memory.free - mapped - RESERVE, 0))
        return make_plan(self._shape, self._wish(), left)

    def refusal(self, verdict: Verdict) -> InsufficientMemoryError:
        """The error for a plan that does not fit, with its numbers."""
        memory = verdict.memory
        needs = [f"{_parts(verdict.host)} of main memory, of which {human(memory.free)} are free"]
        if verdict.device.total:
            needs.append(
                f"{_parts(verdict.device)} of GPU memory, of which {human(memory.device)} are free"
            )
        message = (
            f"{self._files.name} with a context of {verdict.context} tokens needs "
            f"{', and '.join(needs)}"
        )
        if verdict.absurd:
            return InsufficientMemoryError(
                f"{message}; this machine has {human(memory.total)} with its swap",
                "choose a smaller context",
            )
        least = make_plan(self._shape, replace(self._wish(), smallest=1), memory)
        way = f"choose a context of {least.context} tokens or less, " if least.fits else ""
        return InsufficientMemoryError(
            message, f"{way}close other programs, or try all the same: dmr run --force"
        )

    def _wish(self) -> Wish:
        wish = make_wish(
            self._shape,
            profile=self._load.profile_context,
            package=self._load.package_context,
            settings=self._load.settings_context,
            gpu_layers=self._load.gpu_layers,
        )
        return replace(wish, extras=self._extras)


def make_wish(
    shape: ModelShape,
    *,
    profile: int | None,
    package: int | None,
    settings: int,
    gpu_layers: int,
) -> Wish:
    """What a model is to be loaded with, before anybody knows what there is memory for.

    Args:
        shape: the model.
        profile: context that was set for it, as `choose_context_size` takes it.
        package: context that its package asks for.
        settings: context that was set for all models.
        gpu_layers: how many; negative: as many as fit.
    """
    trained = shape.trained_context or SMALLEST_CONTEXT
    context = choose_context_size(
        profile=profile,
        package=package,
        settings=settings,
        trained=trained,
        default=POOLED_CONTEXT if shape.pools else DEFAULT_CONTEXT,
    )
    if shape.pools:
        context = min(context, trained)
    chosen = bool(profile) or settings > 0
    smallest = context if chosen else min(context, SMALLEST_CONTEXT)
    return Wish(context, smallest, gpu_layers)


async def make_planner(
    files: ModelFiles, load: Load, read_shape: ShapeReader | None
) -> Planner | None:
    """A planner for a load; None when nothing can be known of the model's size.

    A file that cannot be read is left to the worker, whose reasons are the exact ones.
    """
    if read_shape is None:
        return None
    try:
        shape = await asyncio.to_thread(read_shape, files.gguf)
        beside = [*files.adapters, *([files.mmproj] if files.mmproj is not None else [])]
        extras = sum(file.stat().st_size for file in beside)
    except (InvalidRequestError, OSError):
        return None
    return Planner(files, load, shape, extras=extras)


def free_memory() -> Memory:
    """What is free on this machine now; blocks while a GPU's driver is asked."""
    reading = read_memory()
    device = 0
    if _offloads():
        gpus = shown_to_cuda(GpuMeter().read(), os.environ.get("CUDA_VISIBLE_DEVICES"))
        device = sum(gpu.memory_total - gpu.memory_used for gpu in gpus)
    return Memory(reading.available, reading.total + psutil.swap_memory().total, device)


def emptied(memory: Memory, idle: Iterable[tuple[Verdict | None, int]]) -> Memory:
    """The most memory that there could be without some models; it may be less.

    Args:
        memory: as the system tells it.
        idle: of each what it was planned with, if it was, and the resident bytes of its process.
            Of these some may count as free already.
    """
    free, device = memory.free, memory.device
    for verdict, resident in idle:
        planned = 0 if verdict is None else verdict.host.anonymous
        free += max(planned, resident)
        device += 0 if verdict is None else int(_INEXACT * verdict.device.total)
    return replace(memory, free=free, device=device)


def human(size: int) -> str:
    """A number of bytes for people: `1.5 GiB`."""
    value, unit = float(size), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    digits = 0 if unit == 0 or value >= 100 else 1
    return f"{value:.{digits}f} {_UNITS[unit]}"


def _parts(need: Need) -> str:
    named = {
        "weights": need.weights,
        "cache": need.cache,
        "buffers": need.compute,
        "process": need.overhead,
        "projector and adapters": need.extras,
    }
    parts = ", ".join(f"{name} {human(size)}" for name, size in named.items() if size)
    return f"{human(need.total)} ({parts})"


def _offloads() -> bool:
    """Whether the installed llama.cpp can use a GPU; found out without loading it."""
    spec = importlib.util.find_spec("llama_cpp")
    folders = [] if spec is None else spec.submodule_search_locations or []
    libraries = [file.name for folder in folders for file in Path(folder).glob("lib/*ggml-*")]
    return any(name in library for library in libraries for name in _OFFLOADING)
