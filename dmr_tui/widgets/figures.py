"""How numbers are written on every screen: sizes, ages, counts, speeds."""

from __future__ import annotations

import re

_SIZE = re.compile(r"\s*([\d.]+)\s*([KMGTP]?)(i?)B?\s*", re.IGNORECASE)
_POWERS = "KMGTP"


def short_size(size: float) -> str:
    """Bytes for a table: `274M`, `5.2G`. Decimal units, as disks and download pages use them."""
    value, unit = _scaled(size)
    return f"{_digits(value)}{unit}"


def long_size(size: float) -> str:
    """Bytes for a sentence: `274 MB`, `5.2 GB`."""
    value, unit = _scaled(size)
    return f"{_digits(value)} {unit if unit != 'B' else ''}B"


def part_of(part: float, whole: float) -> str:
    """Two sizes in the unit of the larger one: `11.2/24.0G`."""
    power = _power(whole)
    scale = 1000.0**power
    unit = _POWERS[power - 1] if power else "B"
    return f"{_digits(part / scale)}/{_digits(whole / scale)}{unit}"


def parse_size(text: str) -> int:
    """Bytes of a human size as a model's config has it (`256.35MiB`); 0 for no size."""
    match = _SIZE.fullmatch(text)
    if match is None:
        return 0
    number, unit, binary = match.groups()
    power = _POWERS.index(unit.upper()) + 1 if unit else 0
    return int(float(number) * (1024 if binary else 1000) ** power)


def short_count(text: str) -> str:
    """A count of parameters in two or three places: `361.82M` is `362M`, `8.19B` is `8.2B`."""
    number = text.strip().replace(" ", "").upper()
    unit = number[-1:] if number[-1:] in "KMBT" else ""
    try:
        value = float(number.removesuffix(unit))
    except ValueError:
        return text.strip()
    return f"{value:.1f}{unit}" if value < 99.95 and value % 1 else f"{value:.0f}{unit}"


def speed(tokens_per_second: float) -> str:
    """Tokens per second: `47 tok/s`, `1 840 tok/s`, `3.2 tok/s`."""
    if tokens_per_second < 9.95:
        return f"{tokens_per_second:.1f} tok/s"
    return f"{grouped(round(tokens_per_second))} tok/s"


def duration(seconds: float) -> str:
    """A span of time that was measured: `0.31 s`, `2.4 s`, `1:05`."""
    if seconds < 1:
        return f"{seconds:.2f} s"
    return f"{seconds:.1f} s" if seconds < 60 else clock(seconds)


def age(seconds: float) -> str:
    """How long ago, in one unit: `now`, `2m`, `1h`, `3d`, `5w`."""
    if seconds < 60:
        return "now"
    for limit, divisor, unit in ((3600, 60, "m"), (86400, 3600, "h"), (7 * 86400, 86400, "d")):
        if seconds < limit:
            return f"{int(seconds // divisor)}{unit}"
    return f"{int(seconds // (7 * 86400))}w"


def span(seconds: float) -> str:
    """A span of time in one unit: `8 s`, `3 min`, `2 h`, `5 d`."""
    for limit, divisor, unit in ((90, 1, "s"), (5400, 60, "min"), (129_600, 3600, "h")):
        if seconds < limit:
            return f"{max(seconds, 0) / divisor:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"


def clock(seconds: float) -> str:
    """A span of time as minutes and seconds: `0:45`, `1:02:03`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def tokens(count: int) -> str:
    """A context size: `2K`, `1.5K`, `128K`, `500`."""
    if count < 1024:
        return str(count)
    size = count / 1024
    return f"{size:.1f}".removesuffix(".0") + "K" if size < 10 else f"{size:.0f}K"


def grouped(count: int) -> str:
    """A count with thin groups of three: `8 192`."""
    return f"{count:,}".replace(",", " ")


def _power(size: float) -> int:
    power = 0
    # 999.5 would be written as 1000 of its unit.
    while size >= 999.5 and power < len(_POWERS):
        size /= 1000
        power += 1
    return power


def _scaled(size: float) -> tuple[float, str]:
    power = _power(size)
    return size / 1000.0**power, _POWERS[power - 1] if power else "B"


def _digits(value: float) -> str:
    """Three significant places at most: 5.2, 18.1, 274."""
    return f"{value:.1f}" if 0 < value < 99.95 and not float(value).is_integer() else f"{value:.0f}"
