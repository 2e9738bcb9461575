from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from dmr_tui.store import gojson

# Written out by the rules of Go's encoding/json: Marshal of a map, MarshalIndent of a struct.
VALUE = {"b": ['<a href="x">', "R&D\u2028"], "a": {"é": None, "empty": []}}
COMPACT = '{"a":{"empty":[],"é":null},"b":["\\u003ca href=\\"x\\"\\u003e","R\\u0026D\\u2028"]}'
INDENTED = """{
  "b": [
    "\\u003ca href=\\"x\\"\\u003e",
    "R\\u0026D\\u2028"
  ],
  "a": {
    "é": null,
    "empty": []
  }
}"""


def test_maps_are_sorted_and_markup_is_escaped() -> None:
    assert gojson.encode(VALUE) == COMPACT.encode()


def test_structs_keep_their_order() -> None:
    assert gojson.encode(VALUE, indent=2, sort_keys=False) == INDENTED.encode()


@given(st.dictionaries(st.text(), st.text() | st.lists(st.integers(-(2**53), 2**53))))
def test_what_is_written_reads_as_it_was(value: dict[str, object]) -> None:
    for indent in (0, 2):
        written = gojson.encode(value, indent=indent)
        assert json.loads(written) == value
        assert not set(b"<>&") & set(written)
