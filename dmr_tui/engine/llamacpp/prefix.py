"""Which sequences begin alike: a radix tree over the tokens of all of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator


class _Node:
    """Some successive tokens, and the owners whose sequences run through them.

    An owner of a node owns all nodes above it. Children begin with different tokens.
    """

    __slots__ = ("children", "owners", "tokens")

    def __init__(self, tokens: list[int], owners: set[int]) -> None:
        self.tokens = tokens
        self.owners = owners
        self.children: dict[int, _Node] = {}

    def split(self, at: int) -> None:
        """Move what follows the first `at` tokens to a child of its own."""
        rest = _Node(self.tokens[at:], set(self.owners))
        rest.children = self.children
        self.children = {rest.tokens[0]: rest}
        self.tokens = self.tokens[:at]

    def join(self) -> None:
        """Take an only child in that has the same owners."""
        if len(self.children) == 1:
            (child,) = self.children.values()
            if child.owners == self.owners:
                self.tokens += child.tokens
                self.children = child.children


class PrefixIndex:
    """Token sequences by owner, made to be asked which of them a new one could share.

    An owner is any number; each has one sequence, which may grow. Looking something up costs as
    much as its tokens are many, however many sequences there are.
    """

    def __init__(self) -> None:
        self._root = _Node([], set())

    def add(self, owner: int, tokens: list[int]) -> None:
        """Give an owner a sequence, or more of the one that it has.

        Args:
            owner: whose it is.
            tokens: all of it: what the owner has already, and what is new.
        """
        node, at = self._root, 0
        while at < len(tokens):
            child = node.children.get(tokens[at])
            if child is None:
                self._grow(node, owner, tokens[at:])
                return
            same = _common(child.tokens, tokens, at)
            if same < len(child.tokens):
                if at + same == len(tokens) and owner in child.owners:
                    return
                child.split(same)
            child.owners.add(owner)
            node, at = child, at + same

    def remove(self, owner: int) -> None:
        """Forget an owner's sequence; one that has none is no error."""
        path = [self._root]
        while True:
            below = path[-1].children.values()
            child = next((child for child in below if owner in child.owners), None)
            if child is None:
                break
            path.append(child)
        for parent, node in zip(reversed(path[:-1]), reversed(path[1:]), strict=True):
            node.owners.remove(owner)
            if node.owners:
                node.join()
            else:
                del parent.children[node.tokens[0]]

    def shared(self, tokens: list[int]) -> dict[int, int]:
        """How many first tokens each owner has in common with a sequence.

        Those that have none are left out.
        """
        found: dict[int, int] = {}
        node, at = self._root, 0
        while at < len(tokens):
            child = node.children.get(tokens[at])
            if child is None:
                break
            same = _common(child.tokens, tokens, at)
            at += same
            found.update(dict.fromkeys(child.owners, at))
            if same < len(child.tokens):
                break
            node = child
        return found

    def distinct(self, owners: Collection[int]) -> int:
        """How many tokens some sequences have together, shared beginnings counted once."""
        wanted = set(owners)
        return sum(len(node.tokens) for node in self._nodes() if not wanted.isdisjoint(node.owners))

    def _grow(self, node: _Node, owner: int, tokens: list[int]) -> None:
        """Put tokens behind a node that has no child for them."""
        if node.owners == {owner}:
            node.tokens += tokens
        else:
            node.children[tokens[0]] = _Node(tokens, {owner})

    def _nodes(self) -> Iterator[_Node]:
        pending = [*self._root.children.values()]
        while pending:
            node = pending.pop()
            yield node
            pending += node.children.values()


def _common(edge: list[int], tokens: list[int], start: int) -> int:
    """How many tokens of an edge are those of a sequence from `start` on."""
    part = tokens[start : start + len(edge)]
    if part == edge:
        return len(edge)
    same = 0
    for one, other in zip(edge, part, strict=False):
        if one != other:
            break
        same += 1
    return same
