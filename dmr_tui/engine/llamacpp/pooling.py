"""The context of a model that turns texts into vectors or scores."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from dmr_tui.engine.context import POOLED_SEQUENCES
from dmr_tui.engine.llamacpp.context import SMALLEST_CONTEXT, Batch
from dmr_tui.engine.llamacpp.model import Model
from dmr_tui.engine.llamacpp.native import NativeLog, llama
from dmr_tui.errors import EngineError


class PoolingContext:
    """One `llama_context` that computes whole texts and keeps nothing of them."""

    def __init__(self, model: Model, *, tokens: int, threads: int, log: NativeLog) -> None:
        """Allocate the buffers.

        Args:
            model: the weights.
            tokens: most tokens of a text, and of all texts of one pass.
            threads: for the computation.
            log: where to find the reason of a failure.

        Raises:
            EngineError: there is not enough memory, or the weights do not fit together.
        """
        room = max(tokens, SMALLEST_CONTEXT)
        parameters = llama.llama_context_default_params()
        # A text must be computed in one piece: each token may look at all others.
        parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = room
        parameters.n_seq_max = POOLED_SEQUENCES
        parameters.n_outputs_max = room
        parameters.n_threads = parameters.n_threads_batch = threads
        parameters.kv_unified = True
        parameters.embeddings = True
        parameters.pooling_type = model.pooling
        log.forget()
        self.handle = llama.llama_init_from_model(model.handle, parameters)
        if not self.handle:
            why = log.reason or "llama.cpp gives no reason"
            raise EngineError(f"no context of {tokens} tokens: {why}")
        self._memory = llama.llama_get_memory(self.handle)
        self._batch = Batch(room, POOLED_SEQUENCES)
        ranks = model.pooling == llama.LLAMA_POOLING_TYPE_RANK
        wide = llama.llama_model_n_cls_out if ranks else llama.llama_model_n_embd_out
        self.width = int(wide(model.handle))
        """Numbers of a vector."""
        self.size = tokens
        """Most tokens of one pass."""

    def compute(self, texts: Sequence[Sequence[int]]) -> list[bytes]:
        """The vectors of some texts, as floats, not scaled.

        Args:
            texts: at most `POOLED_SEQUENCES`, each with a token, together at most `size` tokens.

        Raises:
            EngineError: the computation failed.
        """
        self._batch.clear()
        for number, tokens in enumerate(texts):
            self._batch.add(tokens, 0, number, wants_output=True)
        # Pooling looks at every token's output.
        native = self._batch.native
        ctypes.memset(native.logits, 1, native.n_tokens)
        if self._memory:
            llama.llama_memory_clear(self._memory, False)
        code = llama.llama_decode(self.handle, native)
        if code:
            raise EngineError(f"the computation failed (llama_decode gave {code})")
        return [self._vector(number) for number in range(len(texts))]

    def _vector(self, sequence: int) -> bytes:
        pointer = llama.llama_get_embeddings_seq(self.handle, sequence)
        if not pointer:
            raise EngineError("the computation gave no vector")
        return ctypes.string_at(pointer, self.width * ctypes.sizeof(ctypes.c_float))
