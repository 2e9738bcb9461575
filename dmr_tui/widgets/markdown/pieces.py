"""From Markdown to pieces: paragraphs, code and tables, each with what stands before its lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode
from textual.content import Content, Span

_HEADINGS = {
    "h1": "bold $text-primary",
    "h2": "bold $text-primary",
    "h3": "bold $text-secondary",
}
_HEADING = "bold"
_INLINE = {
    "strong": "bold",
    "em": "italic",
    "s": "strike",
    "code_inline": "$text-accent on $panel",
    "link": "underline $text-primary",
}
_MARKER = "$text-primary"
_BULLETS = "•◦▪"
_EMPTY = Content("")

# Without HTML, so that a tag in an answer is shown and not swallowed.
_parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


@dataclass(frozen=True)
class Lead:
    """What stands left of a piece's lines: a bullet, a quotation bar, an indent.

    Attributes:
        first: before the first line.
        rest: before the lines that follow; as wide as `first`.
    """

    first: Content = _EMPTY
    rest: Content = _EMPTY

    def then(self, first: Content, rest: Content) -> Lead:
        """This lead with another one to its right."""
        return Lead(self.first + first, self.rest + rest)

    def later(self) -> Lead:
        """The lead of the pieces that follow the first one in the same container."""
        return Lead(self.rest, self.rest)


@dataclass(frozen=True)
class Piece:
    """A part of a document that is laid out by itself.

    Attributes:
        lead: what stands left of it.
        gap: an empty row comes before it.
    """

    lead: Lead
    gap: bool


@dataclass(frozen=True)
class Text(Piece):
    """A paragraph or a heading; line feeds in it are hard breaks."""

    content: Content


@dataclass(frozen=True)
class Rule(Piece):
    """A line across."""


@dataclass(frozen=True)
class Code(Piece):
    """A block of code; `language` is empty where the text names none."""

    content: Content
    language: str


@dataclass(frozen=True)
class Table(Piece):
    """A table; the first row is its head.

    Attributes:
        cells: rows of cells, all rows of one length.
        aligns: `left`, `center` or `right` for each column.
    """

    cells: tuple[tuple[Content, ...], ...]
    aligns: tuple[str, ...]


def parse(text: str) -> list[SyntaxTreeNode]:
    """The top-level blocks of a text; `map` of each has its first line and the line after it."""
    return list(SyntaxTreeNode(_parser.parse(text)).children)


def pieces(nodes: Iterable[SyntaxTreeNode], *, highlight: bool, gap: bool = True) -> list[Piece]:
    """Make pieces of blocks.

    Args:
        nodes: blocks of one document, in order.
        highlight: colour the code. Costs time, so it waits until a block is complete.
        gap: an empty row comes before the first block.
    """
    made = _blocks(nodes, Lead(), highlight=highlight, tight=False, depth=0)
    return list(_with_gap(made, gap))


def item_pieces(
    node: SyntaxTreeNode, items: Sequence[SyntaxTreeNode], *, highlight: bool, gap: bool
) -> list[Piece]:
    """Make pieces of some items of a top-level list; the arguments are those of `pieces`."""
    made = _items(node, items, Lead(), highlight=highlight, depth=0)
    return list(_with_gap(made, gap))


def is_loose(node: SyntaxTreeNode) -> bool:
    """Whether a list is written with empty lines: its paragraphs are then not hidden ones."""
    return any(
        child.type == "paragraph" and not child.hidden
        for item in node.children
        for child in item.children
    )


def _blocks(
    nodes: Iterable[SyntaxTreeNode], lead: Lead, *, highlight: bool, tight: bool, depth: int
) -> Iterator[Piece]:
    for node in nodes:
        for piece in _block(node, lead, highlight=highlight, tight=tight, depth=depth):
            yield piece
            lead = lead.later()


def _block(
    node: SyntaxTreeNode, lead: Lead, *, highlight: bool, tight: bool, depth: int
) -> Iterator[Piece]:
    gap = not tight
    match node.type:
        case "paragraph":
            yield Text(lead, gap, _inline(node))
        case "heading":
            yield Text(lead, True, _inline(node).stylize(_HEADINGS.get(node.tag, _HEADING)))
        case "fence" | "code_block":
            language = node.info.split()[0] if node.type == "fence" and node.info.strip() else ""
            yield Code(lead, gap, _code(node.content, language, highlight), language)
        case "bullet_list" | "ordered_list":
            items = _items(node, node.children, lead, highlight=highlight, depth=depth)
            yield from _with_gap(items, gap)
        case "blockquote":
            bar = Content.styled("▎ ", _MARKER)
            inner = _blocks(
                node.children, lead.then(bar, bar), highlight=highlight, tight=False, depth=depth
            )
            yield from _with_gap(inner, gap)
        case "table":
            yield _table(node, lead, gap)
        case "hr":
            yield Rule(lead, gap)
        case other:
            raise ValueError(f"the parser made a block of an unknown kind: {other}")


def _items(
    node: SyntaxTreeNode,
    items: Sequence[SyntaxTreeNode],
    lead: Lead,
    *,
    highlight: bool,
    depth: int,
) -> Iterator[Piece]:
    loose = is_loose(node)
    for item in items:
        if node.type == "ordered_list":
            mark = f"{item.info}{item.markup} "
        else:
            mark = f"{_BULLETS[min(depth, len(_BULLETS) - 1)]} "
        inner = lead.then(Content.styled(mark, _MARKER), Content(" " * len(mark)))
        children = item.children or [_empty_paragraph()]
        made = _blocks(children, inner, highlight=highlight, tight=not loose, depth=depth + 1)
        yield from _with_gap(made, loose)
        lead = lead.later()


def _empty_paragraph() -> SyntaxTreeNode:
    tokens = [Token("paragraph_open", "p", 1), Token("inline", "", 0, children=[])]
    return SyntaxTreeNode([*tokens, Token("paragraph_close", "p", -1)]).children[0]


def _with_gap(made: Iterable[Piece], gap: bool) -> Iterator[Piece]:
    for index, piece in enumerate(made):
        yield piece if index else replace(piece, gap=gap)


def _code(text: str, language: str, highlight: bool) -> Content:
    text = text.rstrip("\n").expandtabs(4)
    if not highlight or not language:
        return Content(text)
    from textual.highlight import highlight as colour  # Pygments: not before it is needed

    return colour(text, language=language)


def _table(node: SyntaxTreeNode, lead: Lead, gap: bool) -> Table:
    rows = [row for section in node.children for row in section.children]
    cells = tuple(tuple(_inline(cell) for cell in row.children) for row in rows)
    styles = [str(cell.attrs.get("style", "")) for cell in rows[0].children]
    aligns = tuple(style.removeprefix("text-align:") or "left" for style in styles)
    return Table(lead, gap, cells, aligns)


def _inline(node: SyntaxTreeNode) -> Content:
    """The text of a block's inline children, with spans for its styles."""
    parts: list[str] = []
    spans: list[Span] = []
    _collect(node.children, 0, parts, spans)
    return Content("".join(parts), spans=spans)


def _collect(
    nodes: Iterable[SyntaxTreeNode], start: int, parts: list[str], spans: list[Span]
) -> int:
    """Append the text of inline nodes; returns where it ends."""
    for node in nodes:
        match node.type:
            case "text" | "code_inline":
                own = node.content
            case "softbreak":
                own = " "
            case "hardbreak":
                own = "\n"
            case "image":
                own = f"[{node.content or 'image'}]"
            case _:
                own = ""
        parts.append(own)
        end = start + len(own)
        if not own:
            end = _collect(node.children, start, parts, spans)
        style = _INLINE.get(node.type)
        if style and end > start:
            spans.append(Span(start, end, style))
        start = end
    return start
