"""How much of a prompt goes into a pass, by what passes have cost."""

from __future__ import annotations

import pytest

from dmr_tui.engine.llamacpp.pace import FIRST_CHUNK, SMALLEST_CHUNK, STRETCH, Pace


def settled(plain: float, token: float, *, rounds: int = 60) -> Pace:
    """A pace that has seen a machine with such costs."""
    pace = Pace()
    for _ in range(rounds):
        pace.note(1, 0, plain)
        pace.note(1, pace.chunk(), plain + pace.chunk() * token)
    return pace


def test_nothing_is_known_at_first() -> None:
    pace = Pace()
    assert pace.chunk() == FIRST_CHUNK
    pace.note(1, 64, 1.0)
    assert pace.chunk() == FIRST_CHUNK


@pytest.mark.parametrize(("plain", "token"), [(0.005, 0.0001), (0.030, 0.0005), (0.1, 0.002)])
def test_a_pass_is_stretched_so_much_and_no_more(plain: float, token: float) -> None:
    chunk = settled(plain, token).chunk()
    assert (plain + chunk * token) / plain == pytest.approx(STRETCH, rel=0.05)


def test_a_prompt_always_moves() -> None:
    assert settled(0.001, 0.01).chunk() == SMALLEST_CHUNK


def test_one_pass_that_was_held_up_changes_little() -> None:
    pace = settled(0.010, 0.0002)
    before = pace.chunk()
    pace.note(1, before, 3.0)
    assert pace.chunk() > before * 0.7
    pace.note(1, 0, 3.0)
    assert pace.chunk() < before * 1.3


def test_a_slower_machine_gets_smaller_parts() -> None:
    pace = settled(0.010, 0.0002)
    before = pace.chunk()
    for _ in range(60):
        pace.note(1, pace.chunk(), 0.010 + pace.chunk() * 0.001)
    assert pace.chunk() < before / 3


def test_many_newcomers_get_their_share_of_the_time() -> None:
    pace = settled(0.010, 0.0002)
    assert pace.chunk(15, 1) == pytest.approx(15 * pace.chunk(1, 1), rel=0.05)
    pace.note(15, 0, 0.010)
    assert pace.chunk(1, 15) == pace.chunk(1, 1)
    assert Pace().chunk(4, 2) == 2 * FIRST_CHUNK


def test_prompts_that_are_read_in_a_moment_are_read_at_once() -> None:
    assert Pace().chunk(1, 1, [90]) == FIRST_CHUNK
    pace = settled(0.010, 0.001)
    assert pace.chunk(1, 1, [190]) == 190
    assert pace.chunk(1, 1, [210]) == pace.chunk(1, 1)
    assert pace.chunk(15, 1, [57] * 15) == 15 * 57
    assert pace.chunk(2, 8, [4000, 100]) == 2 * 100


def test_a_few_tokens_do_not_tell_what_many_cost() -> None:
    """Small parts are dear; that must not keep the parts small."""
    pace = settled(0.010, 0.001)
    pace.note(0, 500, 0.5)
    for _ in range(60):
        pace.note(1, 10, 0.110)
    assert pace.chunk(1, 1, [190]) == 190


def test_more_answers_take_longer_by_themselves() -> None:
    """What many answers take is no cost of the prompt beside them."""
    pace = settled(0.010, 0.0002)
    chunk = pace.chunk(1, 1)
    pace.note(16, 0, 0.070)
    for _ in range(20):
        pace.note(8, 50, 0.038 + 50 * 0.0002)
    assert pace.chunk(1, 1) == pytest.approx(chunk, rel=0.05)
    assert pace.chunk(8, 8) == pytest.approx(3.8 * chunk, rel=0.05)
    pace.note(8, 0, 0.020)
    assert pace.chunk(8, 8) == pytest.approx(2.0 * chunk, rel=0.05)


def test_answers_that_were_never_so_many_are_expected_to_take_their_share() -> None:
    pace = settled(0.010, 0.0002)
    assert pace.chunk(4, 4) == pytest.approx(4 * pace.chunk(1, 1), rel=0.05)
