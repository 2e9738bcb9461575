"""Small files of this user alone: mode 0600, and whole at every moment."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from dmr_tui.errors import StoreError


def write_private(file: Path, data: bytes) -> None:
    """Give a file a new content in one step, making its folder if need be.

    Raises:
        StoreError: it cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Mode 0600 from the first byte on.
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=f"{file.name}.")
        try:
            with open(handle, "wb") as out:
                out.write(data)
            os.replace(name, file)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise StoreError(f"cannot write {file}: {error.strerror or error}") from error
