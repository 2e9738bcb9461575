"""What the guide knows about `dmr`: one answer for each intent, and many ways to ask for it.

The texts lie beside this file. An intent is

    ## name
    @when some.module      only where the program has that module (`@unless`: has not)
    The answer, on one line or more; `@as other` where that of another intent tells this as well.
    ? a question
    * a question that is learned from in any case
    + something a person wants to do, as it follows "how do I …"

with the patterns of `guide.phrasing`. `<model>` and `<size>` stand for what the question names;
`{key:ID}` and `{setting:NAME}` in an answer, and the folders `<store>`, `<config>` and `<logs>`,
are filled in from the program. An intent whose answer names a command or a key that the program
does not have is left out, so texts may run ahead of it.
"""

from __future__ import annotations

import importlib.util
import random
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from dmr_tui.actions import ACTIONS
from dmr_tui.chat.commands import COMMANDS
from dmr_tui.paths import Paths
from dmr_tui.settings import Settings
from guide import commands
from guide.phrasing import HOW_TO, Wordings, read_sections, say_otherwise, type_like_a_person
from guide.pools import MODEL_NAMES, model_name

_PATHS = Paths(Path("~/.local/share/dmr"), Path("~/.config/dmr"), Path("~/.local/state/dmr"))
_SHOUTED = 0.1
"""Capitals are cut into other tokens: three times as many as people write, to know them at all."""
_TRIES = 50
"""So many times a question is drawn that the other list of its intent does not teach."""
_SIZES = (1, 2, 3, 4, 7, 8, 9, 12, 13, 14, 20, 24, 27, 30, 32, 34, 70, 72)
_ASKS_FOR_A_COMMAND = dict(read_sections((Path(__file__).parents[1] / "help.txt").read_text()))
_COMMANDS = tuple(summary.name for summary in commands.summaries())
_MARKS = ("? ", "* ", "+ ")
_KEY_NAMES = {
    "question_mark": "?", "slash": "/", "escape": "Esc", "enter": "Enter", "minus": "-",
    "space": "Space", "tab": "Tab", "up": "Up", "down": "Down",
}  # fmt: skip


@dataclass(frozen=True)
class Intent:
    """Something a person may want to know.

    Attributes:
        name: unique, `pull.named`.
        answer: with `<slots>`, everything else filled in.
        asks: full questions.
        acts: what follows "how do I …".
        free: whether words of like meaning may be said; not where a word is a command's name.
    """

    name: str
    answer: str
    asks: Wordings
    acts: Wordings
    free: bool = True

    def draw(self, rng: random.Random, *, exam: bool, plain: bool = False) -> tuple[str, str]:
        """A question and its answer; a `plain` one keeps its words."""
        question = self._ask(rng, exam=exam)
        for _ in range(_TRIES if exam else 0):
            if not (self.asks.teaches(question) or self.acts.teaches(question)):
                break
            question = self._ask(rng, exam=exam)
        question, answer, exact = self._fill(question, rng)
        if exam:
            return type_like_a_person(question, rng, exact=exact), answer
        if self.free and not plain:
            question = say_otherwise(question, rng, exact=exact)
        return type_like_a_person(question, rng, exact=exact, shouted=_SHOUTED), answer

    def _ask(self, rng: random.Random, *, exam: bool) -> str:
        acts, asks = (
            len(each.examined if exam else each.learned) for each in (self.acts, self.asks)
        )
        if rng.random() * (acts + asks) < acts:
            act = self.acts.draw(rng, exam=exam)
            frame = HOW_TO.draw(rng, exam=exam and rng.random() < 0.5)
            return frame.replace("<act>", act)
        return self.asks.draw(rng, exam=exam)

    def _fill(self, question: str, rng: random.Random) -> tuple[str, str, str]:
        """The question and the answer with a value in their slots, and what must stay of it."""
        if "<model>" in question:
            value = rng.choice(MODEL_NAMES) if rng.random() < 0.5 else model_name(rng)
        elif "<size>" in question:
            value = str(rng.choice(_SIZES))
        elif "<command>" in question:
            value = rng.choice(_COMMANDS)
        else:
            return question, self.answer, ""
        exact = f"{value}b" if "<size>" in question else value
        return with_value(question, value), with_value(self.answer, value), exact


