"""What goes wrong with one request: it ends that request, and not the worker."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from dmr_tui.engine.llamacpp.native import INFORMATION, log_line
from dmr_tui.engine.protocol import Failed
from dmr_tui.errors import DmrError, EngineError


@contextmanager
def contained() -> Iterator[None]:
    """Turn a defect that is met while one request is worked on into an error of that request.

    Only for work that touches nothing of other requests. The trace goes to the log as information:
    should the worker die later, it is not what it died of.

    Raises:
        DmrError: see `explained`.
    """
    try:
        yield
    except DmrError:
        raise
    except Exception as error:
        raise explained(error) from error


def explained(error: Exception) -> DmrError:
    """An error of ours as it is; of any other the trace goes to the log."""
    if isinstance(error, DmrError):
        return error
    for part in traceback.format_exception(error):
        for line in part.splitlines():
            sys.stderr.write(log_line(INFORMATION, f"{line}\n"))
    sys.stderr.flush()
    return EngineError(
        f"the engine failed at this request: {type(error).__name__}: {error}",
        "ask in another way; the model's log tells more",
    )


def failed(request: int, error: DmrError) -> Failed:
    """What the parent is told when a request fails."""
    hint = None if error.hint is None else _sendable(error.hint)
    return Failed(request, error.code, _sendable(error.message), hint, error.param)


def _sendable(text: str) -> str:
    """A text as it can be encoded: templates and their errors may hold half a character."""
    return text.encode("utf-8", "replace").decode()
