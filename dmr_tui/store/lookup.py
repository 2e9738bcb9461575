"""Which model of the index a name means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dmr_tui.errors import InvalidRequestError, ModelNotFoundError
from dmr_tui.store.index import Entry
from dmr_tui.store.reference import (
    DEFAULT_TAG,
    DOCKER_HUB,
    Reference,
    familiar,
    looks_like_id,
    parse_reference,
)


class Match(NamedTuple):
    """A model, and how it was named."""

    entry: Entry
    tag: str | None
    """The tag, as the index has it, that the name means; None when it was named by id."""


def lookup(entries: Sequence[Entry], name: str, default_registry: str) -> Match:
    """Find a model by id, short id, reference, digest reference, or bare last part of its name.

    Raises:
        ModelNotFoundError: none, or more than one; the hint names candidates.
        InvalidRequestError: the text can be no name.
    """
    clean = name.strip()
    if looks_like_id(clean):
        entry = _by_id(entries, clean)
        if entry:
            return Match(entry, None)
        if len(clean) > 12:
            raise ModelNotFoundError(f"no such model: {clean}", "dmr list shows what is there")
    try:
        reference = parse_reference(clean, default_registry=default_registry)
    except InvalidRequestError:
        match = _by_text(entries, clean)
        if match is None:
            raise
        return match
    match = _by_tag(entries, reference) or _by_digest(entries, reference)
    if match is None and "/" not in clean:
        match = _by_last_part(entries, reference, clean)
    if match is None:
        raise ModelNotFoundError(
            f"no such model: {clean}", _near(entries, reference, default_registry)
        )
    return match


def _by_id(entries: Sequence[Entry], text: str) -> Entry | None:
    wanted = text.removeprefix("sha256:")
    found = [entry for entry in entries if entry.id[7 : 7 + len(wanted)] == wanted]
    if len(found) > 1:
        raise ModelNotFoundError(f"more than one model has the id {text}", "use the whole id")
    return found[0] if found else None


def _by_tag(entries: Sequence[Entry], reference: Reference) -> Match | None:
    wanted = str(reference)
    for entry in entries:
        if wanted in (entry.tags or ()):
            return Match(entry, wanted)
    return None


def _by_text(entries: Sequence[Entry], text: str) -> Match | None:
    """Find a tag of another program that is no reference, by what lists show of it."""
    wanted = {
        f"{registry}{text}{tag}"
        for registry in ("", f"{DOCKER_HUB}/")
        for tag in ("", f":{DEFAULT_TAG}")
    }
    for entry in entries:
        for tag in entry.tags or ():
            if tag in wanted:
                return Match(entry, tag)
    return None


def _by_digest(entries: Sequence[Entry], reference: Reference) -> Match | None:
    if reference.digest:
        for entry in entries:
            if entry.id == reference.digest:
                return Match(entry, None)
    return None


def _by_last_part(entries: Sequence[Entry], reference: Reference, typed: str) -> Match | None:
    if reference.digest:
        return None
    suffix = f"/{reference.repository.rpartition('/')[2]}:{reference.tag}"
    tags = [(entry, tag) for entry in entries for tag in entry.tags or () if tag.endswith(suffix)]
    if len({entry.id for entry, _ in tags}) > 1:
        names = " or ".join(sorted(tag for _, tag in tags))
        raise ModelNotFoundError(f"more than one model is called {typed}", f"say which: {names}")
    return Match(*tags[0]) if tags else None


def _near(entries: Sequence[Entry], reference: Reference, default_registry: str) -> str:
    # Only a failure pays for this import.
    from difflib import get_close_matches

    names = [familiar(tag, default_registry) for entry in entries for tag in entry.tags or ()]
    wanted = reference.familiar(default_registry)
    near = get_close_matches(wanted, names, n=3, cutoff=0.6)
    near += [n for n in names if n.partition(":")[0] == wanted.partition(":")[0] and n not in near]
    fetch = f"dmr pull {wanted}"
    if near:
        return f"did you mean {', '.join(near[:3])}? or fetch it: {fetch}"
    return f"dmr list shows what is there, {fetch} fetches it"
