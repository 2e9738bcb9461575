"""The engine without servers: a bare `llama_decode` loop, and the batcher's own share of a step.

    python -m benchmarks.bare decode MODEL THREADS [TOKENS]
    python -m benchmarks.bare steps MODEL THREADS

One JSON object on standard output. `decode`: tokens per second and CPU milliseconds per token of
one sequence behind a prompt of 200 tokens. `steps`: what Python takes of a step, by number of
sequences.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from dmr_tui.engine.llamacpp.batcher import Batcher
from dmr_tui.engine.llamacpp.context import Context
from dmr_tui.engine.llamacpp.model import Model
from dmr_tui.engine.llamacpp.native import NativeLog, llama
from dmr_tui.engine.llamacpp.sampling import Sampler
from dmr_tui.engine.llamacpp.sequence import Sequence
from dmr_tui.engine.protocol import Step, encode_frame
from dmr_tui.engine.request import Sampling

_TOKENS = 64
_PROMPT = 200


def main() -> None:
    """Run what the command line asks for."""
    kind, path, threads = sys.argv[1:4]
    llama.llama_backend_init()
    log = NativeLog(open(os.devnull, "w"))  # noqa: SIM115 - for as long as the process lives
    model = Model(Path(path), gpu_layers=0, on_progress=lambda fraction: None, log=log)
    context = Context(model, tokens=8192, sequences=16, threads=int(threads), log=log)
    tokens = int(sys.argv[4]) if len(sys.argv) > 4 else _TOKENS
    result = decode(context, tokens) if kind == "decode" else steps(model, context)
    print(json.dumps(result))


def decode(context: Context, tokens: int = _TOKENS) -> dict[str, float]:
    """One sequence, one token after the other; the tokens are given, nothing is sampled."""
    batch = context.batch
    batch.clear()
    batch.add([300 + at % 100 for at in range(_PROMPT)], 0, 0, wants_output=True)
    context.decode()
    begun, cpu = time.perf_counter(), time.process_time()
    for at in range(tokens):
        batch.clear()
        batch.add([300 + at], _PROMPT + at, 0, wants_output=True)
        context.decode()
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    return {"tokens_per_second": tokens / seconds, "cpu_ms": cpu / tokens * 1000}


def steps(model: Model, context: Context) -> dict[int, dict[str, float]]:
    """Steps of the batcher, with the frames for the parent: all that is not llama.cpp is Python."""
    results = {}
    for count in (1, 4, 8, 16):
        llama.llama_memory_clear(context._memory, True)
        results[count] = _steps(model, context, count)
    return results


def _steps(model: Model, context: Context, count: int) -> dict[str, float]:
    native = _Stopwatch()
    batcher = Batcher(context, model.vocabulary)
    context.decode = native.timed(context.decode)  # type: ignore[method-assign]  # for the clock
    for number in range(count):
        prompt = [300 + (number * 7 + at) % 250 for at in range(_PROMPT)]
        sampler = Sampler(
            Sampling(),
            context=context,
            prompt=prompt,
        )
        sampler.sample = native.timed(sampler.sample)  # type: ignore[method-assign]  # likewise
        batcher.add(Sequence(number, prompt, sampler=sampler, limit=_TOKENS))
    python = []
    while not batcher.idle:
        # The main thread's own time: what others do on the same cores does not count.
        native.seconds, begun = 0.0, time.thread_time()
        events = batcher.step()
        encode_frame(Step(events))
        seconds = time.thread_time() - begun
        if len(events) >= count:
            python.append((seconds - native.seconds, seconds))
    own, whole = (sorted(column)[len(python) // 2] for column in zip(*python, strict=True))
    return {"python_us": own * 1e6, "step_ms": whole * 1e3, "share": own / whole}


P = ParamSpec("P")
T = TypeVar("T")


class _Stopwatch:
    """Adds up the time of some calls."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, call: Callable[P, T]) -> Callable[P, T]:
        """The same call, measured."""

        def measured(*args: P.args, **kwargs: P.kwargs) -> T:
            begun = time.thread_time()
            try:
                return call(*args, **kwargs)
            finally:
                self.seconds += time.thread_time() - begun

        return measured


if __name__ == "__main__":
    main()
