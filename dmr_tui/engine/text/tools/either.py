"""Two formats at once: the one that a model was told of, and the one of its training."""

from __future__ import annotations

from dataclasses import dataclass

from dmr_tui.engine.text.pieces import Call
from dmr_tui.engine.text.tools.reading import Reading, ToolFormat


@dataclass(frozen=True)
class EitherCalls:
    """The format of a call is the first that has its opener."""

    told: ToolFormat
    own: ToolFormat

    @property
    def openers(self) -> tuple[str, ...]:
        """See `ToolFormat.openers`."""
        return (*self.told.openers, *self.own.openers)

    @property
    def first_only(self) -> tuple[str, ...]:
        """See `ToolFormat.first_only`."""
        return (*self.told.first_only, *self.own.first_only)

    @property
    def noise(self) -> tuple[str, ...]:
        """See `ToolFormat.noise`."""
        return (*self.told.noise, *self.own.noise)

    @property
    def marks(self) -> tuple[str, ...]:
        """See `ToolFormat.marks`."""
        return (*self.told.marks, *self.own.marks)

    def begun(self, text: str) -> list[Call]:
        """See `ToolFormat.begun`."""
        return self._of(text).begun(text)

    def read(self, text: str, *, final: bool) -> Reading | None:
        """See `ToolFormat.read`."""
        return self._of(text).read(text, final=final)

    def _of(self, text: str) -> ToolFormat:
        return self.told if text.startswith(self.told.openers) else self.own
