"""How long texts are, before all of their tokens are known.

The worker's main thread makes tokens: megabytes take it seconds, in which no answer goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dmr_tui.engine.llamacpp.model import Vocabulary

MOST_CHARACTERS = 2**20
"""Of a text that is cut into tokens for its own sake: some tenths of a second."""

_CHARACTERS = 8
"""Of a token, at most, in nearly every text."""


def too_many(vocabulary: Vocabulary, text: str, most: int) -> int | None:
    """How many tokens the beginning of a text has, if it alone has more than `most`.

    None says nothing: who has to know counts the tokens of the whole.
    """
    # What is cut in the middle of a word may have more tokens at its end than the whole has.
    enough = most + most // 8
    length = 2 * _CHARACTERS * most
    while length < len(text):
        count = len(vocabulary.tokenize(text[:length]))
        if count > enough:
            return count
        length *= 4
    return None
