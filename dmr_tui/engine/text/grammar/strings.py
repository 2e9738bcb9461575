"""Strings of a length, a pattern or a format.

Source: JSON Schema 2020-12, validation, section 7.3; RFC 3339; RFC 4122.
"""

from __future__ import annotations

from dmr_tui.engine.text.grammar import charset
from dmr_tui.engine.text.grammar.gbnf import Characters, Node, chain, choice, optional, repeat
from dmr_tui.engine.text.grammar.json_text import DIGIT, NONZERO

_HEX = Characters(charset.of("0123456789abcdef"))
_LOWER = charset.union([(0x61, 0x7A), (0x30, 0x39)])


def _digits(count: int) -> Node:
    return repeat(DIGIT, count, count)


def _among(signs: str) -> Node:
    return Characters(charset.of(signs))


def _date() -> Node:
    """A day that the calendar has; years from 1000 on."""
    long = choice(chain("0", _among("13578")), chain("1", _among("02")))  # months of 31 days
    short = choice(chain("0", _among("469")), "11")
    to_28 = choice(chain("0", NONZERO), chain("1", DIGIT), chain("2", _among("012345678")))
    to_30 = choice(to_28, "29", "30")
    days = choice(
        chain(long, "-", choice(to_30, "31")), chain(short, "-", to_30), chain("02-", to_28)
    )
    fourth = choice(
        chain("0", _among("48")),
        chain(_among("2468"), _among("048")),
        chain(_among("13579"), _among("26")),
    )
    century = choice(chain(_among("2468"), _among("048")), chain(_among("13579"), _among("26")))
    leap = choice(chain(NONZERO, DIGIT, fourth), chain(century, "00"))
    return choice(chain(NONZERO, _digits(3), "-", days), chain(leap, "-02-29"))


def _time() -> Node:
    hour = choice(chain(_among("01"), DIGIT), chain("2", _among("0123")))
    sixty = chain(_among("012345"), DIGIT)
    fraction = optional(chain(".", repeat(DIGIT, 1, 6)))
    zone = choice("Z", chain(_among("+-"), hour, ":", sixty))
    return chain(hour, ":", sixty, ":", sixty, fraction, zone)


def _uuid() -> Node:
    def block(count: int) -> Node:
        return repeat(_HEX, count, count)

    return chain(block(8), "-", block(4), "-", block(4), "-", block(4), "-", block(12))


def _ipv4() -> Node:
    octet = choice(
        chain("25", _among("012345")),
        chain("2", _among("01234"), DIGIT),
        chain("1", DIGIT, DIGIT),
        chain(NONZERO, DIGIT),
        DIGIT,
    )
    return chain(octet, ".", octet, ".", octet, ".", octet)


def _email() -> Node:
    word = repeat(Characters(_LOWER), 1, 30)
    return chain(word, repeat(chain(_among("._-"), word), 0, 3), "@", word, ".", _top_domain())


def _top_domain() -> Node:
    return repeat(Characters(((0x61, 0x7A),)), 2, 12)


FORMATS: dict[str, tuple[Node, int, int]] = {
    "date": (_date(), 10, 10),
    "time": (_time(), 9, 21),
    "date-time": (chain(_date(), "T", _time()), 20, 32),
    "uuid": (_uuid(), 36, 36),
    "ipv4": (_ipv4(), 7, 15),
    "email": (_email(), 6, 168),
}
"""Grammar, fewest and most characters of the formats that are held; others only annotate."""
