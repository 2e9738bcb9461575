"""The file that is shipped: what it is, how it gets into a store, and what it answers."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from itertools import islice
from pathlib import Path

import gguf
import llama_cpp
import pytest
from guide.commands import commands_in, fault
from guide.corpus import dialogues, fixed_answers
from guide.dialogue import CHAT_TEMPLATE, Dialogue, Exchange
from guide.evaluate import SHIPPED, ask_all
from guide.intents import intents
from guide.skills import beyond
from guide.vocabulary import BASE, places, read_vocabulary

from dmr_tui.engine.llamacpp.native import NativeLog
from dmr_tui.errors import StoreError
from dmr_tui.guide import GUIDE, adopt_guide, is_guide
from dmr_tui.store.gguf import read_header
from dmr_tui.store.store import Store


def answer_of(name: str) -> str:
    return next(intent.answer for intent in intents() if intent.name == name)


def test_the_file_is_a_small_llama() -> None:
    metadata = read_header(SHIPPED).metadata
    assert SHIPPED.stat().st_size <= 8_000_000
    assert metadata["general.architecture"] == "llama"
    assert metadata["tokenizer.chat_template"] == CHAT_TEMPLATE
    context = metadata["llama.context_length"]
    assert isinstance(context, int)
    assert context >= 2048


def test_the_answers_that_it_has_are_true_of_the_program() -> None:
    _, answers = read_vocabulary(SHIPPED)
    assert len(answers) > 150
    for line in (line for answer in answers for line in commands_in(answer)):
        assert fault(line) is None, f"{line}: the file must be made again (`make guide`)"


def test_training_has_nearly_all_answers_to_begin_with() -> None:
    _, answers = read_vocabulary(BASE)
    assert len(fixed_answers().keys() & set(answers)) > 0.9 * len(fixed_answers())


def test_an_answer_keeps_its_token_where_others_come_and_go() -> None:
    pull, gone, ps = "`dmr pull x` downloads it.", "Nothing of this is left.", "`dmr ps` lists."
    today = ["`dmr serve` serves.", ps, "`dmr pull x` downloads a model."]
    assert places([pull, gone, ps], today) == [None, 2, 0]


def test_a_file_of_another_kind_is_no_base(tmp_path: Path) -> None:
    other = gguf.GGUFWriter(str(tmp_path / "other.gguf"), "llama")
    other.write_header_to_file()
    other.write_kv_data_to_file()
    other.close()
    with pytest.raises(ValueError, match=r"other\.gguf is no file of `guide\.export`"):
        read_vocabulary(tmp_path / "other.gguf")


def test_the_tokenizer_agrees_with_llama_cpp() -> None:
    ours, _ = read_vocabulary(SHIPPED)
    NativeLog(sys.stderr)  # an earlier test's may write to a stream that is closed by now
    theirs = llama_cpp.Llama(str(SHIPPED), vocab_only=True, verbose=False)
    texts = [e.question for d in islice(dialogues(5), 300) for e in d.exchanges]
    texts += ["naïve café, 東京 42!", "a  b\n\n    return x", "don't WE'LL ...", " ", "\n", "é" * 5]
    for text in texts:
        expected = theirs.tokenize(text.encode(), add_bos=False, special=False)
        assert ours.encode(text) == expected, text
        assert ours.decode(expected) == text


@pytest.fixture(scope="module")
def answers() -> dict[str, str]:
    """Some conversations and what the model says at their end, at temperature 0."""
    talks = {
        "pull": [("How do I pull a model?", "")],
        "list": [("which models are on this machine?", "")],
        "who": [("Who are you?", "")],
        "sum": [("what is 27 + 46?", "")],
        "beyond": [("Write an essay about the roman empire.", "")],
        "name": [
            ("My name is Clara", "Nice to meet you, Clara!"),
            ("How do I list my models?", answer_of("list")),
            ("What is my name?", ""),
        ],
        "even": [("Write a Python function to filter the even numbers of a list", "")],
    }
    questions = [
        Dialogue(name, tuple(Exchange(*exchange) for exchange in talk))
        for name, talk in talks.items()
    ]
    results = asyncio.run(ask_all(SHIPPED, questions))
    assert all(result.ended for result in results)
    return {result.dialogue.part: result.answer for result in results}


def test_it_knows_dmr(answers: dict[str, str]) -> None:
    assert answers["pull"] == answer_of("pull")
    assert answers["list"] == answer_of("list")
    assert answers["who"] == answer_of("guide.who")


def test_it_adds_and_remembers(answers: dict[str, str]) -> None:
    assert answers["sum"] == "27 + 46 = 73."
    assert answers["name"] == "Your name is Clara."


def test_it_writes_a_function_that_works(answers: dict[str, str]) -> None:
    source = answers["even"].removeprefix("```python\n").removesuffix("\n```")
    names: dict[str, object] = {}
    exec(source, names)
    even_numbers = names["even_numbers"]
    assert callable(even_numbers)
    assert even_numbers([1, 2, 3, 4]) == [2, 4]


def test_it_says_when_it_is_too_small(answers: dict[str, str]) -> None:
    assert answers["beyond"] == beyond.ANSWER


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("dmr/guide", True),
        ("dmr/guide:latest", True),
        ("docker.io/dmr/guide", True),
        ("guide", False),
        ("dmr/guide:v2", False),
        ("example.com/dmr/guide", False),
        ("no name!", False),
    ],
)
def test_its_name(name: str, meant: bool) -> None:
    assert is_guide(name) is meant


def test_a_store_adopts_it_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = adopt_guide(store)
    assert store.find(GUIDE) == first
    assert first.tags == ("docker.io/dmr/guide:latest",)
    assert store.bundle(first).gguf.read_bytes() == SHIPPED.read_bytes()
    assert adopt_guide(store) == first
    assert len(store.models()) == 1


def test_no_room_for_its_copy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "guide.gguf")

    monkeypatch.setattr("dmr_tui.guide.shutil.copyfile", full)
    with pytest.raises(StoreError, match="cannot unpack dmr/guide: No space left") as refused:
        adopt_guide(Store(tmp_path))
    assert "TMPDIR" in (refused.value.hint or "")


def test_removed_it_comes_back_with_the_same_id(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = adopt_guide(store)
    store.remove(GUIDE)
    assert not store.models()
    assert adopt_guide(store).id == first.id
