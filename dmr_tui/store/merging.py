"""Keeping every entry although other programs write the index without a lock.

Docker Model Runner reads the whole index, changes it and puts it back, taking no notice of anyone.
So what it puts back may lack what was entered meanwhile, and what we put back may lack what it
entered. Both are mended: what we lost to it is in the copy of what we wrote last, and what it would
lose to us is in the file that ours displaces. A manifest decides what an absence means: whoever
removes a model removes that too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec

Models = list[dict[str, Any]]
"""Entries of an index as its JSON has them; tags never null."""


def undo_rollback(
    models: Models,
    known: bytes,
    removed: Collection[str],
    has_manifest: Callable[[str], bool],
    has_blob: Callable[[str], bool],
) -> bool:
    """Mend what a program did that put an older index back.

    Entries that we wrote, and that are gone although nobody removed the model, come back. Entries
    that we dropped, and that are there again although the model is removed, go.

    Args:
        models: the index now; changed in place.
        known: what we wrote last.
        removed: ids of models that we removed.
        has_manifest: whether the manifest of an id is there.
        has_blob: whether a blob is there.

    Returns:
        Whether anything was changed.
    """
    before = {model["id"]: model for model in decode_models(known)}
    ghosts = [
        model
        for model in models
        if model["id"] not in before
        and not has_manifest(model["id"])
        and (model["id"] in removed or not any(map(has_blob, model.get("files") or ())))
    ]
    there = {model["id"] for model in models}
    lost = [
        model for model in before.values() if model["id"] not in there and has_manifest(model["id"])
    ]
    models[:] = [model for model in models if model not in ghosts]
    taken = {tag for model in models for tag in model["tags"]}
    for model in lost:
        model["tags"] = [tag for tag in model["tags"] if tag not in taken]
        models.append(model)
    return bool(lost or ghosts)


def take_over(
    models: Models,
    base: bytes,
    theirs: bytes,
    removed: Collection[str],
    leaving: Collection[str],
    has_manifest: Callable[[str], bool],
) -> None:
    """Bring in what another program changed while we made our own change.

    Args:
        models: the index as we want it; changed in place.
        base: what we began with.
        theirs: what the other program made of it.
        removed: ids of models that we removed.
        leaving: those whose files are going to be removed next.
        has_manifest: whether the manifest of an id is there.
    """
    before = {model["id"]: model for model in decode_models(base)}
    after = {model["id"]: model for model in decode_models(theirs)}
    ours = {model["id"]: model for model in models}
    for model_id, model in after.items():
        ghost = model_id in leaving or (model_id in removed and not has_manifest(model_id))
        if model_id not in ours and model_id not in before and not ghost:
            ours[model_id] = {**model, "tags": []}
            models.append(ours[model_id])
        old = before.get(model_id, {"tags": []})["tags"]
        for tag in model["tags"]:
            if tag not in old and model_id in ours:
                give_tag(models, model_id, tag)
    gone = {model_id for model_id in before if model_id not in after}
    models[:] = [model for model in models if model["id"] not in gone or has_manifest(model["id"])]


def give_tag(models: Models, model_id: str, tag: str) -> None:
    """Give a tag to a model, taking it from any other."""
    for model in models:
        tags = model["tags"]
        if model["id"] == model_id:
            model["tags"] = tags if tag in tags else [*tags, tag]
        elif tag in tags:
            model["tags"] = [other for other in tags if other != tag]


def decode_models(data: bytes) -> Models:
    """The entries of an index; none of one that cannot be read."""
    try:
        document = msgspec.json.decode(data, type=dict[str, Any])
        entries = msgspec.convert(document.get("models") or [], Sequence[dict[str, Any]])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return []
    found = [entry for entry in entries if isinstance(entry.get("id"), str)]
    return [{**entry, "tags": list(entry.get("tags") or ())} for entry in found]
