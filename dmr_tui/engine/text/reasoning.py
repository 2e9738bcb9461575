"""Thoughts and answer told apart while the text comes.

Models that think aloud put their thoughts between markers in front of the answer. Some chat
templates write the opening marker themselves, at the end of the prompt.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from dmr_tui.engine.text.partial import first_marker, growing
from dmr_tui.engine.text.pieces import Piece, Text, Thought


@dataclass(frozen=True)
class Markers:
    """How a family of models marks its thoughts, and the answer, if it marks that too."""

    opening: str
    closing: str
    answer_opening: str = ""
    answer_closing: str = ""

    def all(self) -> tuple[str, ...]:
        """Every marker there is."""
        every = (self.opening, self.closing, self.answer_opening, self.answer_closing)
        return tuple(marker for marker in every if marker)


THINK = Markers("<think>", "</think>")
"""Qwen, DeepSeek and most others."""

_FAMILIES = (
    Markers("<think>", "</think>", "<response>", "</response>"),
    Markers("<think>", "</think>", "<answer>", "</answer>"),
    Markers("<seed:think>", "</seed:think>"),
    Markers("<|START_THINKING|>", "<|END_THINKING|>", "<|START_RESPONSE|>", "<|END_RESPONSE|>"),
    Markers("[THINK]", "[/THINK]"),
    Markers("<|inner_prefix|>", "<|inner_suffix|>"),
    Markers("<thought>", "</thought>"),
    Markers("<|channel>thought\n", "<channel|>"),
    THINK,
)
"""Granite, Hunyuan, Seed, Command, Magistral, Apertus, EXAONE, Gemma, and most others; those that
say more of themselves come first."""


def find_markers(template: str) -> Markers:
    """The markers that a chat template writes; `THINK` when it writes none."""
    for family in _FAMILIES:
        if family.closing in template and family.answer_opening in template:
            return family
    return THINK


def begins_inside(prompt: str, markers: Markers) -> bool:
    """Whether a prompt ends within thoughts: the template has opened them."""
    return prompt.rstrip().endswith(markers.opening.rstrip())


class _Place(Enum):
    BEGINNING = auto()
    THOUGHTS = auto()
    BETWEEN = auto()
    ANSWER = auto()


class ReasoningSplitter:
    """Splits one answer. How the text is cut makes no difference.

    Markers and the white space around thoughts are dropped; nothing else ever is. Thoughts that do
    not end are thoughts up to the end.
    """

    def __init__(self, markers: Markers, *, inside: bool) -> None:
        """Begin.

        Args:
            markers: of the model's family.
            inside: the prompt has opened the thoughts.
        """
        self._markers = markers
        self._inside = inside
        self._place = _Place.BEGINNING
        self._held = ""
        self._spoke = False
        self.marked = False
        """What was fed last made the mark whole with which the answer opens."""

    @property
    def thinking(self) -> bool:
        """Whether the text that comes next is a thought, as far as is known."""
        begun = self._place is _Place.BEGINNING and self._inside
        return begun or self._place is _Place.THOUGHTS

    @property
    def undecided(self) -> str:
        """The end of the text so far, which may become a marker."""
        return self._held

    def feed(self, text: str) -> list[Piece]:
        """Take more text; gives what is now certain."""
        self._held += text
        self.marked = False
        return self._pieces(final=False)

    def finish(self) -> list[Piece]:
        """The rest."""
        return self._pieces(final=True)

    def _pieces(self, *, final: bool) -> list[Piece]:
        found: list[Piece] = []
        while True:
            before = (self._place, self._held)
            match self._place:
                case _Place.BEGINNING:
                    self._begin(final=final)
                case _Place.THOUGHTS:
                    found += self._think(final=final)
                case _Place.BETWEEN:
                    self._begin_answer(final=final)
                case _Place.ANSWER:
                    found += self._answer(final=final)
            if before == (self._place, self._held):
                return found

    def _begin(self, *, final: bool) -> None:
        start = self._held.lstrip()
        opening, answer = self._markers.opening, self._markers.answer_opening
        if start.startswith(opening):
            self._place, self._held = _Place.THOUGHTS, start[len(opening) :]
        elif answer and start.startswith(answer):
            self._place, self._held, self.marked = _Place.ANSWER, start[len(answer) :], True
        elif final or not (opening.startswith(start) or answer.startswith(start)):
            self._place = _Place.THOUGHTS if self._inside else _Place.ANSWER

    def _think(self, *, final: bool) -> list[Piece]:
        if not self._spoke:
            self._held = self._held.lstrip()
        found = first_marker(self._held, [self._markers.closing])
        if found is not None:
            at, closing = found
            text, self._held = self._held[:at].rstrip(), self._held[at + len(closing) :]
            self._place = _Place.BETWEEN
        elif final:
            text, self._held = self._held, ""
        else:
            keep = growing(self._held, [self._markers.closing])
            text = self._held[: len(self._held) - keep].rstrip()
            self._held = self._held[len(text) :]
        self._spoke = self._spoke or bool(text)
        return [Thought(text)] if text else []

    def _begin_answer(self, *, final: bool) -> None:
        self._held = self._held.lstrip()
        opening = self._markers.answer_opening
        if not self._held and not final:
            return
        if opening and self._held.startswith(opening):
            self._place, self._held, self.marked = _Place.ANSWER, self._held[len(opening) :], True
        elif final or not opening or not opening.startswith(self._held):
            self._place = _Place.ANSWER

    def _answer(self, *, final: bool) -> list[Piece]:
        closing = self._markers.answer_closing
        found = first_marker(self._held, [closing]) if closing else None
        if found is not None:
            text, self._held = self._held[: found[0]], self._held[found[0] + len(closing) :]
        else:
            keep = growing(self._held, [closing]) if closing and not final else 0
            text = self._held[: len(self._held) - keep]
            self._held = self._held[len(text) :]
        return [Text(text)] if text else []


class ReasoningBudget:
    """Counts the tokens of thoughts."""

    def __init__(self, tokens: int) -> None:
        """Allow so many."""
        self._left = tokens

    def spend(self) -> None:
        """One more token of thoughts has come."""
        self._left -= 1

    @property
    def spent(self) -> bool:
        """No token of thoughts is left: what comes next has to end them."""
        return self._left <= 0
