"""The columns of what was found, and of a model's variants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from textual.content import Content

from dmr_tui.runner.offers import Offer
from dmr_tui.screens.get.hunt import Family
from dmr_tui.screens.library import short_name
from dmr_tui.screens.verdict import verdict
from dmr_tui.widgets.figures import short_size, tokens
from dmr_tui.widgets.printable import printable
from dmr_tui.widgets.table import Column

Mark = Callable[[str], Content]
"""What stands before a name: here already, on its way, or nothing."""

_NOTHING = Content.styled("–", "$text-disabled")
_WAITING = Content.styled("…", "$text-disabled")


def family_columns(mark: Mark) -> Sequence[Column[Family]]:
    """The columns of what was found."""

    def name(family: Family) -> Content:
        shown = short_name(family.name.removeprefix("ai/"))
        return mark(family.name) + Content(f" {printable(shown)}")

    return (
        Column("name", "  NAME", name),
        Column("best", "BEST HERE", _best, 14),
        Column("size", "SIZE", _of_chosen(_size), 6, "right"),
        Column("fit", "FIT", _of_chosen(offer_verdict), 12),
        Column("pulls", "PULLS", _pulls, 7, "right", from_width=62),
    )


def offer_columns(mark: Mark, context: int) -> Sequence[Column[Offer]]:
    """The columns of a model's variants.

    Args:
        mark: by the variant's name.
        context: tokens that the memory is told for.
    """

    def tag(offer: Offer) -> Content:
        sign = mark(offer.variant.name)
        if offer.best and not sign.plain.strip():
            sign = Content.styled("★", "$text-success")
        return sign + Content(f" {printable(offer.variant.tag)}")

    return (
        Column("tag", "  TAG", tag),
        Column("size", "SIZE", _size, 6, "right"),
        Column("memory", f"MEM@{tokens(context)}", _memory, 8, "right"),
        Column("fit", "FIT", verdict_word, 12),
    )


SORTS: dict[str, Callable[[Family], Any]] = {
    "pulls": lambda family: 0,
    "name": lambda family: family.name.rpartition("/")[2].lower(),
    "size": lambda family: -(family.chosen.variant.size if family.chosen else 0),
    "fit": lambda family: _rank(family),
}
"""How what was found is sorted by each column; by pulls it comes already."""


def offer_verdict(offer: Offer) -> Content:
    """Where a variant would run, and with how much memory."""
    return _told(offer, with_memory=True)


def verdict_word(offer: Offer) -> Content:
    """The same where the memory has a column of its own."""
    return _told(offer, with_memory=False)


def parameters_text(count: int) -> str:
    """A number of parameters: `7B`, `360M`, `1.5B`."""
    value, unit = (count / 1e9, "B") if count >= 1e9 else (count / 1e6, "M")
    return f"{value:.1f}".removesuffix(".0") + unit


def _told(offer: Offer, *, with_memory: bool) -> Content:
    if offer.fit is None:
        return _NOTHING
    if offer.placed:
        return verdict(offer.fit, sure=offer.sure, with_memory=with_memory)
    return _memory(offer) if with_memory else _NOTHING


def _memory(offer: Offer) -> Content:
    if offer.fit is None:
        return _NOTHING
    return Content(("" if offer.sure else "~") + short_size(offer.fit.total))


def _size(offer: Offer) -> Content:
    return Content(short_size(offer.variant.size)) if offer.variant.size else _NOTHING


def _best(family: Family) -> Content:
    if family.failure is not None:
        return Content.styled("not to be had", "$text-error")
    if family.variants is None:
        return _WAITING
    chosen = family.chosen
    if chosen is None:
        return Content.styled(f"no {printable(family.wanted)}", "$text-error")
    variant = chosen.variant
    facts = [parameters_text(variant.parameters) if variant.parameters else ""]
    facts.append(variant.quantization or ("" if variant.parameters else variant.tag))
    return Content(printable(" ".join(filter(None, facts))))


def _pulls(family: Family) -> Content:
    count = family.hit.downloads
    return Content(short_size(count).removesuffix("B")) if count else _NOTHING


def _of_chosen(cell: Callable[[Offer], Content]) -> Callable[[Family], Content]:
    def of_family(family: Family) -> Content:
        chosen = family.chosen
        if chosen is None:
            return _WAITING if family.variants is None and not family.failure else _NOTHING
        return cell(chosen)

    return of_family


def _rank(family: Family) -> tuple[int, int]:
    chosen = family.chosen
    if chosen is None or chosen.fit is None:
        return 2, 0
    return (0, -chosen.fit.total) if chosen.fit.fits else (1, chosen.fit.missing)
