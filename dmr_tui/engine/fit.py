"""Will it fit? The memory plan of a model that nobody loads yet, for people to look at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from msgspec import Struct

from dmr_tui.engine.plan import RESERVE, Memory, ModelShape, Verdict, Wish, make_plan


class Fit(Struct, frozen=True):
    """What loading a model would take here and now; all sizes in bytes."""

    context: int
    """Tokens that the figures are for: those asked for, or the most that fit of the default."""
    fits: bool
    layers: int
    """All of the model's, its output counting as one."""
    gpu_layers: int
    """Those that would be on the GPU."""
    weights: int
    cache: int
    """Keys and values of the context."""
    compute: int
    overhead: int
    """The process, and the driver's share of a GPU."""
    host: int
    """Main memory, of the four parts before."""
    device: int
    """GPU memory, of the same."""
    host_free: int
    """Main memory that could be had, idle models having left."""
    device_free: int
    largest_context: int
    """Most tokens that fit; 0: none do."""
    trained_context: int

    @property
    def total(self) -> int:
        """Memory of both kinds."""
        return self.host + self.device

    @property
    def missing(self) -> int:
        """How much more memory would be needed; 0 when it fits."""
        short = max(self.host - self.host_free, 0) + max(self.device - self.device_free, 0)
        return 0 if self.fits else max(short, 1)


def room_for(memory: Memory, staying: Iterable[Verdict], leaving: Iterable[Verdict]) -> Memory:
    """The memory that a load could have.

    Args:
        memory: as the system tells it.
        staying: the plans of models that are in use or pinned. Their weights are mapped files,
            which the system counts as free.
        leaving: the plans of models that would be unloaded for it.
    """
    mapped = sum(verdict.host.weights for verdict in staying)
    left = list(leaving)
    back = sum(verdict.host.anonymous for verdict in left)
    return replace(
        memory,
        free=max(memory.free + back - mapped - RESERVE, 0),
        device=memory.device + sum(verdict.device.total for verdict in left),
    )


def estimate(shape: ModelShape, wish: Wish, memory: Memory) -> Fit:
    """What loading a model as wished would take, and the largest context that could be had."""
    verdict = make_plan(shape, wish, memory)
    trained = shape.trained_context or wish.context
    most = make_plan(shape, replace(wish, context=trained, smallest=1), memory)
    host, device = verdict.host, verdict.device
    return Fit(
        context=verdict.context,
        fits=verdict.fits,
        layers=len(shape.layers) + 1,
        gpu_layers=verdict.gpu_layers,
        weights=host.weights + device.weights,
        cache=host.cache + device.cache,
        compute=host.compute + device.compute,
        overhead=host.overhead + device.overhead,
        host=host.total,
        device=device.total,
        host_free=memory.free,
        device_free=memory.device,
        largest_context=most.context if most.fits else 0,
        trained_context=shape.trained_context,
    )
