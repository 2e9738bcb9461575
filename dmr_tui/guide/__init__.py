"""The built-in model `dmr/guide`: it comes with the program and needs no network.

The weights lie beside this file; `docs/guide-model.md` says what the model is. Asked for by name,
it becomes a model of the store like any other.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from importlib.resources import as_file, files
from pathlib import Path

from dmr_tui.errors import InvalidRequestError, StoreError
from dmr_tui.store.package import package_gguf
from dmr_tui.store.reference import parse_reference
from dmr_tui.store.store import Store, StoredModel

GUIDE = "dmr/guide"
"""What people call it."""

_WEIGHTS = "guide.gguf"
_REFERENCE = parse_reference(GUIDE)
# A package holds its files' times. An installed file has that of the installation, so this one is
# set, and the model has the same id everywhere.
_TIME = 1_767_225_600


def is_guide(name: str) -> bool:
    """Whether a name means the built-in model: `dmr/guide`, with `:latest` or `docker.io/` or not.

    The registry is always Docker Hub's; another default registry does not change the name.
    """
    try:
        return parse_reference(name) == _REFERENCE
    except InvalidRequestError:
        return False


def adopt_guide(store: Store) -> StoredModel:
    """Put this program's own build of the model into a store, in place of another one.

    Raises:
        StoreError: a disk is full or the store cannot be written.
    """
    try:
        with (
            as_file(files(__name__).joinpath(_WEIGHTS)) as weights,
            tempfile.TemporaryDirectory(prefix="dmr-guide-") as folder,
        ):
            copy = Path(shutil.copyfile(weights, Path(folder) / _WEIGHTS))
            os.utime(copy, (_TIME, _TIME))
            return package_gguf(store, copy, _REFERENCE)
    except OSError as error:
        raise StoreError(
            f"cannot unpack {GUIDE}: {error.strerror or error}",
            "make room in the folder for temporary files, or choose another with TMPDIR",
        ) from error
