"""What a pass is made of, and what passes that are all alike have in common."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from dmr_tui.engine.llamacpp.sequence import Sequence

ENDLESS = sys.maxsize
"""More passes than there are."""


@dataclass(frozen=True)
class Part:
    """What one sequence has in a batch: so many tokens, the last of them at `index`."""

    sequence: Sequence
    tokens: int
    index: int
    looking: bool
    """Logits are kept for each of them."""


@dataclass
class Flow:
    """Answers that go on by a token each, pass after pass, and what is not yet noted of them.

    A pass of the model leaves nothing else in the processor's caches, so that all that is done
    between two of them is slow: what can wait is noted of many passes at once.
    """

    parts: list[Part]
    most: int
    """Passes that KV memory has room for; for more, room has to be made."""
    quiet: int
    """Passes that do not matter for the number of threads."""
    passes: int = 0
    """That are not noted."""
    computing: float = 0.0
    """Seconds that the model took for these."""
    drawing: float = 0.0
    """And what followed."""
