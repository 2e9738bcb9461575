"""What is said of a model that could be pulled, and what speaks for a variant of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from textual.content import Content

from dmr_tui.runner.offers import Offer
from dmr_tui.screens.get.hunt import Family, Hunt
from dmr_tui.screens.library import short_name
from dmr_tui.widgets.figures import grouped, long_size, short_size, tokens
from dmr_tui.widgets.printable import printable

_LONGEST = 200


@dataclass(frozen=True)
class Facts:
    """What is said of a model.

    Attributes:
        title: its name.
        text: a few lines.
    """

    title: str
    text: Content


def facts_of(family: Family) -> Facts:
    """What all variants have in common, as far as somebody has told."""
    hit, published = family.hit, family.newest
    lines: list[Content] = []
    if hit.description:
        lines.append(Content(_one_line(hit.description)))
    facts = [f"{_count(hit.downloads)} pulls" if hit.downloads else ""]
    facts += [f"{_count(hit.stars)} stars" if hit.stars else ""]
    if published is not None:
        config = published.config
        trained = config.trained_context
        facts += [
            config.architecture,
            config.gguf.get("general.license", ""),
            f"{tokens(trained)} context" if trained else "",
        ]
    facts.append(hit.updated_at[:10])
    shown = " · ".join(printable(fact) for fact in facts if fact)
    if shown:
        lines.append(Content.styled(shown, "$text-muted"))
    if family.failure is not None:
        lines.append(Content.styled(printable(family.failure.message), "$text-error"))
        if family.failure.hint:
            hint = printable(family.failure.hint.splitlines()[0])
            lines.append(Content.styled(hint, "$text-muted"))
    elif family.variants is None:
        lines.append(Content.styled("looking at its variants …", "$text-muted"))
    elif family.wanted and family.chosen is None:
        lines.append(
            Content.styled(f"It has no {printable(family.wanted)}; it has these:", "$text-error")
        )
    return Facts(printable(short_name(family.name.removeprefix("ai/"))), Content("\n").join(lines))


def reason_for(family: Family, offer: Offer | None, hunt: Hunt, disk_free: int | None) -> Content:
    """What speaks for or against a variant, and what the enter key would do."""
    if offer is None:
        return Content("")
    variant, fit = offer.variant, offer.fit
    lines: list[Content] = []
    if fit is None:
        lines.append(Content.styled("No engine of this program runs it.", "$text-warning"))
    elif not fit.fits:
        short = f"{'' if offer.sure else 'about '}{long_size(fit.missing)}"
        lines.append(Content.styled(f"It needs {short} more memory.", "$text-error"))
        if fit.largest_context:
            most = f"With {grouped(fit.largest_context)} tokens it fits:  [  "
            lines.append(Content.styled(most, "$text-muted"))
    else:
        if hunt.memory is not None:
            lines.append(Content.styled(_why(offer, hunt), "$text-success" if offer.best else ""))
        parts = f"weights {short_size(fit.weights)} + cache {short_size(fit.cache)}"
        rest = fit.compute + fit.overhead
        if rest:
            parts += f" + rest {short_size(rest)}"
        about = "" if offer.sure else "  ~ by its size"
        lines.append(Content.styled(parts + about, "$text-muted"))
    if variant.aliases:
        names = ", ".join(variant.aliases)
        lines.append(Content.styled(f"also {printable(names)}", "$text-muted"))
    if variant.size:
        lines.append(_disk(variant.size, disk_free))
    return Content("\n").join(lines)


def _why(offer: Offer, hunt: Hunt) -> str:
    fit = offer.fit
    assert fit is not None
    context = f"{tokens(hunt.context)} context"
    if offer.best:
        where = "on the GPU" if fit.gpu_layers == fit.layers else "in memory"
        return f"★ Best here: the most that stays {where} with {context}."
    if 0 < fit.gpu_layers < fit.layers:
        return f"{fit.gpu_layers} of {fit.layers} layers fit on the GPU: slower."
    return f"It fits {'on the GPU' if fit.gpu_layers else 'into memory'} with {context}."


def _disk(size: int, free: int | None) -> Content:
    if free is None:
        return Content.styled(f"{long_size(size)} to fetch", "$text-muted")
    if size > free:
        missing = long_size(size - free)
        return Content.styled(f"{missing} more disk are needed: `dmr prune` helps", "$text-error")
    left = long_size(free - size)
    return Content.styled(f"{long_size(size)} to fetch, leaves {left} of disk", "$text-muted")


def _count(number: int) -> str:
    return short_size(number).removesuffix("B")


def _one_line(text: str) -> str:
    line = re.sub(r"\s+", " ", printable(text)).strip()
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
