"""How likely tokens were, in the two shapes that OpenAI's clients know.

Source: OpenAI API reference, `choices[].logprobs` of chat completions and of completions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dmr_tui.engine.request import Likelihood, TokenLogprobs


def chat_logprobs(tokens: Sequence[TokenLogprobs]) -> dict[str, Any] | None:
    """The object of a chat; null when there is nothing to tell."""
    if not tokens:
        return None
    content = [
        {**_entry(token.chosen), "top_logprobs": [_entry(each) for each in token.top]}
        for token in tokens
    ]
    return {"content": content, "refusal": None}


def completion_logprobs(tokens: Sequence[TokenLogprobs], offset: int) -> dict[str, Any] | None:
    """The object of a completion; null when there is nothing to tell.

    Args:
        tokens: in the order of the text.
        offset: characters before the first of them in the choice's text.
    """
    if not tokens:
        return None
    texts = [_text(token.chosen) for token in tokens]
    offsets = []
    for text in texts:
        offsets.append(offset)
        offset += len(text)
    return {
        "tokens": texts,
        "token_logprobs": [token.chosen.logprob for token in tokens],
        "top_logprobs": [{_text(each): each.logprob for each in token.top} for token in tokens],
        "text_offset": offsets,
    }


def _text(likelihood: Likelihood) -> str:
    return likelihood.piece.decode("utf-8", "replace")


def _entry(likelihood: Likelihood) -> dict[str, Any]:
    return {
        "token": _text(likelihood),
        "logprob": likelihood.logprob,
        "bytes": list(likelihood.piece),
    }