def with_value(text: str, value: str) -> str:
    """A text with its slot filled, if it has one: a model, a size in billions, a command."""
    if "<need>" in text:
        text = text.replace("<need>", str(memory_need(int(value))))
    for slot in ("<model>", "<size>", "<command>"):
        text = text.replace(slot, value)
    return text


def memory_need(billions: int) -> int:
    """Whole GB that a model of so many parameters takes at about 4.8 bits, its context included."""
    return round(billions * 0.6 + 1)


@cache
def intents() -> tuple[Intent, ...]:
    """All intents that are true of the program as it is."""
    folder = Path(__file__).parent
    written = _parse(*(file.read_text() for file in sorted(folder.glob("*.txt"))))
    return (*written, *_from_help(), *_from_chat(written))


def _parse(*texts: str) -> list[Intent]:
    sections = {name: lines for text in texts for name, lines in read_sections(text)}
    found = [_intent(name, sections) for name in sections]
    return [intent for intent in found if intent]


def _intent(name: str, sections: dict[str, list[str]]) -> Intent | None:
    lines = sections[name]
    told = lines
    for line in lines:
        if line.startswith("@as "):
            told = sections[line.removeprefix("@as ")]
        elif line.startswith("@") and not _holds(line):
            return None
    answer = "\n".join(line for line in told if line[0] != "@" and line[:2] not in _MARKS)
    filled = _fill_in(answer)
    if filled is None or not commands.exists(filled.replace("<model>", "smollm2")):
        return None
    asks = [line.removeprefix("? ") for line in lines if line[:2] in ("? ", "* ")]
    acts = [line[2:] for line in lines if line.startswith("+ ")]
    return Intent(name, filled, Wordings(name, asks), Wordings(name, acts))


def _holds(condition: str) -> bool:
    word, module = condition.split()
    return (importlib.util.find_spec(module) is not None) is (word == "@when")


def _fill_in(answer: str) -> str | None:
    """The answer with keys, settings and folders in it; None when a key is gone."""
    keys = {action.id: action.keys for action in ACTIONS}
    for action in re.findall(r"\{key:([\w.]+)\}", answer):
        if not keys.get(action):
            return None
        answer = answer.replace(f"{{key:{action}}}", key_name(keys[action][0]))
    answer = re.sub(r"\{setting:(\w+)\}", lambda match: str(getattr(Settings(), match[1])), answer)
    for folder, path in (
        ("<store>", _PATHS.data / "models"),
        ("<config>", _PATHS.config_file),
        ("<logs>", _PATHS.logs),
    ):
        answer = answer.replace(folder, str(path))
    return answer


def key_name(key: str) -> str:
    """A key of Textual as people write it: `Ctrl-P`."""
    *modifiers, base = key.split("+")
    shown = _KEY_NAMES.get(base, base.upper() if modifiers else base)
    return "-".join([*(modifier.capitalize() for modifier in modifiers), shown])


def _from_help() -> list[Intent]:
    """What `dmr COMMAND` does, in the words of its own help, and where its options are told."""
    found = []
    for command in commands.summaries():
        answer = command.help + (f" For example: `{command.example}`" if command.example else "")
        found.append(_named(f"help.{command.name}", answer, "command", command.name))
    options = "`dmr <command> --help` lists its options, with examples."
    return [*found, _named("flags", options, "flags", "<command>")]


def _from_chat(written: list[Intent]) -> list[Intent]:
    """What the slash commands do that no written answer names, in the words of the chat's help."""
    told = {name for intent in written for name in re.findall(r"`(/[a-z?]+)", intent.answer)}
    return [
        _named(
            f"slash.{command.name.strip('/')}",
            f"`{' '.join(filter(None, (command.name, command.arguments)))}`: {command.summary}.",
            "slash",
            command.name,
        )
        for command in COMMANDS
        if command.name not in told
    ]


def _named(name: str, answer: str, section: str, command: str) -> Intent:
    """An intent about one command, asked for in the words that serve for all of them."""
    asks = [pattern.replace("NAME", command) for pattern in _ASKS_FOR_A_COMMAND[section]]
    return Intent(name, answer, Wordings(name, asks), Wordings("", []), free=False)


__all__ = ["Intent", "intents", "key_name", "memory_need", "with_value"]
