"""Examine a GGUF on questions whose wordings it has not learned, through `dmr`'s own engine.

    python -m guide.evaluate [FILE] [--count 400] [--show 50]

An answer counts when it is the expected one to the letter.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tempfile
import time
from collections import Counter
from contextlib import aclosing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from dmr_tui.engine.files import ModelFiles
from dmr_tui.engine.manager import EngineManager
from dmr_tui.engine.profile import Profile
from dmr_tui.engine.request import ChatRequest, Delta, Finished, Limits, Message, Sampling
from dmr_tui.settings import load_settings
from guide.corpus import PARTS, dialogues, exam
from guide.dialogue import Dialogue

SEED = 77
COUNT = 400
REQUIRED = {
    "intents": 0.95,
    "others": 0.95,
    "beyond": 0.90,
    "memory": 0.90,
    "tasks": 0.90,
    "rest": 0.90,
}
REQUIRED_CLEAN = 0.995
SHIPPED = Path(__file__).parents[2] / "dmr_tui" / "guide" / "guide.gguf"
_LIKELIEST = Sampling(temperature=0.0)
_AT_ONCE = 8
_MOST_TOKENS = 160
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class Result:
    """A question and what the model made of it."""

    dialogue: Dialogue
    answer: str
    ended: bool

    @property
    def right(self) -> bool:
        """Whether it is the expected answer."""
        return self.answer == self.dialogue.answer


async def ask_all(
    gguf: Path, questions: list[Dialogue], sampling: Sampling = _LIKELIEST
) -> list[Result]:
    """Ask every question, at temperature 0 if nothing else is said."""
    with tempfile.TemporaryDirectory(prefix="dmr-guide-") as logs:
        manager = EngineManager(settings=load_settings(), logs=Path(logs))
        model = ModelFiles("guide", "guide", gguf)
        free = asyncio.Semaphore(_AT_ONCE)

        async def ask(dialogue: Dialogue) -> Result:
            request = ChatRequest(
                [Message(role, text) for role, text in dialogue.messages],
                sampling,
                Limits(max_tokens=_MOST_TOKENS),
            )
            text, ended = "", False
            async with free, aclosing(manager.generate(model, request, Profile())) as events:
                async for event in events:
                    if isinstance(event, Delta):
                        text += event.text
                    elif isinstance(event, Finished):
                        ended = event.reason == "stop"
            return Result(dialogue, text, ended)

        try:
            return await asyncio.gather(*map(ask, questions))
        finally:
            await manager.close()


def known_words() -> set[str]:
    """The words of the answers that were learned, less those that occur only once."""
    seen: Counter[str] = Counter()
    for dialogue in islice(dialogues(SEED), 12_000):
        for exchange in dialogue.exchanges:
            seen.update(_WORD.findall(exchange.answer))
    return {word for word, times in seen.items() if times > 1}


def is_clean(result: Result, words: set[str]) -> bool:
    """Whether an answer ended by itself and holds no broken words.

    Words may be those of other answers and of the conversation itself. Tasks on words are about
    letters: there, and in a wrong sum, only broken characters count.
    """
    if not result.ended or "\ufffd" in result.answer or not result.answer.strip():
        return False
    if result.dialogue.part == "tasks":
        return True
    said = {word for _, text in result.dialogue.messages for word in _WORD.findall(text)}
    said |= {word.capitalize() for word in said}
    return all(word in words or word in said for word in _WORD.findall(result.answer))


def table(results: list[Result]) -> tuple[str, bool]:
    """The table for people, and whether every row is as good as it must be."""
    lines = [f"{'part':<46}{'right':>12}{'share':>9}{'at least':>10}"]
    good = True
    for part, title in PARTS.items():
        rows = [result for result in results if result.dialogue.part == part]
        required = REQUIRED.get(part, 0.0)
        lines.append(_row(title, sum(row.right for row in rows), len(rows), required))
        good &= sum(row.right for row in rows) >= required * len(rows)
    words = known_words()
    clean = sum(is_clean(result, words) for result in results)
    lines.append(_row("ends by itself, no broken words", clean, len(results), REQUIRED_CLEAN))
    return "\n".join(lines), good and clean >= REQUIRED_CLEAN * len(results)


def _row(title: str, right: int, count: int, required: float) -> str:
    return f"{title:<46}{f'{right}/{count}':>12}{right / count:>9.1%}{required:>10.1%}"


def show(results: list[Result], count: int) -> None:
    """Print answers for reading: the wrong ones, then the first of the right ones."""
    for result in sorted(results, key=lambda each: each.right)[:count]:
        print(f"\n[{result.dialogue.part}] {'right' if result.right else 'WRONG'}")
        for role, text in result.dialogue.messages[-5:]:
            print(f"  {role}: {text}")
        print(f"  -> {result.answer}")
        if not result.right:
            print(f"  expected: {result.dialogue.answer}")


def main() -> int:
    """Examine, print the table, and say by the exit code whether all is as it must be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("gguf", type=Path, nargs="?", default=SHIPPED)
    parser.add_argument("--count", type=int, default=COUNT, help="questions a row")
    parser.add_argument("--show", type=int, default=0, help="answers to print, wrong ones first")
    asked = parser.parse_args()
    began = time.monotonic()
    results = asyncio.run(ask_all(asked.gguf, exam(SEED, asked.count)))
    show(results, asked.show)
    text, good = table(results)
    print(f"{text}\n{len(results)} questions in {time.monotonic() - began:.0f} s")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
