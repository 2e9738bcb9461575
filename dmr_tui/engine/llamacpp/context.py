"""The state of running sequences: KV memory, one reused batch, and the forward pass."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Sequence
from typing import TypeAlias

from dmr_tui.engine.context import BATCH_TOKENS, IDS
from dmr_tui.engine.llamacpp.model import Model
from dmr_tui.engine.llamacpp.native import NativeLog, llama
from dmr_tui.errors import EngineError

SMALLEST_CONTEXT = 256
"""llama.cpp rounds up to multiples of this, but not before it has cut the batch down to less."""

State: TypeAlias = mmap.mmap
"""What KV memory holds of one sequence, as llama.cpp writes it; its pages go when it goes."""

_NO_ROOM = 1
"""What `llama_decode` gives when the KV memory has no place for a batch."""


class Context:
    """One `llama_context` whose sequences share all of its KV memory.

    The memory is unified: any sequence may use all cells, and the sequences of a batch need not
    have neighbouring ids to be computed together.
    """

    def __init__(
        self, model: Model, *, tokens: int, sequences: int, threads: int, log: NativeLog
    ) -> None:
        """Allocate KV memory and compute buffers.

        Args:
            model: the weights.
            tokens: context size wished for; llama.cpp rounds it up.
            sequences: most sequences that run at a time.
            threads: for prompts and for generation.
            log: where to find the reason of a failure.

        Raises:
            EngineError: there is not enough memory, or the weights do not fit together.
        """
        parameters = llama.llama_context_default_params()
        parameters.n_ctx = max(tokens, SMALLEST_CONTEXT)
        parameters.n_batch = parameters.n_ubatch = BATCH_TOKENS
        self.divisible = model.divisible
        """Its sequences can be cut and shared at any position."""
        # Where a state cannot be cut there is a whole one for each id: no more of them than needed.
        self.ids = max(sequences, IDS) if self.divisible else sequences
        """Sequences that it can tell apart."""
        # llama.cpp wants room for an output of each, also of those that only lie there.
        parameters.n_seq_max = parameters.n_outputs_max = self.ids
        parameters.n_threads = parameters.n_threads_batch = threads
        parameters.kv_unified = True
        log.forget()
        self.handle = llama.llama_init_from_model(model.handle, parameters)
        if not self.handle:
            why = log.reason or "llama.cpp gives no reason"
            raise EngineError(f"no context of {tokens} tokens: {why}")
        self._memory = llama.llama_get_memory(self.handle)
        if not self._memory:
            raise EngineError("this model cannot generate text: it keeps no state")
        self.size = int(llama.llama_n_ctx(self.handle))
        """Tokens that all sequences together can hold."""
        self.threads = self._used_threads = threads
        self.sequences = sequences
        self.vocabulary = model.vocabulary
        self.window = model.window
        """Tokens back that some layers look at most; 0: all look at everything."""
        self.batch = Batch(int(llama.llama_n_batch(self.handle)), self.ids)

    def decode(self) -> bool:
        """Compute the batch; False when the KV memory has no room for it and nothing was done.

        Raises:
            EngineError: the computation failed; the state of its sequences is undefined.
        """
        code = llama.llama_decode(self.handle, self.batch.native)
        if code == 0:
            return True
        if code == _NO_ROOM:
            return False
        raise EngineError(f"the computation failed (llama_decode gave {code})")

    def use_threads(self, count: int) -> None:
        """Have the next passes computed by so many threads, at most those that it was made with."""
        if count != self._used_threads:
            llama.llama_set_n_threads(self.handle, count, count)
            self._used_threads = count

    def forget(self, sequence: int) -> None:
        """Free the KV memory of a sequence."""
        llama.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def share(self, source: int, target: int, tokens: int) -> None:
        """Have one sequence hold the first tokens of another one as well, in the same cells."""
        llama.llama_memory_seq_cp(self._memory, source, target, 0, tokens)

    def cut(self, sequence: int, tokens: int) -> None:
        """Free what a sequence holds behind its first tokens."""
        llama.llama_memory_seq_rm(self._memory, sequence, tokens, -1)

    def state_size(self, sequence: int) -> int:
        """Bytes that `save` would give."""
        return int(llama.llama_state_seq_get_size(self.handle, sequence))

    def save(self, sequence: int) -> State:
        """A copy of all that is held of a sequence."""
        state = mmap.mmap(-1, self.state_size(sequence))
        buffer = (ctypes.c_uint8 * len(state)).from_buffer(state)
        llama.llama_state_seq_get_data(self.handle, buffer, len(state), sequence)
        return state

    def restore(self, sequence: int, state: State) -> bool:
        """Put back what was saved, as an empty sequence; False when there is no room."""
        buffer = (ctypes.c_uint8 * len(state)).from_buffer(state)
        size = llama.llama_state_seq_set_data(self.handle, buffer, len(state), sequence)
        return int(size) == len(state)

    def first_position(self, sequence: int) -> int:
        """Where what is held of a sequence begins in every layer; -1 when there is nothing."""
        return int(llama.llama_memory_seq_pos_min(self._memory, sequence))

    def prove(self, token: int) -> None:
        """Decode one token and forget it: a build that is wrong for this CPU dies here, not later.

        Raises:
            EngineError: the computation failed.
        """
        self.batch.clear()
        self.batch.add([token], 0, 0, wants_output=True)
        self.decode()
        llama.llama_synchronize(self.handle)
        llama.llama_memory_clear(self._memory, True)


class Batch:
    """The arrays of one `llama_batch`, filled again for every pass.

    Slices are assigned whole, so that Python's share hardly grows with the tokens.
    """

    def __init__(self, capacity: int, sequences: int) -> None:
        self.capacity = capacity
        self._tokens = (llama.llama_token * capacity)()
        self._positions = (llama.llama_pos * capacity)()
        self._counts = (ctypes.c_int32 * capacity)(*[1] * capacity)
        self._outputs = (ctypes.c_int8 * capacity)()
        # Every token points at the id of its one sequence: addresses are cheaper to assign than
        # ctypes pointers.
        self._ids = (llama.llama_seq_id * sequences)(*range(sequences))
        start, size = ctypes.addressof(self._ids), ctypes.sizeof(llama.llama_seq_id)
        self._addresses = [start + size * number for number in range(sequences)]
        self._owners = (ctypes.c_size_t * capacity)()
        owners_type = ctypes.POINTER(ctypes.POINTER(llama.llama_seq_id))
        self.native = llama.llama_batch(
            n_tokens=0,
            token=self._tokens,
            pos=self._positions,
            n_seq_id=self._counts,
            seq_id=ctypes.cast(self._owners, owners_type),
            logits=self._outputs,
        )

    @property
    def room(self) -> int:
        """How many more tokens fit."""
        return self.capacity - int(self.native.n_tokens)

    def clear(self) -> None:
        """Make it empty."""
        self.native.n_tokens = 0

    def renew(self, index: int, token: int, position: int) -> None:
        """Put the next token of the same sequence where its last one was."""
        self._tokens[index] = token
        self._positions[index] = position

    def add(
        self,
        tokens: Sequence[int],
        position: int,
        sequence: int,
        *,
        wants_output: bool,
        wants_all: bool = False,
    ) -> int:
        """Append successive tokens of a sequence.

        Args:
            tokens: at least one, at most `room`.
            position: of the first one in its sequence.
            sequence: whose they are.
            wants_output: compute logits for the last one.
            wants_all: compute them for each.

        Returns:
            The index of the last one in the batch, for sampling.
        """
        start, count = int(self.native.n_tokens), len(tokens)
        end = start + count
        self.native.n_tokens = end
        if count == 1:
            self._tokens[start] = tokens[0]
            self._positions[start] = position
            self._owners[start] = self._addresses[sequence]
            self._outputs[start] = wants_output or wants_all
            return start
        self._tokens[start:end] = tokens
        self._positions[start:end] = range(position, position + count)
        self._owners[start:end] = [self._addresses[sequence]] * count
        self._outputs[start:end] = [wants_all] * count
        self._outputs[end - 1] = wants_output or wants_all
        return end - 1
