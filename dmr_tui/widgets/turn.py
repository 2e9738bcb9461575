"""One turn of a conversation as one widget, however long it is."""

from __future__ import annotations

from dataclasses import dataclass, replace

from textual import events
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.reactive import Reactive
from textual.selection import Selection
from textual.strip import Strip
from textual.style import Style
from textual.visual import Visual
from textual.widget import Widget

from dmr_tui.chat.tree import Node
from dmr_tui.widgets.markdown import Document, Row
from dmr_tui.widgets.markdown.rows import indented
from dmr_tui.widgets.printable import printable

_INDENT = 2
_THOUGHTS_IN_VIEW = 4
_LONG, _KEPT = 24, 16
"""A longer text of a person is folded to so many rows: a pasted file need not be read again."""


class TurnView(Widget):
    """A head line that says who and when, and the text below it.

    Attributes:
        node: the message that it shows, where there is one already.
    """

    @dataclass
    class CodeClicked(Message):
        """Somebody wants a copy of a block of code; the first one is number 1."""

        view: TurnView
        block: int

    @dataclass
    class VersionClicked(Message):
        """Somebody wants the version before (-1) or after (1) this one."""

        view: TurnView
        step: int

    virtual_size = Reactive(Size(0, 0), repaint=False)
    """Textual's own. Any other widget has all laid out and drawn once more when this changes, so
    each row that an answer grows by would cost twice; but what it follows from is a layout."""

    def __init__(
        self, who: str, when: str, *, style: str = "$text-primary", node: Node | None = None
    ) -> None:
        """Make an empty turn.

        Args:
            who: `you`, or the model's name.
            when: the time of day, as it is shown.
            style: colour of the name.
            node: the message that it shows.
        """
        super().__init__()
        self.node = node
        self._who, self._when, self._who_style = who, when, style
        self._note = ""
        self._versions = (1, 1)
        self._thoughts = Document()
        self._thoughts_note = ""
        self._unfolded = False
        self._document = Document(_INDENT)
        self._finished = False
        self._rows: list[Row] = []
        self._width = 0
        self._strips: dict[int, Strip] = {}
        self._labels: list[int] | None = None
        self._pointed: int | None = None

    # What is shown.

    @property
    def text(self) -> str:
        """The turn's text, as Markdown."""
        return self._document.text

    @property
    def plain(self) -> str:
        """The turn's text as it is read: without the signs of Markdown, lines joined again."""
        rows = self._document.rows(self._width or 80)
        parts = [(row.glue, row.content.plain[row.decoration :].rstrip()) for row in rows]
        return "".join(f"{glue if at else ''}{part}" for at, (glue, part) in enumerate(parts))

    def show(self, text: str, *, finished: bool = False) -> None:
        """Show the text so far; see `Document.update`."""
        above, stable = len(self._above(self._width)), self._document.settled_rows
        self._finished = finished
        self._document.update(text, finished=finished)
        # With the first text the thoughts above are folded, and every row moves.
        same = not finished and len(self._above(self._width)) == above
        self._redraw(above + stable if same else 1)

    def show_plain(self, text: str) -> None:
        """Show a text as it was typed, without reading it as Markdown."""
        # Four blanks make a code block and a backslash keeps a sign as it is, so plain text is
        # given as rows of its own and not as Markdown.
        self._document = _PlainDocument(text)
        self._finished = True
        self._redraw(1)

    def think(self, thoughts: str, note: str) -> None:
        """Show the model's thoughts so far, folded to `note` once there is text."""
        if thoughts:
            self._thoughts.update(thoughts)
            self._thoughts_note = note
            self._redraw(1)

    @property
    def unfolded(self) -> bool:
        """Whether all thoughts, or all of a long text, are shown."""
        return self._unfolded

    @property
    def folds(self) -> bool:
        """Whether there is something to fold."""
        return bool(self._thoughts.text) or (
            isinstance(self._document, _PlainDocument) and self._document.is_long(self._width)
        )

    def unfold(self, unfolded: bool) -> None:
        """Show all thoughts, or only that there were some."""
        if unfolded != self._unfolded:
            self._unfolded = unfolded
            self._redraw(1)

    def note(self, note: str) -> None:
        """Say something in the head line: speed, tokens, how it ended."""
        if note != self._note:
            self._note = note
            self._redraw_head()

    def number(self, version: int, versions: int) -> None:
        """Say in the head line which of its versions it is, counted from 1."""
        if (version, versions) != self._versions:
            self._versions = (version, versions)
            self._redraw_head()

    # Where the block cursor is.

    def point(self, block: int | None) -> None:
        """Mark the whole turn (0), one of its blocks of code (1 and up), or nothing."""
        if block != self._pointed:
            self._pointed = block
            self._strips.clear()
            self._redraw_head()

    def span(self, block: int) -> tuple[int, int]:
        """The rows of a block of code, or of the whole turn (0): the first and the one after."""
        rows, labels = self._laid_out(self._width), self._label_rows()
        if not 1 <= block <= len(labels):
            return 0, max(len(rows) - 1, 1)
        end = start = labels[block - 1]
        while end + 1 < len(rows) and rows[end + 1].part == "code":
            end += 1
        return start, end + 1

    def _label_rows(self) -> list[int]:
        if self._labels is None:
            self._labels = [y for y, row in enumerate(self._rows) if row.part == "label"]
        return self._labels

    # How Textual draws it.

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Rows of the turn at this width."""
        del container, viewport
        return len(self._laid_out(width))

    def render_line(self, y: int) -> Strip:
        """Draw one row; Textual asks for the visible ones only."""
        width = self.size.width
        if not self.is_attached:
            return Strip.blank(width)  # It is being removed, and its place is not yet another's.
        rows = self._laid_out(width)
        if y >= len(rows):
            return Strip.blank(width, self.visual_style.rich_style)
        selection = self.text_selection
        span = selection.get_span(y) if selection else None
        if span is None:
            strip = self._strips.get(y)
            if strip is None:
                strip = self._strips[y] = self._draw(self._marked(y), y, width)
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

    def on_unmount(self) -> None:
        """Let go of what was drawn, once it is off the screen.

        Textual remembers a thousand widgets' rows in a table of colours (`get_inner_outer`), long
        after the widgets are gone.
        """
        self.app.call_after_refresh(self._styles_cache.clear)

    def on_click(self, event: events.Click) -> None:
        """Copy a block of code, turn to another version, fold or unfold."""
        rows = self._laid_out(self._width)
        if event.y == 0:
            self._head_clicked(event.x)
        elif self._finished and event.y in self._label_rows():
            block = self._label_rows().index(event.y) + 1
            if event.x >= self._width - len(self._hint(block)) - _INDENT:
                self.post_message(self.CodeClicked(self, block))
        elif event.y < len(rows) and rows[event.y].content.plain.lstrip()[:1] in ("▸", "▾"):
            self.unfold(not self._unfolded)

    def _head_clicked(self, x: int) -> None:
        plain = self._head(self._width).content.plain
        for sign, step in (("‹", -1), ("›", 1)):
            place = plain.find(sign)
            if self._versions[1] > 1 and place - 1 <= x <= place + 1:
                self.post_message(self.VersionClicked(self, step))

    def _draw(self, content: Content, y: int, width: int) -> Strip:
        strips = Visual.to_strips(
            self, content, width, 1, self.visual_style, apply_selection=False, pad=True
        )
        return strips[0].apply_offsets(0, y) if strips else Strip.blank(width)

    def _marked(self, y: int) -> Content:
        """A row with what is drawn onto it: the block cursor, the keys of a block of code."""
        row = self._rows[y]
        content = row.content
        labels = self._label_rows() if row.part and self._finished else []
        if row.part == "label" and y in labels:
            block = labels.index(y) + 1
            hint, here = self._hint(block), block == self._pointed
            if len(content) > len(hint) + 12:
                style = "bold $text-primary on $surface" if here else "$text-muted on $surface"
                content = content[: -len(hint)] + Content.styled(hint, style)
        if self._pointed is not None and y and self.span(self._pointed)[0] <= y:
            first, end = self.span(self._pointed)
            if first <= y < end and content.plain[:1] in (" ", ""):
                content = Content.styled("▌", "$primary") + content[1:]
        return content

    def _hint(self, block: int) -> str:
        keys = "y copy · s save · o open" if block == self._pointed else "copy"
        return f" {keys}  {block}/{len(self._label_rows())} "

    def _redraw_head(self) -> None:
        self._strips.pop(0, None)
        self._rows[:1] = [self._head(self._width)]
        self.refresh()

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
            if isinstance(self._document, _PlainDocument) and not self._unfolded:
                body = _folded(body)
            self._rows = [*self._above(width), *body, Row(Content(""))]
            self._labels = None
        return self._rows

    def _above(self, width: int) -> list[Row]:
        return [self._head(width), *self._thought_rows(width)]

    def _head(self, width: int) -> Row:
        here = self._pointed == 0
        name = Content.styled(self._who, f"bold {self._who_style}")
        version, versions = self._versions
        which = f" ‹ {version}/{versions} ›" if versions > 1 else ""
        end = Content.styled(which, "$text-accent")
        end += Content.styled(f" {self._when}" if self._when else "", "$text-muted")
        # What there is no room for is missing from the note: the version and the time stay.
        room = max(width - name.cell_length - end.cell_length, 0)
        note = Content.styled(f"  {self._note}" if self._note else "", "$text-muted")
        note = note.truncate(room, ellipsis=True)
        line = (" " + ("━" if here else "─") * room)[: room - note.cell_length]
        rule = Content.styled(line, "$primary" if here else "$border-blurred")
        content = (name + note + rule + end).truncate(max(width, 1))
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
    content = bar + row.content.stylize("$text-muted italic")
    return replace(row, content=content, decoration=row.decoration + 2, part="")


def _folded(rows: list[Row]) -> list[Row]:
    """The beginning of a long text, and how much more there is."""
    if len(rows) <= _LONG:
        return rows
    more = Content.styled(f"▸ {len(rows) - _KEPT} more lines", "$text-muted italic")
    return [*rows[:_KEPT], indented(Row(more, len(more)), _INDENT)]


class _PlainDocument(Document):
    """A text that is shown as it is."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = printable(text)

    def is_long(self, width: int) -> bool:
        """Whether it is folded at this width."""
        return len(self.rows(width - _INDENT)) > _LONG

    def rows(self, width: int) -> list[Row]:
        return [
            indented(Row(part, 0, " " if index else "\n"), _INDENT)
            for line in self.text.expandtabs(4).split("\n")
            for index, part in enumerate(
                Content(line).wrap(max(width - _INDENT, 1)) or [Content("")]
            )
        ]
