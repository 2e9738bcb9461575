"""What the guide says about `dmr` is true of `dmr`."""

from __future__ import annotations

import random
import re

import pytest
from guide.commands import commands_in, fault
from guide.intents import Intent, intents, key_name
from guide.skills import beyond, code, facts, objects, stories, sums, words

from dmr_tui.actions import ACTIONS
from dmr_tui.chat import commands as slash

ANSWERS = {
    intent.name: intent.answer.replace("<model>", "smollm2").replace("<command>", "pull")
    for intent in intents()
}
ANSWERS |= {
    "beyond": beyond.ANSWER,
    "code": code.CANNOT,
    "sums": sums.CANNOT,
    "words": words.CANNOT,
    "capital": facts.UNKNOWN_CAPITAL,
    "json": objects.ANY,
    "story": stories.ANY,
}


def test_there_are_intents_enough() -> None:
    assert len({intent.name for intent in intents()}) == len(intents()) >= 100


@pytest.mark.parametrize("name", ANSWERS)
def test_every_command_in_an_answer_exists(name: str) -> None:
    for line in commands_in(ANSWERS[name]):
        assert fault(line) is None, line


def test_most_answers_about_models_name_a_command() -> None:
    found = [line for answer in ANSWERS.values() for line in commands_in(answer)]
    assert len(found) > 100
    assert {line.split()[1] for line in found if " " in line} >= {"pull", "run", "list", "serve"}


@pytest.mark.parametrize(
    "line",
    [
        "dmr frobnicate",
        "dmr pull",
        "dmr pull one two",
        "dmr list --everything",
        "dmr run --max-tokens many smollm2",
        "dmr --bogus",
        "dmr tag smollm2",
    ],
)
def test_a_command_that_does_not_exist_is_found_out(line: str) -> None:
    # `dmr pull` alone names the command in running text; with an option it must be whole.
    if line == "dmr pull":
        assert fault(line) is None
        line = "dmr pull --"
    assert fault(line) is not None


def test_commands_are_found_in_pipes_and_behind_variables() -> None:
    text = "`DMR_THREADS=4 dmr ps`, `dmr list -q | xargs dmr rm -f`, `git diff | dmr run m Hi` `x`"
    assert commands_in(text) == [
        "dmr ps",
        "dmr list -q",
        "dmr rm -f NAME",
        "dmr run m Hi",
    ]


def test_every_slash_command_in_an_answer_exists() -> None:
    names = {name for each in slash.COMMANDS for name in (each.name, *each.aliases)}
    for name, answer in ANSWERS.items():
        for quoted in re.findall(r"`(/[^`]+)`", answer):
            known = quoted.split()[0] in names or quoted.startswith(("/engines", "/v1"))
            assert known, f"{name}: {quoted}"


def test_keys_in_answers_are_those_of_the_screens() -> None:
    shown = {key_name(key) for action in ACTIONS for key in action.keys}
    for name, answer in ANSWERS.items():
        if name.startswith("key."):
            assert set(re.findall(r"Press `([^`]+)`", answer)) <= shown, answer


def test_nothing_is_left_to_fill_in() -> None:
    for name, answer in ANSWERS.items():
        assert not re.search(r"\{\w+:|<(store|config|logs)>", answer), name


@pytest.mark.parametrize("exam", [False, True])
def test_questions_are_filled_in(exam: bool) -> None:
    rng = random.Random(5)
    for intent in intents():
        for _ in range(10):
            question, answer = intent.draw(rng, exam=exam)
            assert question.strip()
            assert answer.strip()
            assert not re.search(r"[{}\[\]\0]|<\w+>", question), (intent.name, question)


def test_a_named_model_is_in_the_answer() -> None:
    named = next(intent for intent in intents() if intent.name == "pull.named")
    question, answer = named.draw(random.Random(3), exam=False)
    name = re.search(r"dmr pull (\S+)`", answer)
    assert name
    assert name[1] in question


def test_an_intent_without_its_command_is_left_out() -> None:
    from guide.intents import _parse

    text = "## gone\nUse `dmr teleport x`.\n? beam me up\n## kept\nUse `dmr ps`.\n? what runs\n"
    assert [intent.name for intent in _parse(text)] == ["kept"]
    text = (
        "## no\n@when dmr_tui.no_such_room\nA\n? q\n## yes\n@unless dmr_tui.no_such_room\nB\n? q\n"
    )
    found = _parse(text)
    assert [(intent.name, intent.answer) for intent in found] == [("yes", "B")]
    assert all(isinstance(intent, Intent) for intent in found)


def test_an_intent_has_the_answer_of_another() -> None:
    from guide.intents import _parse

    first = "## rm\nUse `dmr rm x`.\nIt asks first.\n+ delete x\n"
    other = "# A remark.\n\n## rm.all\n@as rm\n+ delete all\n"
    _, found = _parse(first, other)
    assert (found.name, found.answer) == ("rm.all", "Use `dmr rm x`.\nIt asks first.")
    assert list(found.acts.learned) == ["delete all"]
