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
    crew: Crew, passes: int, machine: Callable[[int], tuple[float, float]], sequences: int = 1
) -> list[int]:
    """The threads of each pass."""
    counts = []
    for _ in range(passes):
        counts.append(crew.threads)
        seconds, share = machine(crew.threads)
        crew.note(sequences, seconds, seconds * share * crew.threads)
    return counts


@pytest.mark.parametrize("most", [2, 4, 8, 6])
def test_a_quiet_machine_keeps_its_threads(most: int) -> None:
    counts = used(Crew(most), 600, quiet)
    assert set(counts) == {most}


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
    assert set(used(Crew(2), 700, lambda threads: (0.008 + 0.001 * threads, 0.7))[-60:]) == {2}


def test_another_number_of_answers_starts_anew() -> None:
    crew = Crew(2)
    used(crew, FIRST_INTERVAL, busy)
    assert crew.threads == 1
    crew.note(5, 1.0, 1.0)
    assert crew.threads == 2


def test_one_thread_is_one_thread() -> None:
    assert set(used(Crew(1), 100, busy)) == {1}
