"""A conversation as it is read: one widget per turn, however long the turn is."""

from __future__ import annotations

from textual.containers import VerticalScroll
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.selection import Selection
from textual.strip import Strip
from textual.style import Style
from textual.visual import Visual
from textual.widget import Widget

from dmr_tui.actions import bindings
from dmr_tui.widgets.markdown import Document, Row
from dmr_tui.widgets.markdown.rows import indented
from dmr_tui.widgets.printable import printable

_INDENT = 2
_THOUGHTS_IN_VIEW = 4


class TurnView(Widget):
    """One turn: a head line that says who and when, and the text below it."""

    def __init__(self, who: str, when: str, *, style: str = "$text-primary") -> None:
        """Make an empty turn.

        Args:
            who: `you`, or the model's name.
            when: the time of day, as it is shown.
            style: colour of the name.
        """
        super().__init__()
        self._who, self._when, self._who_style = who, when, style
        self._note = ""
        self._thoughts = Document()
        self._thoughts_note = ""
        self._unfolded = False
        self._document = Document(_INDENT)
        self._rows: list[Row] = []
        self._width = 0
        self._strips: dict[int, Strip] = {}

    @property
    def text(self) -> str:
        """The turn's text, as Markdown."""
        return self._document.text

    def show(self, text: str, *, finished: bool = False) -> None:
        """Show the text so far; see `Document.update`."""
        above, stable = len(self._above(self._width)), self._document.settled_rows
        self._document.update(text, finished=finished)
        # With the first text the thoughts above are folded, and every row moves.
        same = not finished and len(self._above(self._width)) == above
        self._redraw(above + stable if same else 1)

    def show_plain(self, text: str) -> None:
        """Show a text as it was typed, without reading it as Markdown."""
        # Four blanks make a code block and a backslash keeps a sign as it is, so plain text is
        # given as rows of its own and not as Markdown.
        self._document = _PlainDocument(text)
        self._redraw(1)

    def think(self, thoughts: str, note: str) -> None:
        """Show the model's thoughts so far, folded to `note` once there is text."""
        if thoughts:
            self._thoughts.update(thoughts)
            self._thoughts_note = note
            self._redraw(1)

    def unfold(self, unfolded: bool) -> None:
        """Show all thoughts, or only that there were some."""
        if unfolded != self._unfolded:
            self._unfolded = unfolded
            self._redraw(1)

    def note(self, note: str) -> None:
        """Say something in the head line: speed, tokens, how it ended."""
        if note != self._note:
            self._note = note
            self._strips.pop(0, None)
            self._rows[:1] = [self._head(self._width)]
            self.refresh()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Rows of the turn at this width."""
        del container, viewport
        return len(self._laid_out(width))

    def render_line(self, y: int) -> Strip:
        """Draw one row; Textual asks for the visible ones only."""
        width = self.size.width
        rows = self._laid_out(width)
        if y >= len(rows):
            return Strip.blank(width, self.visual_style.rich_style)
        selection = self.text_selection
        span = selection.get_span(y) if selection else None
        if span is None:
            strip = self._strips.get(y)
            if strip is None:
                strip = self._strips[y] = self._draw(rows[y].content, y, width)
            return strip
        start, end = span
        content = rows[y].content
        marked = Style.from_styles(self.screen.get_component_styles("screen--selection"))
        return self._draw(
            content.stylize(marked, start, len(content) if end == -1 else end), y, width
        )

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The selected text without bars and bullets, its wrapped lines joined again."""
        text = ""
        for y, row in enumerate(self._rows):
            span = selection.get_span(y)
            if span is None:
                continue
            start, end = span
            plain = row.content.plain
            part = plain[max(start, row.decoration) : len(plain) if end == -1 else end].rstrip()
            text += (row.glue if text else "") + part
        return text, "\n"

    def notify_style_update(self) -> None:
        """Draw again in the new colours."""
        super().notify_style_update()
        self._strips.clear()

    def _draw(self, content: Content, y: int, width: int) -> Strip:
        strips = Visual.to_strips(
            self, content, width, 1, self.visual_style, apply_selection=False, pad=True
        )
        return strips[0].apply_offsets(0, y) if strips else Strip.blank(width)

    def _redraw(self, first: int) -> None:
        """Draw the rows from `first` on again."""
        before = len(self._rows)
        self._strips = {y: strip for y, strip in self._strips.items() if y < first}
        width, self._width = self._width, 0
        changed = not width or len(self._laid_out(width)) != before
        self.refresh(layout=changed)

    def _laid_out(self, width: int) -> list[Row]:
        if width != self._width:
            if width and self._rows and self._rows[0].content.cell_length != width:
                self._strips.clear()
            self._width = width
            body = self._document.rows(width - _INDENT)  # as much room on the right
            self._rows = [*self._above(width), *body, Row(Content(""))]
        return self._rows

    def _above(self, width: int) -> list[Row]:
        return [self._head(width), *self._thought_rows(width)]

    def _head(self, width: int) -> Row:
        name = Content.styled(self._who, f"bold {self._who_style}")
        note = Content.styled(f"  {self._note}" if self._note else "", "$text-muted")
        when = Content.styled(f" {self._when}" if self._when else "", "$text-muted")
        used = name.cell_length + note.cell_length + when.cell_length
        rule = Content.styled(" " + "─" * max(width - used - 1, 0), "$border-blurred")
        content = (name + note + rule + when).truncate(max(width, 1))
        return Row(content, len(content))

    def _thought_rows(self, width: int) -> list[Row]:
        if not self._thoughts.text:
            return []
        fold = "▾" if self._unfolded else "▸"
        note = Content.styled(f"{fold} {self._thoughts_note}", "$text-muted italic")
        rows = [Row(note, len(note)), *map(_thought, self._thoughts_in_view(width))]
        return [indented(row, _INDENT) for row in rows]

    def _thoughts_in_view(self, width: int) -> list[Row]:
        """All of them, or the last few while they are all there is, or none."""
        if self._document.text and not self._unfolded:
            return []
        rows = self._thoughts.rows(width - 2 * _INDENT - 2)
        return rows if self._unfolded else rows[-_THOUGHTS_IN_VIEW:]


