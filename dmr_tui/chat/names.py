"""Whether two names mean the same model."""

from __future__ import annotations

from dmr_tui.errors import InvalidRequestError
from dmr_tui.store.reference import parse_reference


def same_model(first: str, second: str) -> bool:
    """Whether `smollm2`, `ai/smollm2:latest` and the like name one model; files name themselves."""
    if first == second:
        return True
    try:
        return str(parse_reference(first)) == str(parse_reference(second))
    except InvalidRequestError:  # One of them is a file or an id.
        return False
