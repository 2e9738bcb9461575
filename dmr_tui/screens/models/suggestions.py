"""First models to suggest: a few well-known ones, and which of them suit a machine.

Nothing is asked over the network for this, so sizes are those of the day that they were written
down; a pull tells the real ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmr_tui.guide import GUIDE

if TYPE_CHECKING:
    from dmr_tui.system.sampler import Machine

_GB = 1000**3
_OVERHEAD = 1.15
"""What a model takes beside its weights, as a part of them: the KV cache of an 8K context."""
_BASE = 600_000_000
"""Bytes that every worker takes."""
_SLOW = 6 * _GB
"""Weights that a processor reads too slowly for a first impression."""


@dataclass(frozen=True)
class Choice:
    """Something to begin with.

    Attributes:
        name: the model; of an import, whose models these are.
        size: bytes to get; 0 for what is here already.
        what: what it is good for.
        imported: names of another program's models, where this choice is to use those.
    """

    name: str
    size: int
    what: str
    imported: tuple[str, ...] = ()

    @property
    def deed(self) -> str:
        """What taking it is called."""
        if self.imported:
            return "Use them"
        return "Chat" if self.name == GUIDE else "Get it and chat"


BUILT_IN = Choice(GUIDE, 0, "comes with dmr and knows it; no network needed")

_ROUND = (
    Choice("gpt-oss", 11_850_000_000, "reasons well, calls tools"),
    Choice("phi4", 9_050_000_000, "careful answers, maths"),
    Choice("qwen3", 5_030_000_000, "good at most things, thinks before it answers"),
    Choice("gemma3", 2_490_000_000, "good at most things, sees images"),
    Choice("llama3.2", 2_020_000_000, "quick, good at chatting"),
    Choice("qwen3:0.6B-Q4_K_M", 480_000_000, "small, thinks before it answers"),
)
"""The best first."""
_SMALL = Choice("smollm2", 270_000_000, "tiny and quick: there in seconds")
_SEEING = next(choice for choice in _ROUND if choice.name == "gemma3")


def suggestions(machine: Machine) -> list[Choice]:
    """Up to three models that run well on a machine: the best, one that sees, a quick one."""
    able = [choice for choice in _ROUND if _suits(choice, machine)]
    picked = able[:1]
    if _SEEING in able[1:]:
        picked.append(_SEEING)
    if _suits(_SMALL, machine):
        picked.append(_SMALL)
    return picked


def _suits(choice: Choice, machine: Machine) -> bool:
    if choice.size > machine.disk_free - _GB:
        return False
    needed = choice.size * _OVERHEAD + _BASE
    if any(needed <= gpu.memory_total - gpu.memory_used for gpu in machine.gpus):
        return True
    return needed <= machine.memory.available and choice.size <= _SLOW
