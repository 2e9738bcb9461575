"""How likely tokens were, when somebody asks."""

from __future__ import annotations

import math

from dmr_tui.engine.files import ModelFiles
from dmr_tui.engine.manager import EngineManager
from dmr_tui.engine.request import CompletionRequest, Delta, Limits, Sampling, TokenLogprobs
from tests.engine.asking import Answer, ask

GREEDY = Sampling(temperature=0.0)


def reported(answer: Answer) -> list[TokenLogprobs]:
    return [each for event in answer.events if isinstance(event, Delta) for each in event.logprobs]


def request(
    sampling: Sampling, logprobs: int | None, *, stop: list[str] | None = None
) -> CompletionRequest:
    return CompletionRequest("Hello there", sampling, Limits(12, stop or []), logprobs=logprobs)


async def test_nothing_is_reported_unasked(manager: EngineManager, tiny: ModelFiles) -> None:
    assert reported(await ask(manager, tiny, request(GREEDY, None))) == []


async def test_every_token_is_reported_with_the_likeliest(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    answer = await ask(manager, tiny, request(GREEDY, 5))
    tokens = reported(answer)
    assert len(tokens) == 12
    for token in tokens:
        assert len(token.top) == 5
        # Greedy: what came was the likeliest.
        assert token.top[0] == token.chosen
        odds = [each.logprob for each in token.top]
        assert odds == sorted(odds, reverse=True)
        assert 0 < sum(map(math.exp, odds)) < 1
    said = b"".join(token.chosen.piece for token in tokens).decode("utf-8", "replace")
    assert said == answer.text


async def test_to_ask_does_not_change_what_is_drawn(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    warm = Sampling(temperature=1.0, seed=3)
    answer = await ask(manager, tiny, request(warm, 20))
    for token in reported(answer):
        assert token.chosen in token.top or token.chosen.logprob <= token.top[-1].logprob
    assert (await ask(manager, tiny, request(warm, None))).text == answer.text


async def test_only_the_chosen_one(manager: EngineManager, tiny: ModelFiles) -> None:
    tokens = reported(await ask(manager, tiny, request(GREEDY, 0)))
    assert len(tokens) == 12
    assert all(token.top == [] and token.chosen.logprob < 0 for token in tokens)


async def test_a_bias_does_not_change_what_the_model_finds_likely(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    forced = Sampling(temperature=0.0, logit_bias={300: 100.0})
    tokens = reported(await ask(manager, tiny, request(forced, 1)))
    assert tokens[0].chosen.logprob < tokens[0].top[0].logprob
