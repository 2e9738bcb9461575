"""What several answers together have cost."""

from __future__ import annotations

from dmr_tui.engine.request import Usage
from dmr_tui.server.openai_usage import total


def test_a_prompt_is_known_only_if_none_of_its_answers_computed_it() -> None:
    copied, computed = Usage(64, 5, 63, 0.0, 1.0), Usage(64, 5, 3, 2.0, 1.0)
    usage = total([copied, copied, computed, computed, copied, copied], choices=3)
    assert usage == Usage(128, 30, 6, 4.0, 6.0)


def test_prompts_with_one_answer_each_all_count() -> None:
    usage = total([Usage(10, 1, 9), Usage(20, 2, 0)])
    assert (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens) == (30, 3, 9)
