"""How likely tokens were, in the two shapes that OpenAI's clients know.

Source: OpenAI API reference, `choices[].logprobs` of chat completions and of completions.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Any

from dmr_tui.engine.request import Likelihood, PromptLogprobs, TokenLogprobs


def chat_logprobs(tokens: Sequence[TokenLogprobs]) -> dict[str, Any] | None:
    """The object of a chat; null when there is nothing to tell."""
    if not tokens:
        return None
    content = [
        {**_entry(token.chosen), "top_logprobs": [_entry(each) for each in token.top]}
        for token in tokens
    ]
    return {"content": content, "refusal": None}


class TextOffsets:
    """Where the tokens of a text begin in it, one after the other.

    They are counted by their own bytes: what a stream has shown so far may be less, when the end of
    a token could be the beginning of a stop string, and a character may be several tokens.
    """

    def __init__(self, start: int) -> None:
        """Begin after so many characters."""
        self._at = start
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def next(self, piece: bytes) -> int:
        """Characters before the next token, whose bytes these are."""
        at = self._at
        self._at += len(self._decoder.decode(piece))
        return at


def completion_logprobs(
    tokens: Sequence[TokenLogprobs], offsets: TextOffsets, prompt: PromptLogprobs | None = None
) -> dict[str, Any] | None:
    """The object of a completion; null when there is nothing to tell.

    Args:
        tokens: in the order of the text.
        offsets: of the choice, as far as its tokens have come.
        prompt: what the text begins with, if it is the repeated prompt. Of its first token nothing
            is known: it has nulls.
    """
    known = [*(prompt.tokens if prompt else ()), *tokens]
    pieces = [token.chosen.piece for token in known]
    logprobs: list[float | None] = [token.chosen.logprob for token in known]
    tops: list[dict[str, float] | None] = [_top(token) for token in known]
    if prompt and prompt.first is not None:
        pieces, logprobs, tops = [prompt.first, *pieces], [None, *logprobs], [None, *tops]
    if not pieces:
        return None
    return {
        "tokens": [piece.decode("utf-8", "replace") for piece in pieces],
        "token_logprobs": logprobs,
        "top_logprobs": tops,
        "text_offset": [offsets.next(piece) for piece in pieces],
    }


def _top(token: TokenLogprobs) -> dict[str, float]:
    """The likeliest texts: of two tokens with the same one, the likelier."""
    return {_text(each): each.logprob for each in reversed(token.top)}


def _text(likelihood: Likelihood) -> str:
    return likelihood.piece.decode("utf-8", "replace")


def _entry(likelihood: Likelihood) -> dict[str, Any]:
    return {
        "token": _text(likelihood),
        "logprob": likelihood.logprob,
        "bytes": list(likelihood.piece),
    }
