"""JSON with the bytes that Go's `encoding/json` writes, which is what ids and files are made of.

Differences from plain compact JSON: `<`, `>`, `&`, U+2028 and U+2029 are escaped inside strings
(https://pkg.go.dev/encoding/json#Marshal), and maps are sorted by key.
"""

from __future__ import annotations

from typing import Any

import msgspec

_ESCAPES = (
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    (b"&", b"\\u0026"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)


def encode(value: Any, *, indent: int = 0, sort_keys: bool = True) -> bytes:
    """Write a value as Go's `Marshal`, or with `indent` blanks as its `MarshalIndent`, would.

    Structs keep the order of their fields. Dicts are maps, sorted by key, unless `sort_keys` is
    off: then they stand for Go structs and keep their order. There is no final newline.
    """
    data = msgspec.json.encode(value, order="deterministic" if sort_keys else None)
    if indent:
        data = msgspec.json.format(data, indent=indent)
    # These characters occur in JSON only inside strings.
    for character, escape in _ESCAPES:
        data = data.replace(character, escape)
    return data
