"""Markers that a text may still become."""

from __future__ import annotations

from collections.abc import Iterable


def first_marker(text: str, markers: Iterable[str]) -> tuple[int, str] | None:
    """Where the first of the markers is, and which; of two that begin there, the longer one."""
    found = [(text.find(marker), -len(marker), marker) for marker in markers]
    known = [each for each in found if each[0] >= 0]
    if not known:
        return None
    at, _, marker = min(known)
    return at, marker


def growing(text: str, markers: Iterable[str]) -> int:
    """Length of the longest end of a text from which one of the markers may still grow."""
    known = tuple(markers)
    longest = min(len(text), max(map(len, known), default=1) - 1)
    for length in range(longest, 0, -1):
        if any(marker.startswith(text[-length:]) for marker in known):
            return length
    return 0
