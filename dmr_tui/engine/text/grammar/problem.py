"""What is wrong with a schema, and where."""

from __future__ import annotations


class SchemaProblem(Exception):
    """A keyword that is wrong, or that no grammar can hold."""

    def __init__(self, path: str, keyword: str, reason: str) -> None:
        super().__init__(f"keyword {keyword!r} at {path}: {reason}")
        self.path = path
        self.keyword = keyword
