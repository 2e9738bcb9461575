"""Names of models on the Hugging Face Hub: `hf.co/Org/Repo[:QUANTIZATION | :FILE.gguf][@REVISION]`.

The Hub tells upper from lower case, the store's tags do not: both spellings are kept here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dmr_tui.errors import InvalidRequestError
from dmr_tui.store.reference import (
    DEFAULT_TAG,
    HUGGING_FACE,
    Reference,
    is_digest,
    parse_reference,
)

_PREFIX = re.compile(r"(?:hf\.co|huggingface\.co)/(?=.)", re.IGNORECASE)
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]{0,254}", re.ASCII)
_NO_WISH = {DEFAULT_TAG, "main"}


@dataclass(frozen=True)
class HubName:
    """What a person wants of the Hub.

    Attributes:
        repository: `Org/Repo`, in the case that was typed.
        wanted: a quantization or a file's name; empty: no wish.
        revision: a branch, a tag or a commit.
        reference: the name that the model gets in the store.
    """

    repository: str
    wanted: str
    revision: str
    reference: Reference

    def __str__(self) -> str:
        """The name that the model gets in the store, as other names are told of."""
        return str(self.reference)

    @property
    def shown(self) -> str:
        """The repository as people write it."""
        return f"hf.co/{self.repository}"


def is_of_hub(text: str) -> bool:
    """Whether a name begins as the Hub's do."""
    return _PREFIX.match(text.strip()) is not None


def parse_source(text: str, *, default_registry: str) -> Reference | HubName:
    """Read a name that is to be pulled: from the Hub, or from a registry.

    Raises:
        InvalidRequestError: the text is no name.
    """
    clean = text.strip()
    prefix = _PREFIX.match(clean)
    if prefix is None:
        return parse_reference(clean, default_registry=default_registry)
    name, at, revision = clean[prefix.end() :].partition("@")
    if at and (is_digest(revision) or not _REVISION.fullmatch(revision) or ".." in revision):
        raise InvalidRequestError(
            f"{text!r}: {revision!r} is no revision of a repository",
            "name a branch, a tag or a commit, e.g. hf.co/org/repo@main",
        )
    repository, _, wanted = name.partition(":")
    reference = parse_reference(f"{HUGGING_FACE}/{repository}:{wanted.rpartition('/')[2]}")
    return HubName(
        repository.strip("/"),
        "" if wanted in _NO_WISH else wanted,
        revision or "main",
        reference,
    )


def hub_name(reference: Reference) -> HubName:
    """The same of a reference, whose case is lost."""
    tag = reference.tag or ""
    wanted = "" if tag in _NO_WISH else tag
    return HubName(reference.repository, wanted, "main", reference)
