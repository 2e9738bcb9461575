"""The radix tree against a dictionary that is searched from end to end."""

from __future__ import annotations

from itertools import takewhile

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from dmr_tui.engine.llamacpp.prefix import PrefixIndex

TOKENS = st.lists(st.integers(0, 2), max_size=12)
OWNERS = st.integers(0, 5)


def alike(pair: tuple[int, int]) -> bool:
    return pair[0] == pair[1]


class AgainstDictionary(RuleBasedStateMachine):
    """Few tokens and few owners, so that much is shared."""

    def __init__(self) -> None:
        super().__init__()
        self.index = PrefixIndex()
        self.model: dict[int, list[int]] = {}

    @rule(owner=OWNERS, tokens=TOKENS)
    def begin(self, owner: int, tokens: list[int]) -> None:
        self.index.remove(owner)
        self.index.add(owner, list(tokens))
        self.model[owner] = tokens

    @rule(owner=OWNERS, tokens=TOKENS)
    def grow(self, owner: int, tokens: list[int]) -> None:
        whole = self.model.get(owner, []) + tokens
        self.index.add(owner, list(whole))
        self.model[owner] = whole

    @rule(owner=OWNERS, cut=st.integers(0, 12), tokens=TOKENS)
    def follow(self, owner: int, cut: int, tokens: list[int]) -> None:
        """What begins like another one, as requests do."""
        for other in list(self.model.values()):
            self.begin(owner, other[:cut] + tokens)

    @rule(owner=OWNERS)
    def remove(self, owner: int) -> None:
        self.index.remove(owner)
        self.model.pop(owner, None)

    @rule(tokens=TOKENS)
    def look_up(self, tokens: list[int]) -> None:
        shares = {
            owner: sum(1 for _ in takewhile(alike, zip(own, tokens, strict=False)))
            for owner, own in self.model.items()
        }
        assert self.index.shared(tokens) == {k: v for k, v in shares.items() if v}

    @rule(owners=st.sets(OWNERS))
    def count(self, owners: set[int]) -> None:
        beginnings = {
            tuple(own[: at + 1])
            for owner, own in self.model.items()
            for at in range(len(own))
            if owner in owners
        }
        assert self.index.distinct(owners) == len(beginnings)

    @invariant()
    def every_sequence_is_found_whole(self) -> None:
        for owner, own in self.model.items():
            assert self.index.shared(own).get(owner, 0) == len(own)

    @invariant()
    def no_node_is_without_need(self) -> None:
        """As many nodes as ends and forks: what was removed leaves nothing behind."""
        nodes = list(self.index._nodes())
        assert all(node.owners and node.tokens for node in nodes)
        assert len(nodes) <= 2 * len(self.model)


AgainstDictionary.TestCase.settings = settings(max_examples=150, stateful_step_count=30)
TestAgainstDictionary = AgainstDictionary.TestCase
