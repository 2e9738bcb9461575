"""What could be pulled: each variant of a model with what it would take, and the best one here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from dmr_tui.engine.fit import Fit, estimate
from dmr_tui.engine.plan import Memory, ModelShape, Wish
from dmr_tui.runner.base import Published
from dmr_tui.runner.sketches import guess, sketch
from dmr_tui.store.transfer.found import Variant

_SPARE = 6
"""A model is best where the sixth part of the memory, or this many bytes, stay free beside it."""
_LEAST_SPARE = 1 << 30
_BRISK = 6 << 30
"""Bytes of weights. A processor reads all of them for each token, so larger ones are slow."""

_WORTH = ((7.5, 1.0), (6.0, 0.99), (5.0, 0.97), (4.2, 0.93), (3.4, 0.8), (2.8, 0.6), (0.0, 0.35))
"""What of its parameters a model is still worth, by the bits that are left of each."""


class Offer(Struct, frozen=True):
    """A variant, and what it would take."""

    variant: Variant
    fit: Fit | None = None
    """None where its size is unknown, or it is nothing that this engine runs."""
    sure: bool = False
    """The fit is by the model's header, not by its size alone."""
    placed: bool = True
    """It is known what the machine has, so that the fit is a verdict and not only figures."""
    best: bool = False
    """Of all variants it is the one to take here."""


def weigh(
    variants: Sequence[Variant],
    known: Mapping[str, Published],
    memory: Memory | None,
    *,
    context: int,
) -> list[Offer]:
    """What each variant would take, with a mark on the best one.

    Args:
        variants: of one model.
        known: those that were looked at, by name.
        memory: of the machine where it would run; None: not known, then nothing is best.
        context: tokens.
    """
    offers = [_offer(variant, known.get(variant.name), memory, context) for variant in variants]
    best = _best(offers) if memory is not None else None
    return [replace(offer, best=True) if offer is best else offer for offer in offers]


def _offer(
    variant: Variant, published: Published | None, memory: Memory | None, context: int
) -> Offer:
    weights = published.weights if published else variant.weights or variant.size
    if not weights or variant.tag == "safetensors":
        return Offer(variant)
    shape: ModelShape | None = None
    if published is not None:
        shape = sketch(published.config, weights, vocabulary=published.vocabulary)
    plan = shape or guess(weights, variant.parameters)
    endless = Memory(1 << 60, 1 << 60)
    wanted = min(context, plan.trained_context or context)
    wish = Wish(wanted, wanted)
    fit = estimate(plan, wish, memory or endless)
    return Offer(variant, fit, sure=shape is not None, placed=memory is not None)


def _best(offers: Sequence[Offer]) -> Offer | None:
    """The one that is worth most of those that leave room; else of those that fit at all."""
    fitting = [offer for offer in offers if offer.fit is not None and offer.fit.fits]
    for suits in (_comfortable, _on_gpu_or_brisk, lambda offer: True):
        chosen = [offer for offer in fitting if suits(offer)]
        if chosen:
            return max(chosen, key=_rank)
    return None


def _comfortable(offer: Offer) -> bool:
    fit = offer.fit
    assert fit is not None
    free, taken = (fit.device_free, fit.device) if fit.device_free else (fit.host_free, fit.host)
    return _on_gpu_or_brisk(offer) and free - taken >= max(free // _SPARE, _LEAST_SPARE)


def _on_gpu_or_brisk(offer: Offer) -> bool:
    fit = offer.fit
    assert fit is not None
    return fit.gpu_layers == fit.layers if fit.device_free else fit.weights <= _BRISK


def _rank(offer: Offer) -> tuple[float, bool, int]:
    """How good its answers are likely to be; of equals the usual one, then the smallest."""
    variant, fit = offer.variant, offer.fit
    assert fit is not None
    bits = _bits(variant, fit.weights)
    worth = next(worth for least, worth in _WORTH if bits >= least)
    return (variant.parameters or 1) * worth, variant.preferred, -fit.weights


def _bits(variant: Variant, weights: int) -> float:
    """Bits of each parameter: by the name of the quantization, else by the size."""
    name = variant.quantization.upper().removeprefix("UD-")
    digits = "".join(character for character in name if character.isdigit())
    if digits:
        first = 4 if name.startswith("MXFP") else int(digits if "F" in name else digits[0])
        return first + 0.5
    return 8 * weights / variant.parameters if variant.parameters else 4.5
