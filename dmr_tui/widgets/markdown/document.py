"""A Markdown text that grows."""

from __future__ import annotations

from dataclasses import replace

from markdown_it.tree import SyntaxTreeNode
from textual.content import Content

from dmr_tui.widgets.markdown.pieces import Code, Piece, is_loose, item_pieces, parse, pieces
from dmr_tui.widgets.markdown.rows import Row, lay_out
from dmr_tui.widgets.printable import printable

_LISTS = ("bullet_list", "ordered_list")


class Document:
    """The rows of a text, kept up to date while text is added at its end.

    The blocks before the last one cannot change any more (CommonMark closes a block for good when
    the next one begins), nor can the items of a list before its last one. They are parsed,
    coloured and laid out once; each `update` does only the rest again.
    """

    def __init__(self, indent: int = 0) -> None:
        """An empty text.

        Args:
            indent: empty cells at the start of every row.
        """
        self.text = ""
        """What is shown: the text without control characters."""
        self._indent = indent
        self._settled: list[Piece] = []
        self._growing: list[Piece] = []
        self._cut = 0
        self._in_list = False
        self._in_loose_list = False
        self._width = 0
        self._settled_rows: list[Row] = []
        self._laid_out = 0
        self._rows: list[Row] | None = None
        self._code = _OpenCode()

    @property
    def settled_rows(self) -> int:
        """How many of the rows that `rows` gave last cannot change at the same width."""
        return len(self._settled_rows) + len(self._code.rows)

    def update(self, text: str, *, finished: bool = False) -> None:
        """Take the text so far; it begins with the text of the last call.

        Args:
            text: all of it.
            finished: nothing will follow. Everything is read once more as a whole, because a late
                line can change how earlier ones are meant (a link's target, a loose list).
        """
        self.text = printable(text.replace("\r\n", "\n").replace("\r", "\n"))
        if finished:
            self._settled, self._growing = pieces(parse(self.text), highlight=True, gap=False), []
            self._cut = len(self.text)
            self._width = 0
        else:
            self._grow(self.text[self._cut :])
        self._rows = None

    def rows(self, width: int) -> list[Row]:
        """The rows for a width in cells."""
        if width != self._width:
            self._width = width
            self._settled_rows, self._laid_out, self._rows = [], 0, None
        if self._rows is None:
            self._settled_rows += lay_out(self._settled[self._laid_out :], width, self._indent)
            self._laid_out = len(self._settled)
            self._rows = self._settled_rows + self._growing_rows(width)
        return self._rows

    def _growing_rows(self, width: int) -> list[Row]:
        if len(self._growing) != 1 or not isinstance(self._growing[0], Code):
            self._code = _OpenCode()
            return lay_out(self._growing, width, self._indent)
        if self._code.place != (self._cut, width):
            self._code = _OpenCode((self._cut, width))
        return self._code.lay_out(self._growing[0], width, self._indent)

    def _grow(self, tail: str) -> None:
        nodes = parse(tail)
        if not nodes:
            self._growing = []
            return
        *closed, last = nodes
        if closed:
            self._settle_blocks(closed)
            self._move_cut(tail, last)
        if last.type in _LISTS:
            self._grow_list(tail, last)
        else:
            self._growing = pieces([last], highlight=False, gap=self._gap())

    def _grow_list(self, tail: str, node: SyntaxTreeNode) -> None:
        *closed, last = node.children
        loose = is_loose(node)
        if closed:
            self._settled += item_pieces(node, closed, highlight=True, gap=self._gap())
            self._move_cut(tail, last)
            self._in_list, self._in_loose_list = True, loose
        self._growing = item_pieces(node, [last], highlight=False, gap=self._gap())

    def _settle_blocks(self, nodes: list[SyntaxTreeNode]) -> None:
        self._settled += pieces(nodes, highlight=True, gap=self._gap())
        self._in_list = False

    def _gap(self) -> bool:
        """Whether an empty row comes before what follows the settled pieces."""
        return self._in_loose_list if self._in_list else bool(self._settled)

    def _move_cut(self, tail: str, node: SyntaxTreeNode) -> None:
        first_line = node.map[0] if node.map else 0
        before = tail.split("\n")[:first_line]
        self._cut = len(self.text) - len(tail) + sum(len(line) + 1 for line in before)


class _OpenCode:
    """The rows of a block of code whose end has not come: its whole lines are laid out once."""

    def __init__(self, place: tuple[int, int] = (-1, 0)) -> None:
        self.place = place
        self.rows: list[Row] = []
        self._taken = 0

    def lay_out(self, piece: Code, width: int, indent: int) -> list[Row]:
        """The rows of all lines; `piece` begins with what it had in the last call."""
        text = piece.content.plain
        end = text.rfind("\n")
        if end >= self._taken:
            whole = replace(piece, content=Content(text[self._taken : end]))
            self.rows += self._without_label(whole, width, indent)
            self._taken = end + 1
        rest = replace(piece, content=Content(text[self._taken :]))
        return self.rows + self._without_label(rest, width, indent)

    def _without_label(self, piece: Code, width: int, indent: int) -> list[Row]:
        """Only the first lines have the line above them that names the language."""
        first = not self.rows
        rows = lay_out([replace(piece, gap=piece.gap and first)], width, indent)
        return rows if first else rows[1:]
