"""The worker process: one model, answering over its standard input and output.

    python -m dmr_tui.engine.llamacpp.main

See `dmr_tui.engine.protocol` for what is said. Everything heavy is imported after the pipes are
claimed, so that a failure of an import is told and not just seen.
"""

from __future__ import annotations

import gc
import importlib
import threading

from dmr_tui.engine.llamacpp.pipe import ParentPipe
from dmr_tui.engine.protocol import Load, LoadFailed
from dmr_tui.engine.tether import die_with_parent
from dmr_tui.errors import EngineError

_BEFORE_THE_FIRST_CHAT = "dmr_tui.engine.llamacpp.prompt"


def main() -> None:
    """Serve until the parent closes the pipe."""
    # Should the pipe's end not do it first.
    die_with_parent()
    pipe = ParentPipe()
    load = pipe.inbox.get()
    if not isinstance(load, Load):
        raise SystemExit("the first message must be Load")
    try:
        _serve(load, pipe)
    except BrokenPipeError:
        raise SystemExit("the parent is gone") from None


def _serve(load: Load, pipe: ParentPipe) -> None:
    try:
        from dmr_tui.engine.llamacpp.opening import open_service
    except (ImportError, OSError, RuntimeError) as error:
        pipe.send(LoadFailed(f"the engine cannot be loaded: {error}"))
        raise SystemExit(1) from error
    # jinja2 is needed for the first chat only: imported while the weights are read.
    threading.Thread(
        target=importlib.import_module, args=[_BEFORE_THE_FIRST_CHAT], daemon=True
    ).start()
    try:
        service = open_service(load, pipe)
    except EngineError as error:
        pipe.send(LoadFailed(error.message))
        raise SystemExit(1) from error
    # What is there now stays for good; a collection that looks through it is as long as a pass.
    gc.freeze()
    service.run()


if __name__ == "__main__":
    main()
