"""What is shown of an answer does not depend on how its bytes are cut."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from dmr_tui.engine.request import Delta
from dmr_tui.engine.text.answer import AnswerText
from dmr_tui.engine.text.stream import TextStream
from dmr_tui.engine.text.tools.harmony import HarmonyParser


def stream(parts: Sequence[bytes], stops: Sequence[str] = ()) -> tuple[list[str], bool]:
    """Every text that comes out, and whether a stop string ended it."""
    out = TextStream(stops)
    texts = [out.feed(part) for part in parts]
    return [*texts, out.finish()], out.stopped


def cuts(data: bytes) -> list[list[bytes]]:
    """The data whole, byte by byte, and cut once at every place."""
    single = [data[at : at + 1] for at in range(len(data))]
    return [[data], single, *([data[:at], data[at:]] for at in range(1, len(data)))]


def expected(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    """One character after the other: the first stop that is complete ends the text."""
    for end in range(1, len(text) + 1):
        met = [stop for stop in stops if text[:end].endswith(stop)]
        if met:
            return text[: end - max(map(len, met))], True
    return text, False


def test_a_character_is_never_split() -> None:
    for parts in cuts("aé€🙂z".encode()):
        texts, _ = stream(parts)
        assert "".join(texts) == "aé€🙂z"
        assert not any("�" in text for text in texts)


def test_text_comes_at_once_when_nothing_can_change_it() -> None:
    out = TextStream(["END"])
    assert out.feed(b"hello") == "hello"
    assert out.feed(b" the E") == " the "
    assert out.feed(b"N") == ""
    assert out.feed(b"d") == "ENd"


def test_a_broken_character_shows_as_a_replacement() -> None:
    assert stream([b"a\xff", b"b"]) == (["a�", "b", ""], False)
    assert stream([b"a\xf0\x9f"]) == (["a", "�"], False)


def test_a_stop_string_and_what_follows_are_not_shown() -> None:
    for parts in cuts(b"one two three"):
        texts, stopped = stream(parts, ["two"])
        assert ("".join(texts), stopped) == ("one ", True)


def test_the_stop_that_is_complete_first_counts() -> None:
    for parts in cuts(b"xaby"):
        assert "".join(stream(parts, ["xaby", "ab"])[0]) == "x"
        assert "".join(stream(parts, ["ab", "xab"])[0]) == ""


def test_what_looked_like_a_stop_is_shown_at_the_end() -> None:
    assert stream([b"done EN"], ["END"]) == (["done ", "EN"], False)


def test_a_stop_string_may_hold_any_character() -> None:
    for parts in cuts("sag €uro nicht".encode()):
        assert "".join(stream(parts, ["€u"])[0]) == "sag "


alphabet = st.text(alphabet="ab€", max_size=30)


def test_marks_and_headers_hold_no_stop_string() -> None:
    tokens = ["<|channel|>", "final", "<|message|>", "The", " final", " score"]
    answer = AnswerText(HarmonyParser(frozenset()), ["chan", "message", "final"])
    events = [
        event
        for token in tokens
        for event in answer.feed(token.encode(), mark=token.startswith("<|"))
    ]
    assert "".join(event.text for event in events if isinstance(event, Delta)) == "The "
    assert answer.stopped


def test_what_may_become_a_stop_string_does_not_get_lost_before_a_mark() -> None:
    stream = TextStream(["abc"])
    assert stream.feed(b"xab") == "x"
    assert stream.skip(b"<|end|>") == "ab<|end|>"
    assert stream.feed(b"c") == "c"


@given(alphabet, st.lists(st.text(alphabet="ab€", min_size=1, max_size=4), max_size=3), st.data())
def test_any_cut_gives_the_same_text(text: str, stops: list[str], data: st.DataObject) -> None:
    raw = text.encode()
    places = data.draw(st.lists(st.integers(0, len(raw)), max_size=6).map(sorted))
    edges = [0, *places, len(raw)]
    parts = [raw[a:b] for a, b in pairwise(edges)]
    texts, stopped = stream(parts, stops)
    assert ("".join(texts), stopped) == expected(text, stops)


@given(st.binary(max_size=40), st.data())
def test_any_bytes_give_what_python_makes_of_them(raw: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(raw)))
    texts, _ = stream([raw[:at], raw[at:]])
    assert "".join(texts) == raw.decode("utf-8", "replace")