def _thought(row: Row) -> Row:
    bar = Content.styled("▏ ", "$border-blurred")
    return Row(bar + row.content.stylize("$text-muted italic"), row.decoration + 2, row.glue)


class _PlainDocument(Document):
    """A text that is shown as it is."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = printable(text)

    def rows(self, width: int) -> list[Row]:
        return [
            indented(Row(part, 0, " " if index else "\n"), _INDENT)
            for line in self.text.expandtabs(4).split("\n")
            for index, part in enumerate(
                Content(line).wrap(max(width - _INDENT, 1)) or [Content("")]
            )
        ]


class Transcript(VerticalScroll, can_focus=True, inherit_bindings=False):
    """The turns of a conversation. It follows the end until a person scrolls away from it."""

    BINDINGS = bindings("transcript")

    class WritingWanted(Message):
        """The focus should go back to the prompt."""

    paused: reactive[bool] = reactive(False)
    """A person has scrolled away from the end."""

    def follow(self) -> None:
        """Go to the end and stay there.

        An anchored widget that is not full sticks to the bottom of its place; a conversation
        begins at the top, so it is anchored only once it is longer than its place.
        """
        self.paused = False
        self.anchor(self.virtual_size.height > self.container_size.height)

    def release_anchor(self) -> None:
        """Stop following; Textual calls this when a person scrolls."""
        super().release_anchor()
        self.paused = self.max_scroll_y > 0

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Follow again as soon as the end is in view."""
        super().watch_scroll_y(old_value, new_value)
        if new_value >= self.max_scroll_y:
            self.paused = False

    def watch_virtual_size(self, before: Size, now: Size) -> None:
        """Begin to follow when the conversation has become longer than its place."""
        fits = now.height <= self.container_size.height
        if fits == self.is_anchored and (fits or before.height <= self.container_size.height):
            self.follow()

    def on_resize(self) -> None:
        """The place has become larger or smaller than the conversation."""
        if (self.virtual_size.height <= self.container_size.height) == self.is_anchored:
            self.follow()

    def action_write(self) -> None:
        """Back to the prompt."""
        self.post_message(self.WritingWanted())

    def action_follow(self) -> None:
        """The end, and stay there."""
        self.follow()
