"""LoRA adapters: small weights that are added to a model's own in each pass."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dmr_tui.engine.llamacpp.model import Model
from dmr_tui.engine.llamacpp.native import NativeLog, llama
from dmr_tui.errors import EngineError


def apply_adapters(model: Model, context: Any, files: Sequence[str], log: NativeLog) -> None:
    """Have everything that a context computes go through a model's adapters, at full strength.

    Args:
        model: whose weights they were trained beside; the adapters stay as long as it does.
        context: the native `llama_context`.
        files: GGUF files, in the order in which they were packaged.
        log: where to find the reason of a failure.

    Raises:
        EngineError: one of them is no adapter, or not for this model.
    """
    if not files:
        return
    adapters = []
    for file in files:
        log.forget()
        adapter = llama.llama_adapter_lora_init(model.handle, file.encode())
        if not adapter:
            why = log.reason or "llama.cpp gives no reason"
            raise EngineError(f"its LoRA adapter {Path(file).name} cannot be applied: {why}")
        adapters.append(adapter)
    count = len(adapters)
    pointers = (llama.llama_adapter_lora_p_ctypes * count)(*adapters)
    scales = (ctypes.c_float * count)(*[1.0] * count)
    if llama.llama_set_adapters_lora(context, pointers, count, scales):
        raise EngineError("its LoRA adapters cannot be applied together")
