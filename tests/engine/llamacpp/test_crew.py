"""How many threads are used, on machines that are quiet, busy, or both in turn."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dmr_tui.engine.llamacpp.crew import FIRST_INTERVAL, PROBE, Crew


def quiet(threads: int) -> tuple[float, float]:
    """How long a pass takes, and how much of that each thread has a processor."""
    return 0.001 + 0.010 / threads, 0.95


def busy(threads: int) -> tuple[float, float]:
    """Each thread more waits for the others."""
    return 0.010 * threads**2, 0.4


def used(
    crew: Crew,
    passes: int,
    machine: Callable[[int], tuple[float, float]],
    tokens: int = 1,
    *,
    skipping: bool = True,
) -> list[int]:
    """The threads of each pass.

    Args:
        crew: which may have known others before.
        passes: how many.
        machine: seconds of a pass, and the share of the processors, by threads.
        tokens: of each pass.
        skipping: passes that need not be noted are not.
    """
    counts = []
    skipped = 0
    for _ in range(passes):
        threads = crew.threads(tokens)
        counts.append(threads)
        if skipped:
            skipped -= 1
            continue
        seconds, share = machine(threads)
        crew.note(tokens, seconds, seconds * share * threads)
        skipped = crew.skip() if skipping else 0
    return counts


@pytest.mark.parametrize("most", [2, 4, 8, 6])
def test_a_quiet_machine_keeps_its_threads(most: int) -> None:
    counts = used(Crew(most), 600, quiet)
    assert counts[-1] == most
    assert sum(count != most for count in counts) <= 0.02 * len(counts)


@pytest.mark.parametrize("most", [2, 4, 8])
def test_a_busy_machine_gets_fewer(most: int) -> None:
    counts = used(Crew(most), 600, busy)
    assert counts[-1] == 1
    assert counts.index(1) < 3 * (FIRST_INTERVAL + 2 * PROBE)


def test_a_quiet_machine_is_seldom_watched() -> None:
    crew = Crew(2)
    noted = skipped = 0
    while noted + skipped < 600:
        used(crew, 1, quiet, skipping=False)
        noted += 1
        skipped += crew.skip()
    assert 0 < noted < 0.4 * (noted + skipped)


@pytest.mark.parametrize("machine", [quiet, busy])
def test_what_is_not_noted_makes_no_difference(
    machine: Callable[[int], tuple[float, float]],
) -> None:
    assert used(Crew(4), 600, machine) == used(Crew(4), 600, machine, skipping=False)


def test_one_that_calms_down_gets_them_back() -> None:
    crew = Crew(4)
    used(crew, 300, busy)
    assert used(crew, 3000, quiet)[-1] == 4


def test_a_moment_of_others_costs_a_moment() -> None:
    crew = Crew(2)
    assert used(crew, 2 * FIRST_INTERVAL + PROBE, busy)[-1] == 1
    assert used(crew, FIRST_INTERVAL + 2 * PROBE, quiet)[-1] == 2


def test_what_is_as_fast_with_fewer_gets_fewer() -> None:
    """Memory is the limit, not the processors."""
    counts = used(Crew(4), 600, lambda threads: (0.0101 if threads == 4 else 0.0100, 0.95))
    assert counts[-1] == 2


def test_fewer_may_not_be_slower() -> None:
    counts = used(Crew(2), 700, lambda threads: (0.0105 - 0.0002 * threads, 0.7))
    assert set(counts[-60:]) == {2}


def test_more_answers_get_more() -> None:
    crew = Crew(4)
    used(crew, 600, lambda threads: (0.010 + 0.0001 * threads, 0.5), tokens=1)
    assert crew.threads(1) < 4
    assert crew.threads(16) == crew.threads(200) == 4
    assert used(crew, 300, quiet, tokens=16)[-1] == 4
    assert crew.threads(1) < 4


def test_a_trial_is_for_passes_of_one_size() -> None:
    crew = Crew(2)
    used(crew, FIRST_INTERVAL, busy, tokens=4)
    assert (crew.threads(4), crew.threads(5), crew.threads(1)) == (1, 2, 2)
    crew.note(5, 1.0, 1.0)
    assert crew.threads(4) == 2


def test_one_thread_is_one_thread() -> None:
    assert set(used(Crew(1), 100, busy)) == {1}
