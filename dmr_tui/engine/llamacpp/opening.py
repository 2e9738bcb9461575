"""Load a model, and decide by what it is who serves it."""

from __future__ import annotations

import sys
from pathlib import Path

from dmr_tui.engine.llamacpp.embedding import EmbeddingService
from dmr_tui.engine.llamacpp.model import Model
from dmr_tui.engine.llamacpp.native import NativeLog, llama
from dmr_tui.engine.llamacpp.pipe import ParentPipe
from dmr_tui.engine.llamacpp.service import Service
from dmr_tui.engine.protocol import Load, LoadProgress

_PROGRESS_STEP = 0.01


def open_service(load: Load, pipe: ParentPipe) -> Service | EmbeddingService:
    """Load the model that is asked for, telling the parent how far it is.

    Raises:
        EngineError: the reason why it cannot be used, without the file's name.
    """
    told = 0.0

    def progress(fraction: float) -> None:
        nonlocal told
        if fraction - told >= _PROGRESS_STEP:
            told = fraction
            pipe.send(LoadProgress(fraction))

    log = NativeLog(sys.stderr)
    llama.llama_backend_init()
    model = Model(Path(load.gguf), gpu_layers=load.gpu_layers, on_progress=progress, log=log)
    if model.mode == "completion":
        return Service(load, pipe, model, log)
    return EmbeddingService(load, pipe, model, log)
