"""From pieces to rows: wrapping, code boxes and tables for one width."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from textual.content import Content

from dmr_tui.widgets.markdown.pieces import Code, Piece, Rule, Table, Text

_FAINT = "$text-muted"
_CODE_BAR = Content.styled("▏", "$text-disabled on $surface")
_CODE = "on $surface"
_COLUMN_GAP = Content.styled(" │ ", "$text-disabled")
_NARROWEST_COLUMN = 4
_NARROWEST = 8


@dataclass(frozen=True)
class Row:
    """One line on the screen.

    Attributes:
        content: its text.
        decoration: characters at its start that are no part of the text: bullets, bars.
        glue: what stands between the row before and this one when the text is copied: a line
            feed, or a blank or nothing where the line was only wrapped.
        part: it belongs to a block of code: the line above the code, or the code.
    """

    content: Content
    decoration: int = 0
    glue: str = "\n"
    part: Literal["", "label", "code"] = ""


def lay_out(pieces: Iterable[Piece], width: int, indent: int = 0) -> list[Row]:
    """Rows of some pieces.

    Args:
        pieces: what to lay out.
        width: cells that no row goes beyond, the indent included.
        indent: empty cells at the start of every row.
    """
    rows: list[Row] = []
    inner = max(width - indent, _NARROWEST)
    for piece in pieces:
        if piece.gap:
            rows.append(Row(piece.lead.rest.rstrip(), len(piece.lead.rest)))
        rows.extend(_rows(piece, inner))
    return [indented(row, indent) for row in rows]


def indented(row: Row, indent: int) -> Row:
    """A row with empty cells at its start."""
    if not indent:
        return row
    return replace(row, content=row.content.pad_left(indent), decoration=row.decoration + indent)


def _rows(piece: Piece, width: int) -> Iterator[Row]:
    lead = piece.lead
    inner = max(width - lead.first.cell_length, _NARROWEST)
    for index, row in enumerate(_body(piece, inner)):
        before = lead.rest if index else lead.first
        content = before + row.content
        yield replace(row, content=content, decoration=len(before) + row.decoration)


def _body(piece: Piece, width: int) -> Iterator[Row]:
    match piece:
        case Text():
            yield from _paragraph(piece.content, width)
        case Code():
            yield from _code(piece, width)
        case Table():
            yield from _table(piece, width)
        case Rule():
            yield Row(Content.styled("─" * width, _FAINT))


def _paragraph(content: Content, width: int) -> Iterator[Row]:
    for line in content.split("\n", allow_blank=True):
        for index, part in enumerate(line.wrap(width) or [Content("")]):
            yield Row(part, 0, " " if index else "\n")


def _code(piece: Code, width: int) -> Iterator[Row]:
    """A box of one colour with the language above; long lines go on in the next row."""
    inner = width - 2
    label = Content.styled(piece.language, f"{_FAINT} italic") if piece.language else Content("")
    yield Row(_code_line(label, inner), inner + 2, part="label")
    for line in piece.content.split("\n", allow_blank=True):
        for index, part in enumerate(line.fold(inner)):
            yield Row(_code_line(part, inner), 2, "" if index else "\n", "code")


def _code_line(content: Content, width: int) -> Content:
    missing = max(width - content.cell_length, 0)
    line = content.pad_right(missing).pad_left(1).stylize_before(_CODE)
    return _CODE_BAR + line


def _table(piece: Table, width: int) -> Iterator[Row]:
    widths = _column_widths(piece, width)
    for number, cells in enumerate(piece.cells):
        style = "bold" if number == 0 else ""
        columns = [
            [part.stylize(style) if style else part for part in cell.wrap(column)] or [Content("")]
            for cell, column in zip(cells, widths, strict=False)
        ]
        for line in range(max(map(len, columns), default=0)):
            parts = [
                _aligned(column[line] if line < len(column) else Content(""), size, align)
                for column, size, align in zip(columns, widths, piece.aligns, strict=False)
            ]
            yield Row(_COLUMN_GAP.join(parts))
        if number == 0:
            bars = ["─" * size for size in widths]
            yield Row(Content.styled("─┼─".join(bars), "$text-disabled"))


def _column_widths(table: Table, width: int) -> list[int]:
    """Each column as wide as its widest cell; where that is too much, the widest give way."""
    columns = len(table.aligns)
    widths = [
        max((row[column].cell_length for row in table.cells if column < len(row)), default=1) or 1
        for column in range(columns)
    ]
    room = width - len(_COLUMN_GAP) * (columns - 1)
    while sum(widths) > room and max(widths) > _NARROWEST_COLUMN:
        widest = max(widths)
        narrower = max((size for size in widths if size < widest), default=_NARROWEST_COLUMN)
        excess = sum(widths) - room
        step = max(min(widest - narrower, excess // widths.count(widest)), 1)
        widths = [size - step if size == widest else size for size in widths]
    return widths


def _aligned(content: Content, width: int, align: str) -> Content:
    missing = max(width - content.cell_length, 0)
    if align == "right":
        return content.pad_left(missing)
    if align == "center":
        return content.pad(missing // 2, missing - missing // 2)
    return content.pad_right(missing)
