"""Vectors that models give for texts, as little-endian 32-bit floats."""

from __future__ import annotations

from math import isfinite, sqrt
from struct import Struct

from dmr_tui.errors import EngineError, InvalidRequestError


def check_dimensions(wanted: int | None, width: int) -> None:
    """Check how many numbers of each vector are wanted.

    Raises:
        InvalidRequestError: the vectors have not so many.
    """
    if wanted is not None and not 1 <= wanted <= width:
        raise InvalidRequestError(
            f"dimensions must be between 1 and {width}, not {wanted}", param="dimensions"
        )


def unit(vector: bytes, dimensions: int | None) -> bytes:
    """The vector, cut to so many numbers, with the length one.

    Raises:
        EngineError: it holds what is no number.
    """
    layout = Struct(f"<{dimensions or len(vector) // 4}f")
    numbers = layout.unpack_from(vector)
    length = sqrt(sum(number * number for number in numbers))
    if not isfinite(length):
        raise EngineError("the computation gave what is no number")
    return layout.pack(*(number / (length or 1.0) for number in numbers))
