"""Objects: members in the order of their properties, then those that are additional."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dmr_tui.engine.text.grammar import charset
from dmr_tui.engine.text.grammar.gbnf import (
    EMPTY,
    NEVER,
    Characters,
    Grammar,
    Node,
    chain,
    choice,
    optional,
    repeat,
)
from dmr_tui.engine.text.grammar.json_text import JSON, RAW, text_literal

_RAW = Characters(RAW)


@dataclass(frozen=True)
class Property:
    """A member that an object must or may have."""

    name: str
    value: Node
    required: bool


def object_of(
    grammar: Grammar, json: JSON, properties: Sequence[Property], additional: Node
) -> Node:
    """The grammar of an object.

    Args:
        grammar: takes the rules.
        json: the shared rules.
        properties: in the order in which they are written.
        additional: the value of any other member; `NEVER`: there is none.
    """
    comma = chain(",", json.space)
    other = chain(other_key([each.name for each in properties]), ":", json.space)
    # Rules of their own keep what is repeated small, and the whole linear in the properties.
    another = NEVER if additional == NEVER else grammar.add("other", chain(other, additional))
    # From the last property to the first: what may follow once a member has been written.
    after = repeat(chain(comma, another), 0)
    begin = optional(chain(another, after))
    for each in reversed(properties):
        member = chain(f'"{text_literal(each.name)}":', json.space, each.value)
        if each.value == NEVER and not each.required:
            continue
        here = chain(member, after)
        begin = here if each.required else grammar.add(f"from-{each.name}", choice(here, begin))
        following = chain(comma, member)
        after = chain(following if each.required else optional(following), after)
        after = grammar.add(f"after-{each.name}", after) if after != EMPTY else EMPTY
    return chain("{", json.space, begin, json.space, "}")


def other_key(names: Sequence[str]) -> Node:
    """A key that is none of these names, without escapes: nothing else could spell a name."""
    raw = [name for name in names if all(charset.contains(RAW, ord(sign)) for sign in name)]
    return chain('"', _other(raw) if raw else repeat(_RAW, 0), '"')


def _other(names: Sequence[str]) -> Node:
    """Texts that are none of `names`."""
    by_first: dict[str, list[str]] = {}
    for name in names:
        if name:
            by_first.setdefault(name[0], []).append(name[1:])
    unlike = charset.difference(RAW, charset.of("".join(by_first)))
    options: list[Node] = [chain(Characters(unlike), repeat(_RAW, 0))]
    options += [chain(sign, _other(rest)) for sign, rest in by_first.items()]
    return choice(*options, *([] if "" in names else [EMPTY]))
