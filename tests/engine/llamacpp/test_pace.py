"""How much of a prompt goes into a pass, by what passes have cost."""

from __future__ import annotations

from itertools import pairwise
from math import ceil

import pytest

from dmr_tui.engine.llamacpp.pace import (
    FIRST_CHUNK,
    REST,
    SMALLEST_CHUNK,
    STRETCH,
    TILE,
    Pace,
    share_out,
)

LONG = 100_000


def part(pace: Pace, reading: int = 1, answering: int = 1) -> int:
    """What a pass takes of so many long prompts."""
    return pace.chunk([LONG] * reading, answering)


def settled(plain: float, token: float, *, rounds: int = 60) -> Pace:
    """A pace that has seen a machine with such costs."""
    pace = Pace()
    pace.note(0, 500, 500 * token)
    for _ in range(rounds):
        pace.note(1, 0, plain)
        pace.note(1, part(pace), plain + part(pace) * token)
    return pace


def test_nothing_is_known_at_first() -> None:
    pace = Pace()
    assert part(pace) == FIRST_CHUNK
    pace.note(1, 64, 1.0)
    assert part(pace) == FIRST_CHUNK


@pytest.mark.parametrize(("plain", "token"), [(0.25, 0.015), (0.5, 0.02), (0.1, 0.001)])
def test_a_pass_is_stretched_so_much_and_no_more(plain: float, token: float) -> None:
    chunk = part(settled(plain, token))
    assert (plain + chunk * token) / plain == pytest.approx(STRETCH, rel=0.05)


def test_a_prompt_always_moves() -> None:
    assert part(settled(0.001, 0.05)) == SMALLEST_CHUNK


def test_one_pass_that_was_held_up_changes_little() -> None:
    pace = settled(0.3, 0.02)
    before = part(pace)
    pace.note(1, before, 3.0)
    assert part(pace) > before * 0.7
    pace.note(1, 0, 3.0)
    assert part(pace) < before * 1.3


def test_a_slower_machine_gets_smaller_parts() -> None:
    pace = settled(0.3, 0.02)
    before = part(pace)
    for _ in range(60):
        pace.note(1, part(pace), 0.3 + part(pace) * 0.1)
    assert part(pace) < before / 3


def test_many_newcomers_get_their_share_of_the_time() -> None:
    pace = settled(0.3, 0.02)
    assert part(pace, 15, 1) == pytest.approx(15 * part(pace, 1, 1), rel=0.05)
    pace.note(15, 0, 0.3)
    assert part(pace, 1, 15) == part(pace, 1, 1)
    assert part(Pace(), 4, 2) == 2 * FIRST_CHUNK


def test_prompts_that_are_read_in_a_moment_are_read_at_once() -> None:
    assert Pace().chunk([90], 1) == FIRST_CHUNK
    pace = settled(0.010, 0.001)
    assert pace.chunk([190], 1) == 190
    assert pace.chunk([300], 1) == part(pace, 1, 1)
    assert pace.chunk([57] * 15, 1) == 15 * 57
    assert pace.chunk([4000, 100], 8) == 2 * 100


def test_a_few_tokens_do_not_tell_what_many_cost() -> None:
    """Small parts are dear; that must not keep the parts small."""
    pace = settled(0.010, 0.001)
    pace.note(0, 500, 0.5)
    for _ in range(60):
        pace.note(1, 10, 0.110)
    assert pace.chunk([190], 1) == 190


def test_more_answers_take_longer_by_themselves() -> None:
    """What many answers take is no cost of the prompt beside them."""
    pace = settled(0.3, 0.02)
    chunk = part(pace, 1, 1)
    pace.note(16, 0, 2.1)
    for _ in range(20):
        pace.note(8, 50, 1.14 + 50 * 0.02)
    assert part(pace, 1, 1) == pytest.approx(chunk, rel=0.05)
    assert part(pace, 8, 8) == pytest.approx(3.8 * chunk, rel=0.05)
    pace.note(8, 0, 0.6)
    assert part(pace, 8, 8) == pytest.approx(2.0 * chunk, rel=0.05)


def test_answers_that_were_never_so_many_are_expected_to_take_their_share() -> None:
    pace = settled(0.3, 0.02)
    assert part(pace, 4, 4) == pytest.approx(4 * part(pace, 1, 1), rel=0.05)


class Machine:
    """Reads one prompt beside answers; the costs are what a test says."""

    def __init__(self, plain: float, few: float, many: float) -> None:
        self.pace = Pace()
        self.plain, self.few, self.many = plain, few, many
        self.pace.note(4, 0, plain)

    def read(self, tokens: int, answering: int = 4) -> list[int]:
        """Tokens of the prompt in each pass until it is read."""
        parts = []
        while tokens:
            count = min(self.pace.chunk([tokens], answering), tokens)
            cost = self.many if count + answering >= TILE else self.few
            self.pace.note(answering, count, self.plain + count * cost)
            parts.append(count)
            tokens -= count
            assert len(parts) < 50_000
        return parts


