"""The dialogues are the same each time, and the examination asks nothing that was learned."""

from __future__ import annotations

import hashlib
import random
import re
from itertools import islice
from pathlib import Path

from guide.corpus import PARTS, dialogues, exam, fixed_answers
from guide.dialogue import Dialogue
from guide.intents import intents
from guide.phrasing import (
    HOW_TO,
    Wordings,
    expand,
    read_wordings,
    type_like_a_person,
    write_names,
)
from guide.skills import beyond, sums


def digest(found: list[Dialogue]) -> str:
    return hashlib.sha256(repr(found).encode()).hexdigest()


def test_the_same_seed_gives_the_same_dialogues() -> None:
    first, again = (digest(list(islice(dialogues(9), 2000))) for _ in range(2))
    assert first == again
    assert first != digest(list(islice(dialogues(10), 2000)))
    assert digest(exam(9, 50)) == digest(exam(9, 50))


def test_patterns_are_either_learned_or_held_out() -> None:
    held = 0
    for wordings in [HOW_TO, *(w for intent in intents() for w in (intent.asks, intent.acts))]:
        assert not set(wordings.held_out) & set(wordings.learned)
        held += len(wordings.held_out)
    assert held > 300


def test_more_patterns_move_none_of_the_others() -> None:
    patterns = [f"say {number}" for number in range(400)]
    few, many = Wordings("key", patterns[:200]), Wordings("key", patterns)
    assert set(few.held_out) < set(many.held_out)
    assert set(few.learned) < set(many.learned)
    assert 15 <= len(many.held_out) <= 45
    later = Wordings("key", [*patterns[:200], *(f"* {pattern}" for pattern in patterns[200:])])
    assert later.held_out == few.held_out
    assert set(later.learned) == set(few.learned) | set(patterns[200:])


def test_of_a_held_out_pattern_only_what_is_not_learned_is_asked() -> None:
    wordings = Wordings("key", ["* {get|pull} [a|the] {small [blue]|big} model"])
    assert all(wordings.teaches(wordings.draw(random.Random(n), exam=False)) for n in range(200))
    assert wordings.teaches("get small model")
    assert not wordings.teaches("get blue model")
    known = ["* {get|pull} a model", *(f"* {number}" for number in range(9))]
    both = Wordings("b", [*known, "{get|fetch} a model", "one", "two", "three"])
    assert both.held_out == ["{get|fetch} a model"]
    assert {both.draw(random.Random(n), exam=True) for n in range(200)} == {"fetch a model"}


def test_each_intent_is_examined() -> None:
    with_held_out = [i for i in intents() if i.asks.held_out or i.acts.held_out]
    assert len(with_held_out) == len(intents()), set(intents()) - set(with_held_out)


def test_no_sentence_has_two_answers() -> None:
    found = [(intent.asks, intent.answer) for intent in intents()]
    outside = read_wordings(Path(beyond.__file__).parent / "wordings" / "beyond.txt")
    found += [(outside[key], beyond.ANSWER) for key in ("questions", "false friends")]
    answers: dict[str, set[str]] = {}
    for wordings, answer in found:
        for pattern in (*wordings.learned, *wordings.held_out):
            # One with choices stands for many sentences; some of these may be another's.
            if not re.search(r"[{\[<]", pattern):
                answers.setdefault(pattern.lower(), set()).add(answer)
    assert len(answers) > 90_000
    assert not {said: each for said, each in answers.items() if len(each) > 1}


def test_sentences_of_the_examination_are_not_learned() -> None:
    learned = {
        exchange.question.lower().strip(" ?!.")
        for dialogue in islice(dialogues(20), 30_000)
        for exchange in dialogue.exchanges
    }
    for part in ("intents", "beyond"):
        asked = [each for each in exam(77, 400) if each.part == part]
        seen = [
            each.exchanges[-1].question
            for each in asked
            if each.exchanges[-1].question.lower().strip(" ?!.") in learned
        ]
        # Two patterns may stand for one sentence ("list models"); more than a few would be a leak.
        assert len(seen) <= 0.01 * len(asked), seen


def test_sums_of_the_examination_are_not_learned() -> None:
    rng = random.Random(2)
    learned = {sums.draw(rng, exam=False)[1] for _ in range(3000)}
    asked = {sums.draw(rng, exam=True)[1] for _ in range(500)}
    assert not learned & asked


def test_sums_are_right() -> None:
    rng = random.Random(4)
    for _ in range(500):
        question, answer = sums.draw(rng, exam=False)
        left, right = answer.rstrip(".").split(" = ")
        a, b = left.split(" + ")
        assert int(a) + int(b) == int(right)
        assert a in question
        assert b in question


def test_every_row_of_the_table_has_questions() -> None:
    found = exam(1, 40)
    assert {each.part for each in found} == set(PARTS)
    memory = [each for each in found if each.part == "memory"]
    assert all(3 <= len(each.exchanges) <= 6 for each in memory)


def test_patterns_expand_to_every_choice() -> None:
    rng = random.Random(0)
    found = {expand("{get|pull} [a|the] {small {red|blue}|big} model", rng) for _ in range(400)}
    assert "get model" not in found
    assert {"get small red model", "pull a big model", "get the small blue model"} <= found
    assert len(found) == 2 * 3 * 3


def test_short_lists_of_patterns_are_not_split() -> None:
    few = Wordings("key", ["a", "b", "c"])
    assert not few.held_out
    assert few.draw(random.Random(1), exam=True) in few.learned


def test_slips_spare_what_must_stay() -> None:
    rng = random.Random(6)
    for _ in range(500):
        assert "smollm2:Q8_0" in type_like_a_person("pull smollm2:Q8_0", rng, exact="smollm2:Q8_0")


def test_names_are_written_as_people_write_them() -> None:
    said = write_names("does my gpu run ai/gemma3 from docker hub, or lm studio?")
    assert said == "does my GPU run ai/gemma3 from Docker Hub, or LM Studio?"
    assert write_names("pull qwen on linux", exact="qwen") == "pull qwen on Linux"


def test_fixed_answers_hold_nothing_of_the_question() -> None:
    assert len(fixed_answers()) > 150
    asked = [intent for intent in intents() if intent.answer in fixed_answers()]
    rng = random.Random(3)
    assert all(intent.draw(rng, exam=False)[1] == intent.answer for intent in asked)
    assert sorted(fixed_answers().values()) == list(range(len(fixed_answers())))
