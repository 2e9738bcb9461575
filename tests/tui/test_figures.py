from __future__ import annotations

import pytest

from dmr_tui.widgets.figures import (
    age,
    clock,
    grouped,
    long_size,
    parse_size,
    part_of,
    short_size,
    tokens,
)
from dmr_tui.widgets.gauge import bar, load_style


@pytest.mark.parametrize(
    ("size", "short", "long"),
    [
        (0, "0B", "0 B"),
        (999, "999B", "999 B"),
        (274_000_000, "274M", "274 MB"),
        (5_225_388_164, "5.2G", "5.2 GB"),
        (18_100_000_000, "18.1G", "18.1 GB"),
        (99_960_000_000, "100G", "100 GB"),
        (999_600_000, "1.0G", "1.0 GB"),
    ],
)
def test_sizes_are_decimal_with_at_most_three_places(size: int, short: str, long: str) -> None:
    assert (short_size(size), long_size(size)) == (short, long)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("256.35MiB", 268_802_457),
        ("138MB", 138_000_000),
        ("4.68 GiB", 5_025_111_736),
        ("12", 12),
        ("", 0),
        ("unknown", 0),
    ],
)
def test_sizes_of_configs_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


def test_a_part_has_the_unit_of_the_whole() -> None:
    assert part_of(900_000_000, 24_000_000_000) == "0.9/24G"
    assert part_of(11_200_000_000, 25_300_000_000) == "11.2/25.3G"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "now"), (59, "now"), (60, "1m"), (7200, "2h"), (3 * 86400, "3d"), (20 * 86400, "2w")],
)
def test_ages_have_one_unit(seconds: float, shown: str) -> None:
    assert age(seconds) == shown


def test_spans_counts_and_contexts() -> None:
    assert (clock(45), clock(61.4), clock(3723)) == ("0:45", "1:01", "1:02:03")
    assert (grouped(999), grouped(1234567)) == ("999", "1 234 567")
    assert (tokens(500), tokens(8192), tokens(131072)) == ("500", "8K", "128K")
    assert (tokens(1536), tokens(40_960), tokens(2000)) == ("1.5K", "40K", "2K")


@pytest.mark.parametrize(
    ("fraction", "inside"),
    [(0, "    "), (0.25, "█   "), (0.5 + 1 / 32, "██▏ "), (1, "████"), (7, "████"), (-1, "    ")],
)
def test_a_bar_fills_by_eighths_and_keeps_its_width(fraction: float, inside: str) -> None:
    assert bar(fraction, 4).plain == f"▕{inside}▏"


def test_a_load_changes_its_colour_only_when_it_is_high() -> None:
    assert [load_style(each) for each in (0.1, 0.8, 0.95)] == ["$primary", "$warning", "$error"]