def test_bursts_take_turns_with_the_answers() -> None:
    machine = Machine(0.010, few=0.014, many=0.001)
    machine.read(2000)
    parts = machine.read(4000)
    *bursts, _ = [at for at, count in enumerate(parts) if count]  # the end is read in a moment
    rests = {later - earlier - 1 for earlier, later in pairwise(bursts)}
    assert rests == {REST}
    assert {parts[at] for at in bursts} == {6 * TILE - 4}
    assert len(bursts) / len(parts) < 0.03  # seldom enough to leave the 95th percentile alone


def test_answers_have_half_of_the_time_beside_bursts() -> None:
    """However long these are: here the smallest takes as long as 72 passes of the answers."""
    machine = Machine(0.005, few=0.03, many=0.006)
    machine.read(500)
    parts = machine.read(1_500)
    bursts = [at for at, count in enumerate(parts) if count]
    assert {parts[at] for at in bursts[:-1]} == {TILE - 4}
    alone = [later - earlier - 1 for earlier, later in pairwise(bursts)]
    assert min(alone) * 0.005 >= (TILE - 4) * 0.006
    assert max(alone) * 0.005 < (TILE - 4) * 0.006 + 2 * 0.005


def test_a_burst_is_no_longer_than_the_answers_rest() -> None:
    machine = Machine(0.002, few=0.005, many=0.0003)
    machine.read(1000)
    *parts, _ = machine.read(5000)  # likewise
    assert TILE < max(parts) <= REST * 0.002 / 0.0003


def test_nobody_waits_for_the_last_few() -> None:
    """They are in the last burst: by themselves they would be dear."""
    for tokens in range(900, 1100, 7):
        machine = Machine(0.010, few=0.014, many=0.001)
        machine.read(2000)
        assert min(count for count in machine.read(tokens) if count) >= TILE


def test_what_held_nobody_up_gives_nobody_a_rest() -> None:
    machine = Machine(0.010, few=0.014, many=0.001)
    machine.read(2000)
    for _ in range(2 * REST):
        machine.pace.note(4, 0, 0.010)
    machine.pace.note(0, 500, 0.500)
    assert machine.pace.chunk([LONG], 4) >= TILE - 4


def test_many_newcomers_get_their_share_beside_bursts() -> None:
    machine = Machine(0.010, few=0.014, many=0.001)
    machine.read(2000)
    for _ in range(REST):
        machine.pace.note(4, 0, 0.010)
    machine.pace.note(4, 200, 0.210)
    passes = 0
    while not part(machine.pace, 12, 4):
        machine.pace.note(4, 0, 0.010)
        passes += 1
    assert passes == ceil(REST / 3)


@pytest.mark.parametrize(
    ("plain", "few", "many"),
    [
        (0.200, 0.060, 0.035),  # a burst of so slow a model would hold all up for seconds
        (0.250, 0.060, 0.015),
        (0.300, 0.012, 0.006),  # and beside so slow answers one would come too seldom
    ],
)
def test_where_bursts_do_not_suit_parts_are_small(plain: float, few: float, many: float) -> None:
    machine = Machine(plain, few, many)
    machine.read(500)
    for _ in range(REST):
        machine.pace.note(4, 0, plain)
    parts = machine.read(2000)
    assert min(parts) > 0
    assert parts[-2] == pytest.approx(max(plain / few, SMALLEST_CHUNK), abs=1)


def test_passes_that_are_noted_together_count_as_many() -> None:
    one, many = settled(0.01, 0.001), settled(0.01, 0.001)
    for _ in range(20):
        one.note(1, 0, 0.015)
    many.note(1, 0, 0.015, passes=20)
    for wants in ([LONG], [70, LONG], [20]):
        assert many.chunk(wants, 1) == one.chunk(wants, 1)
    for pace in (one, many):
        assert pace._expected(1) == pytest.approx(0.015, rel=0.01)


@pytest.mark.parametrize(
    ("room", "wants", "shares"),
    [
        (64, [], []),
        (64, [10], [10]),
        (64, [500], [64]),
        (64, [500, 20], [32, 20]),
        (64, [500, 20, 40], [32, 20, 0]),
        (64, [500, 12, 40], [32, 12, 20]),
        (114, [4000, 57], [57, 57]),
        (512, [57] * 10, [57] * 8 + [0, 0]),
        (64, [500, 400, 300], [32, 0, 32]),
        (7, [500, 400], [4, 3]),
        (100, [10, 20, 30], [10, 20, 30]),
    ],
)
def test_prompts_share_a_pass(room: int, wants: list[int], shares: list[int]) -> None:
    """Half for the oldest, so that it goes on; the rest for those who need least.

    Who is done does not wait for a little of the next one.
    """
    assert share_out(room, wants) == shares
