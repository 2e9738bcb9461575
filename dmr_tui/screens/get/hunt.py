"""What is looked for and what was found: plain state, which the screen shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from dmr_tui.engine.context import DEFAULT_CONTEXT
from dmr_tui.engine.plan import Memory
from dmr_tui.errors import DmrError
from dmr_tui.runner.base import Published, Runner
from dmr_tui.runner.offers import Offer, weigh
from dmr_tui.screens.get.wish import Named, Wish, Words
from dmr_tui.store.transfer.found import Hit, Source, Variant

CONTEXTS = (2048, 4096, 8192, 16384, 32768, 65536, 131072)
"""Tokens that memory can be told for."""
_LIMIT = 40
_MOST_FAMILIES = 400


@dataclass(eq=False)
class Place:
    """Somewhere to search.

    Attributes:
        source: its name for the runner.
        title: its name for people.
        on: it is asked.
        asked: how often it was asked.
        answered: which of these times it has answered, or was left, last.
        hits: what it has found last.
        failure: why it has found nothing.
    """

    source: Source
    title: str
    on: bool = True
    asked: int = 0
    answered: int = 0
    hits: list[Hit] = field(default_factory=list)
    failure: DmrError | None = None

    @property
    def asking(self) -> bool:
        """Whether an answer is awaited."""
        return self.answered < self.asked


@dataclass(eq=False)
class Family:
    """One model with all its variants.

    Attributes:
        hit: how it was found.
        variants: None until they are known.
        known: published models that were looked at, by variant.
        missed: variants that could not be looked at.
        failure: why the variants are not known.
        asked: somebody finds them out, or has.
        offers: the variants with what they would take.
    """

    hit: Hit
    variants: list[Variant] | None = None
    known: dict[str, Published] = field(default_factory=dict)
    missed: set[str] = field(default_factory=set)
    failure: DmrError | None = None
    asked: bool = False
    offers: list[Offer] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What identifies it."""
        return self.hit.name

    @property
    def wanted(self) -> str:
        """The tag in its name, where it was found by one."""
        host, slash, rest = self.name.partition("/")
        return (rest if slash else host).partition(":")[2].partition("@")[0]

    @property
    def chosen(self) -> Offer | None:
        """The variant to show first.

        The one that was named; else the best one here, the usual one, the smallest.
        """
        if self.wanted:
            named = [offer for offer in self.offers if _is_named(offer.variant, self.wanted)]
            return next(iter(named), None)
        usual = [offer for offer in self.offers if offer.variant.preferred]
        best = [offer for offer in self.offers if offer.best]
        return next(iter([*best, *usual, *self.offers]), None)

    def worth_a_look(self, variant: Variant) -> bool:
        """Whether a look could tell more of a variant than is known."""
        return variant.name not in self.known and variant.name not in self.missed

    @property
    def hopeless(self) -> bool:
        """It is known that no variant fits."""
        fits = [offer.fit for offer in self.offers if offer.fit is not None]
        return bool(fits) and not any(fit.fits for fit in fits)

    @property
    def newest(self) -> Published | None:
        """One of the looks, for what all variants have in common."""
        chosen = self.chosen
        if chosen is not None and chosen.variant.name in self.known:
            return self.known[chosen.variant.name]
        return next(iter(self.known.values()), None)


class Hunt:
    """The search, its places, and the families that were found."""

    def __init__(self) -> None:
        """Nothing is looked for yet."""
        self.wish: Wish = Words("")
        self.places = (Place("dockerhub", "Docker Hub"), Place("huggingface", "Hugging Face"))
        self.only_fitting = False
        self.context = DEFAULT_CONTEXT
        self.memory: Memory | None = None
        self.begun = False
        self._families: dict[str, Family] = {}

    @property
    def asking(self) -> bool:
        """Whether an answer of a place is awaited."""
        return any(place.on and place.asking for place in self.places)

    @property
    def failures(self) -> list[tuple[Place, DmrError]]:
        """The places that have failed."""
        return [(place, place.failure) for place in self.places if place.on and place.failure]

    @property
    def silent(self) -> bool:
        """Whether no place has answered, though one was asked."""
        on = [place for place in self.places if place.on]
        return bool(on) and len(self.failures) == len(on)

    @property
    def found(self) -> list[Family]:
        """All that was found, in the places' own order."""
        if isinstance(self.wish, Named):
            return [self._family(Hit(self.wish.name, backend=""))]
        if not isinstance(self.wish, Words):
            return []
        return [self._family(hit) for place in self.places if place.on for hit in place.hits]

    @property
    def shown(self) -> list[Family]:
        """The same, without those that cannot fit if that is wished."""
        hide = self.only_fitting and isinstance(self.wish, Words)
        return [family for family in self.found if not (hide and family.hopeless)]

    def look_for(self, wish: Wish) -> None:
        """Look for something else; what was found stays until there is something new."""
        self.wish = wish
        self.begun = True

    def ask_anew(self) -> None:
        """Forget what could not be found out, so that it is asked for again."""
        self.begun = False
        for family in self._families.values():
            if family.failure is not None:
                family.failure, family.asked = None, False
            family.missed.clear()

    async def search(
        self, runner: Runner, place: Place, text: str, changed: Callable[[], None]
    ) -> None:
        """Ask one place for some words."""
        place.asked += 1
        turn = place.asked
        changed()
        try:
            found = await runner.search(text, limit=_LIMIT, source=place.source, sizes=False)
        except DmrError as error:
            place.hits, place.failure = [], error
        else:
            place.hits, place.failure = found.hits, None
        finally:
            place.answered = max(place.answered, turn)
            changed()

    async def open(self, runner: Runner, family: Family) -> None:
        """Find out a family's variants."""
        family.asked, family.failure = True, None
        try:
            family.variants = await runner.variants(family.name)
        except DmrError as error:
            family.failure = error
        except BaseException:
            family.asked = False
            raise
        else:
            self._weigh(family)

    async def look(self, runner: Runner, family: Family, variant: Variant) -> None:
        """Look at a variant, so that its figures are sure; a look that fails changes nothing."""
        try:
            family.known[variant.name] = await runner.look(variant.name)
        except DmrError:
            family.missed.add(variant.name)  # a pull would say what is wrong
        else:
            self._weigh(family)

    def weigh(self) -> None:
        """Compute what all variants would take, after another context or another memory."""
        for family in self._families.values():
            self._weigh(family)

    def change_context(self, step: int) -> None:
        """The next larger or smaller context."""
        place = min(max(CONTEXTS.index(self.context) + step, 0), len(CONTEXTS) - 1)
        self.context = CONTEXTS[place]
        self.weigh()

    def _weigh(self, family: Family) -> None:
        family.offers = weigh(
            family.variants or [], family.known, self.memory, context=self.context
        )

    def _family(self, hit: Hit) -> Family:
        family = self._families.get(hit.name)
        if family is None:
            while len(self._families) >= _MOST_FAMILIES:
                del self._families[next(iter(self._families))]
            family = self._families[hit.name] = Family(hit)
        elif hit.downloads:
            family.hit = hit
        return family


def _is_named(variant: Variant, tag: str) -> bool:
    names = (variant.tag, variant.quantization, *variant.aliases)
    return tag.lower() in [name.lower() for name in names]
