"""What a grammar lets through satisfies its schema: llama.cpp writes, jsonschema judges."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from dmr_tui.engine.text.grammar.compile import satisfying, write
from dmr_tui.engine.text.grammar.gbnf import Grammar
from dmr_tui.errors import InvalidRequestError
from tests.support.writer import RandomWriter

Schema = dict[str, Any]

names = st.sampled_from(["a", "ab", "name", "größe", 'q"uote', "x y"])
scalars = st.none() | st.booleans() | st.integers(-5, 2000) | st.text('ab"\\\né€😀', max_size=4)


@st.composite
def strings(draw: st.DrawFn) -> Schema:
    least = draw(st.integers(0, 3))
    length = {"minLength": least, "maxLength": least + draw(st.integers(0, 4))}
    patterns = [
        "^a+$",
        "b",
        "^(x|yz){1,3}$",
        r"^\d{2}-[^\s]\w?$",
        r"^[^a-c\"]{0,3}[\\\]-]$",
        r"\S\D$",
    ]
    kinds = [
        {**length},
        {"pattern": draw(st.sampled_from(patterns))},
        {"format": draw(st.sampled_from(["date", "time", "date-time", "uuid", "ipv4", "email"]))},
        {"pattern": "^[a-z]*$", **length},
    ]
    return {"type": "string", **draw(st.sampled_from(kinds))}


@st.composite
def numbers(draw: st.DrawFn) -> Schema:
    whole = draw(st.booleans())
    kind = st.integers(-10000, 10000) if whole else st.decimals(-300, 300, places=2).map(float)
    bounds = sorted([draw(kind), draw(kind)])
    low = draw(st.sampled_from(["minimum", "exclusiveMinimum"]))
    high = draw(st.sampled_from(["maximum", "exclusiveMaximum"]))
    chosen = draw(
        st.sampled_from(
            [{low: bounds[0]}, {high: bounds[1]}, {low: bounds[0], high: bounds[1]}, {}]
        )
    )
    # Of decimal steps jsonschema judges by the remainder of floats.
    step = draw(st.sampled_from([{}, {"multipleOf": draw(st.integers(1, 40))}]))
    return {"type": "integer" if whole else "number", **chosen, **step}


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Schema]:
    @st.composite
    def build(draw: st.DrawFn) -> Schema:
        properties = draw(st.dictionaries(names, inner, max_size=3))
        made: Schema = {"type": "object", "properties": properties}
        made["required"] = draw(st.lists(names, max_size=2, unique=True))
        more = draw(st.sampled_from([None, True, False, {"type": "boolean"}]))
        return made if more is None else {**made, "additionalProperties": more}

    return build()


def arrays(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Schema]:
    @st.composite
    def build(draw: st.DrawFn) -> Schema:
        least = draw(st.integers(0, 2))
        made: Schema = {
            "type": "array",
            "minItems": least,
            "maxItems": least + draw(st.integers(0, 2)),
        }
        if draw(st.booleans()):
            made["prefixItems"] = draw(st.lists(inner, min_size=1, max_size=2))
        return {**made, "items": draw(inner)} if draw(st.booleans()) else made

    return build()


def branches(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Schema]:
    several = st.lists(inner, min_size=1, max_size=3)
    return (
        several.map(lambda found: {"anyOf": found})
        | several.map(lambda found: {"oneOf": found})
        | st.tuples(inner, inner).map(lambda found: {"allOf": list(found)})
    )


leaves = (
    strings()
    | numbers()
    | st.lists(scalars, min_size=1, max_size=3).map(lambda values: {"enum": values})
    | scalars.map(lambda value: {"const": value})
    | st.lists(st.sampled_from(["null", "boolean", "string"]), min_size=1, unique=True).map(
        lambda kinds: {"type": kinds}
    )
    | st.booleans()
)
schemas = st.recursive(
    leaves, lambda inner: objects(inner) | arrays(inner) | branches(inner), max_leaves=6
)


@pytest.fixture(scope="module")
def writer(tiny_gguf: Path) -> RandomWriter:
    return RandomWriter(tiny_gguf)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(schema=schemas, seed=st.integers(0, 2**32))
def test_random_answers_satisfy_random_schemas(
    writer: RandomWriter, schema: Any, seed: int
) -> None:
    grammar = Grammar()
    try:
        text = write(grammar, satisfying(schema, grammar, param="p"), param="p")
    except InvalidRequestError:
        return
    answer = writer.write(text, seed)
    if answer is not None:
        Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(
            json.loads(answer)
        )
