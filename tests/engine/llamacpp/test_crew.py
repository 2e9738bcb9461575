"""How many threads are used, on machines that are quiet, busy, or both in turn."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dmr_tui.engine.llamacpp.crew import FIRST_INTERVAL, PROBE, Crew


def quiet(threads: int) -> float:
    return 0.001 + 0.010 / threads


def busy(threads: int) -> float:
    """Each thread more waits for the others."""
    return 0.010 * threads**2


def used(crew: Crew, passes: int, machine: Callable[[int], float], sequences: int = 1) -> list[int]:
    """The threads of each pass."""
    counts = []
    for _ in range(passes):
        counts.append(crew.threads)
        crew.note(sequences, machine(crew.threads))
    return counts


@pytest.mark.parametrize("most", [2, 4, 8, 6])
def test_a_quiet_machine_keeps_its_threads(most: int) -> None:
    counts = used(Crew(most), 600, quiet)
    assert counts[-1] == most
    assert sum(count != most for count in counts) < 0.03 * len(counts)


@pytest.mark.parametrize("most", [2, 4, 8])
def test_a_busy_machine_gets_fewer(most: int) -> None:
    counts = used(Crew(most), 600, busy)
    assert counts[-1] == 1
    assert counts.index(1) < 4 * (FIRST_INTERVAL + 2 * PROBE)


def test_one_that_calms_down_gets_them_back() -> None:
    crew = Crew(4)
    used(crew, 300, busy)
    assert used(crew, 3000, quiet)[-1] == 4


def test_a_little_is_not_enough_for_fewer() -> None:
    assert set(used(Crew(2), 600, lambda threads: 0.009 if threads == 1 else 0.010)[-60:]) == {2}


def test_another_number_of_answers_starts_anew() -> None:
    crew = Crew(2)
    used(crew, FIRST_INTERVAL, quiet)
    assert crew.threads == 1
    crew.note(5, 1.0)
    assert crew.threads == 2


def test_one_thread_is_one_thread() -> None:
    assert set(used(Crew(1), 100, busy)) == {1}
