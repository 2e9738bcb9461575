"""What a schema's grammar accepts, what it does not, and which keywords are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from dmr_tui.engine.text.grammar.compile import any_object, check_grammar, satisfying, write
from dmr_tui.engine.text.grammar.gbnf import Grammar, chain
from dmr_tui.engine.text.grammar.until import until
from dmr_tui.errors import InvalidRequestError
from tests.support.writer import RandomWriter


@pytest.fixture(scope="module")
def writer(tiny_gguf: Path) -> RandomWriter:
    return RandomWriter(tiny_gguf)


def compiled(schema: Any) -> str:
    grammar = Grammar()
    return write(grammar, satisfying(schema, grammar, param="p"), param="p")


def judge(schema: Any) -> Any:
    older = isinstance(schema, dict) and isinstance(schema.get("items"), list)
    return (Draft7Validator if older else Draft202012Validator)(schema)


TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
            "required": ["name"],
        }
    },
    "$ref": "#/$defs/node",
}
SHAPES = {
    "oneOf": [
        {
            "type": "object",
            "properties": {"kind": {"const": "circle"}, "radius": {"type": "number"}},
        },
        {"type": "object", "properties": {"kind": {"const": "square"}, "side": {"type": "number"}}},
    ]
}
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["age"],
}
ID = {"type": "integer", "minimum": 3}
BASE = {"type": "object", "properties": {"id": ID}, "required": ["id"]}
INHERITED = {"allOf": [BASE, {"properties": {"id": {"maximum": 5}, "b": {"type": "null"}}}]}

CAT = {"properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}}, "title": "Cat"}
DOG = {"properties": {"kind": {"const": "dog"}}, "title": "Dog", "description": "Barks."}
# As pydantic writes a discriminated union in a field: notes on it, and others on its branches.
UNION = {
    "$defs": {
        name: {**pet, "type": "object", "required": ["kind"]}
        for name, pet in (("Cat", CAT), ("Dog", DOG))
    },
    "title": "Pet",
    "description": "A pet.",
    "discriminator": {"propertyName": "kind"},
    "oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}],
}


@pytest.mark.parametrize(
    ("schema", "accepted", "refused"),
    [
        (True, ["1", '"x"', '{"a": [null]}', "-1.5e3"], ["", "x", "01", "1e999", "{,}"]),
        ({"type": "boolean"}, ["true", "false"], ["null", "True"]),
        (
            PERSON,
            ['{"name": "A", "age": 3}', '{"age":3}', '{\n  "age": 3\n}'],
            [
                '{"name": "A"}',
                '{"age": 3, "name": "A"}',
                '{"age": 3, "x": 1}',
                '{"age": 3.5}',
                "{}",
            ],
        ),
        (
            {**PERSON, "additionalProperties": {"type": "boolean"}},
            ['{"age": 3, "x": true}', '{"name": "A", "age": 3, "nam": true, "names": false}'],
            ['{"age": 3, "x": 1}', '{"age": 3, "name": true}', '{"age": 3, "n\\u0061me": true}'],
        ),
        (
            UNION,
            ['{"kind": "cat", "lives": 9}', '{"kind": "dog"}'],
            ['{"kind": "dog", "lives": 9}'],
        ),
        ({"type": "object"}, ["{}", '{"a": {"b": 1}}'], ["[]", "null"]),
        ({"required": ["x"]}, ['{"x": [1]}'], ["{}"]),
        (
            {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3},
            ["[1]", "[1, 2,3]"],
            ["[]", "[1,2,3,4]", '["a"]', "[1,]"],
        ),
        (
            {"prefixItems": [{"type": "string"}, {"type": "integer"}], "minItems": 1},
            ['["a"]', '["a", 1]'],
            ["[]", "[1]", '["a", 1, 2]'],
        ),
        ({"type": "array", "maxItems": 0}, ["[]"], ["[1]"]),
        (
            {"items": [{"type": "null"}], "additionalItems": {"type": "boolean"}},
            ["[null, true]"],
            ["[true]"],
        ),
        (
            {"type": "string", "minLength": 2, "maxLength": 3},
            ['"ab"', '"a\\n€"'],
            ['"a"', '"abcd"'],
        ),
        (
            {"type": "string", "minLength": 2500, "maxLength": 2501},
            [f'"{"a" * 2501}"'],
            [f'"{"a" * 2499}"'],
        ),
        ({"type": "string", "maxLength": 2100}, ['""', f'"{"a" * 2100}"'], [f'"{"a" * 2101}"']),
        ({"type": "string", "pattern": "^a|b$"}, ['"ax"', '"xb"'], ['"xa"', '"bx"']),
        (
            {"type": "string", "pattern": "^(?:[A-Z]\\d{2,3}|x+?)$"},
            ['"A12"', '"xxx"'],
            ['"A1"', '""'],
        ),
        (
            {"type": "string", "pattern": '^[\\n"\\\\]\\u0041$'},
            ['"\\nA"', '"\\"A"', '"\\\\A"'],
            ['"A"'],
        ),
        ({"type": "string", "pattern": "^\\w+$", "maxLength": 2}, ['"ab"'], ['"abc"', '""', '"é"']),
        (
            {"type": "string", "format": "date"},
            ['"2024-02-29"', '"2023-12-31"'],
            ['"2023-02-29"', '"2023-04-31"'],
        ),
        (
            {"type": "string", "format": "date-time"},
            ['"2024-01-01T23:59:59.5Z"'],
            ['"2024-01-01 10:00:00Z"'],
        ),
        ({"type": "string", "format": "time"}, ['"10:00:00+02:00"'], ['"24:00:00Z"', '"10:00:00"']),
        (
            {"type": "string", "format": "uuid"},
            ['"123e4567-e89b-12d3-a456-426614174000"'],
            ['"123e4567"'],
        ),
        ({"type": "string", "format": "of-my-own"}, ['"x"'], ["1"]),
        (
            {"type": "integer", "minimum": -12, "maximum": 105},
            ["-12", "0", "99", "105"],
            ["-13", "106", "1.0", "-0", "007"],
        ),
        ({"type": "integer", "exclusiveMinimum": 9}, ["10", "123456"], ["9", "-10"]),
        ({"type": "integer", "maximum": 0, "exclusiveMaximum": True}, ["-1"], ["0"]),
        (
            {"type": "number", "minimum": 0.5, "maximum": 2},
            ["0.5", "0.75", "1", "2.00"],
            ["0.49", "2.01", "3", "1e0"],
        ),
        ({"minimum": 1, "type": "number", "multipleOf": 1}, ["1", "20"], ["1.5"]),
        (
            {"type": "integer", "multipleOf": 7},
            ["0", "-7", "343", "7000007"],
            ["1", "-8", "700001"],
        ),
        ({"type": "number", "multipleOf": 0.25}, ["0.25", "-3.5", "7", "1.00"], ["0.1", "0.255"]),
        ({"type": "integer", "multipleOf": 0.5}, ["1", "-2"], ["1.5"]),
        (
            {"type": "integer", "multipleOf": 250, "minimum": -300, "maximum": 1300},
            ["-250", "0", "250", "1250"],
            ["-500", "-0", "00", "100", "1500"],
        ),
        (
            {"type": "number", "multipleOf": 0.05, "exclusiveMinimum": 1, "maximum": 2},
            ["1.05", "1.5", "2", "2.00"],
            ["1", "1.0", "1.06", "2.05"],
        ),
        (
            {"enum": ["a", 1, None, {"b": [True]}]},
            ['"a"', "1", "null", '{"b":[true]}'],
            ['"b"', "true"],
        ),
        ({"enum": ["a", 1, True], "type": "integer"}, ["1"], ['"a"', "true"]),
        ({"enum": [1, 5, 9], "minimum": 4, "maximum": 8}, ["5"], ["1", "9"]),
        ({"const": 'say "x"\\'}, [json.dumps('say "x"\\')], ['"say"']),
        ({"type": ["string", "null"], "maxLength": 1}, ['"a"', "null"], ['"ab"', "1"]),
        (
            TREE,
            ['{"name": "a", "children": [{"name": "b", "children": []}]}'],
            ['{"children": []}'],
        ),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, ["1", "null"], ['"a"']),
        ({"type": "integer", "anyOf": [{"maximum": 3}, {"minimum": 9}]}, ["3", "10"], ["5"]),
        (
            SHAPES,
            ['{"kind": "circle", "radius": 1}', '{"kind": "square"}'],
            ["{}", '{"radius": 1}'],
        ),
        (INHERITED, ['{"id": 4}', '{"id": 3, "b": null}'], ['{"id": 6}', '{"id": 2}', "{}"]),
        (
            {"$ref": "#/$defs/a~1b", "maximum": 2, "$defs": {"a/b": {"type": "integer"}}},
            ["2"],
            ["3", '"a"'],
        ),
        ({"properties": {"a": False, "b": True}}, ['{"b": 1}', "{}"], ['{"a": 1}']),
        (
            {"title": "T", "description": "d", "default": 1, "x-own": 2, "type": "null"},
            ["null"],
            ["1"],
        ),
    ],
)
def test_what_is_accepted(
    writer: RandomWriter, schema: Any, accepted: list[str], refused: list[str]
) -> None:
    grammar = compiled(schema)
    for text in accepted:
        assert writer.accepts(grammar, text), text
        judge(schema).validate(json.loads(text))
    for text in refused:
        assert not writer.accepts(grammar, text), text


WRONG = (
    *("(?=a)", "(?!a)", "(?<!a)b", "\\1", "\\bx", "\\p{L}", "a**", "(a", "a)", "[a", "[z-a]"),
    *("a{2,1}", "a{99999}", "x^", "(a$)", "+", "a{x}", "\\"),
)
"""Patterns that are wrong, or beyond what a grammar can hold."""


@pytest.mark.parametrize(
    ("schema", "keyword", "path"),
    [
        ({"properties": {"a": {"not": {}}}}, "not", "#/properties/a"),
        ({"if": {}, "then": {}}, "if", "#"),
        ({"type": "array", "uniqueItems": True}, "uniqueItems", "#"),
        ({"contains": {}}, "contains", "#"),
        ({"type": "object", "patternProperties": {"a": {}}}, "patternProperties", "#"),
        ({"type": "object", "propertyNames": {"maxLength": 1}}, "propertyNames", "#"),
        ({"type": "object", "minProperties": 1}, "minProperties", "#"),
        ({"type": "object", "maxProperties": 1}, "maxProperties", "#"),
        ({"dependentRequired": {"a": ["b"]}}, "dependentRequired", "#"),
        ({"type": "integer", "multipleOf": 1021}, "multipleOf", "#"),
        ({"type": "number", "multipleOf": 0}, "multipleOf", "#"),
        ({"type": "number", "multipleOf": 1e-40}, "multipleOf", "#"),
        ({"type": "number", "multipleOf": 1e40}, "multipleOf", "#"),
        ({"items": {"type": "wrong"}}, "type", "#/items"),
        ({"type": "string", "minLength": -1}, "minLength", "#"),
        ({"type": "string", "minLength": 99999}, "minLength", "#"),
        ({"minimum": "a"}, "minimum", "#"),
        ({"minimum": 1e30}, "minimum", "#"),
        ({"minimum": 5e-324}, "minimum", "#"),
        ({"minimum": True}, "minimum", "#"),
        ({"properties": []}, "properties", "#"),
        ({"required": [1]}, "required", "#"),
        ({"enum": 1}, "enum", "#"),
        ({"anyOf": []}, "anyOf", "#"),
        ({"anyOf": [1]}, "0", "#/anyOf/0"),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "oneOf", "#"),
        ({"oneOf": [{"properties": {"a": {}}}, {"properties": {"a": {}}}]}, "oneOf", "#"),
        ({"allOf": [{"pattern": "a"}, {"pattern": "b"}]}, "pattern", "#"),
        ({"$ref": "https://example.org/schema"}, "$ref", "#"),
        ({"$ref": "#/$defs/missing"}, "$ref", "#"),
        ({"$ref": "#"}, "$ref", "#"),
        ({"anyOf": [{"$ref": "#"}, {"type": "null"}]}, "$ref", "#"),
        ({"allOf": [{"$ref": "#"}]}, "allOf", "#"),
        *[({"pattern": pattern}, "pattern", "#") for pattern in WRONG],
        ({"pattern": "^(ab)+$", "maxLength": 3}, "pattern", "#"),
        ({"pattern": "a", "format": "date"}, "pattern", "#"),
        ({"format": "date", "maxLength": 3}, "format", "#"),
        ({"enum": ["a"], "pattern": "b"}, "enum", "#"),
    ],
)
def test_what_cannot_be_held_is_named(schema: Any, keyword: str, path: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        compiled(schema)
    assert raised.value.param == "p"
    assert f"keyword {keyword!r} at {path}:" in raised.value.message


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"type": []},
        {"enum": []},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"allOf": [{"type": "string"}, {"type": "null"}]},
        {"type": "integer", "minimum": 5, "maximum": 4},
        {"type": "string", "minLength": 2, "maxLength": 1},
        {"type": "array", "items": False, "minItems": 1},
    ],
)
def test_a_schema_that_nothing_satisfies_is_told(schema: Any) -> None:
    with pytest.raises(InvalidRequestError, match="nothing can satisfy"):
        compiled(schema)


def test_a_schema_that_nests_too_deep_is_refused() -> None:
    schema: dict[str, Any] = {"type": "null"}
    for _ in range(5000):
        schema = {"type": "array", "items": schema}
    with pytest.raises(InvalidRequestError, match="too deep"):
        compiled(schema)


def test_many_properties_are_no_burden(writer: RandomWriter) -> None:
    names = [f"property{number}" for number in range(1000)]
    grammar = compiled({"properties": dict.fromkeys(names, True), "additionalProperties": True})
    assert len(grammar) < 1000 * len(names)
    assert writer.accepts(grammar, '{"property7": 1, "property999": 2, "property1000": 3}')
    assert not writer.accepts(grammar, '{"property7": 1, "property7": 2}')


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("root ::= " + "(" * 501 + '"a"' + ")" * 501, "nest"),
        ("root ::= " + " " * 5_000_000, "long"),
    ],
)
def test_a_grammar_that_would_end_the_parser_is_refused(text: str, says: str) -> None:
    with pytest.raises(InvalidRequestError, match=says):
        check_grammar(text)
    check_grammar('root ::= "' + "(" * 501 + '" [(]' + "(" * 100 + '"a"' + ")" * 100)


def test_any_object_is_any_object(writer: RandomWriter) -> None:
    grammar = Grammar()
    text = write(grammar, any_object(grammar), param="p")
    assert writer.accepts(text, '{"a": [1, {"b": null}], "ü": "\\ud7ff"}')
    for refused in ("[]", "1", '{"a": "\\ud800"}', '{"a": "\x01"}', '{"a":    1}'):
        assert not writer.accepts(text, refused)


def test_text_runs_until_its_marker_for_the_first_time(writer: RandomWriter) -> None:
    grammar = Grammar()
    text = write(grammar, chain(until("aab", grammar), "!"), param="p")
    for accepted in ("aab!", "aaab!", "x aa\nb aab!", "ababaab!"):
        assert writer.accepts(text, accepted)
    for refused in ("aab", "ab!", "aabaab!", "aab aab!"):
        assert not writer.accepts(text, refused)
