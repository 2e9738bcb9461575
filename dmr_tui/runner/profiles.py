"""The settings people gave to single models, kept over restarts."""

from __future__ import annotations

from pathlib import Path

import msgspec

from dmr_tui.engine.profile import Profile
from dmr_tui.engine.request import Sampling
from dmr_tui.errors import StoreError
from dmr_tui.private import write_private


class Profiles:
    """A JSON file that maps a model's id to its `Profile`."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def get(self, model_id: str) -> Profile:
        """The profile of a model; an empty one when nothing was set."""
        return self._read().get(model_id, Profile())

    def all(self) -> dict[str, Profile]:
        """Every profile by its model's id."""
        return self._read()

    def set(self, model_id: str, profile: Profile) -> None:
        """Keep `profile` for a model; an empty one forgets the model.

        Raises:
            StoreError: the file is damaged or cannot be written.
        """
        known = self._read()
        known.pop(model_id, None)
        if profile != Profile():
            known[model_id] = profile
        write_private(self._file, msgspec.json.format(msgspec.json.encode(known), indent=2))

    def _read(self) -> dict[str, Profile]:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=dict[str, Profile])
        except FileNotFoundError:
            return {}
        except msgspec.MsgspecError as error:
            raise StoreError(
                f"{self._file} is damaged: {error}", "mend it, or delete it to forget all settings"
            ) from error


def overlay(base: Profile, over: Profile | None) -> Profile:
    """`over` where it says something, else `base`."""
    if over is None:
        return base

    def chosen(name: str) -> object:
        value = getattr(over, name)
        return getattr(base, name) if value is None else value

    sampling = {
        name: getattr(base.sampling, name)
        if getattr(over.sampling, name) is None
        else getattr(over.sampling, name)
        for name in Sampling.__struct_fields__
    }
    names = [name for name in Profile.__struct_fields__ if name != "sampling"]
    return msgspec.convert(
        {**{name: chosen(name) for name in names}, "sampling": sampling}, Profile
    )
