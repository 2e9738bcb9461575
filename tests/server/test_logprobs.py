"""Where tokens are in the text that they become."""

from __future__ import annotations

from dmr_tui.server.openai_logprobs import TextOffsets


def test_offsets_count_characters_and_not_tokens() -> None:
    offsets = TextOffsets(5)
    text = "aé😀\ufffdz".encode()
    assert [offsets.next(text[at : at + 1]) for at in range(len(text))] == [
        *(5, 6, 6, 7, 7, 7, 7, 8, 8, 8, 9),
    ]
