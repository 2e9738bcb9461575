"""The memory plan beside what a worker really takes.

    make bench-plan        (or: python benchmarks/plan.py --json build/plan.json)

Each of four shapes is loaded with two contexts and asked for an answer to a prompt of several
batches; then the worker's resident memory is read. Prints planned and real MiB and their ratio. The
bar: within 10 %.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from dmr_tui.engine.files import ModelFiles
from dmr_tui.engine.manager import EngineManager
from dmr_tui.engine.plan import ModelShape, Wish, host_need
from dmr_tui.engine.profile import Profile
from dmr_tui.engine.request import CompletionRequest, Limits, Sampling
from dmr_tui.runner.shapes import read_shape
from dmr_tui.settings import Settings
from tests.support.gguf_maker import SHAPES, Shape, write_tiny_llama

CONTEXTS = (2048, 8192)
PROMPT = 1100
BAR = 0.10
MIB = 1024**2

MODELS = {
    "SmolLM2-135M": SHAPES["m135"],
    "wide, no shared heads": Shape(6, 1024, 16, 16, 4096, 32000, 16384),
    "large vocabulary": Shape(8, 512, 8, 2, 1408, 131072, 32768),
    "much cache": Shape(24, 512, 8, 8, 1408, 16000, 16384),
}


@dataclass(frozen=True)
class Measured:
    """One shape with one context; sizes in bytes."""

    model: str
    context: int
    planned: int
    real: int

    @property
    def ratio(self) -> float:
        """Planned to real."""
        return self.planned / self.real


def main() -> None:
    """Make the models, load them, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(Path(folder)))
    print(f"{'model':<24}{'context':>8}{'planned':>10}{'real':>10}{'ratio':>8}")
    for row in found:
        sizes = "".join(f"{size / MIB:>10.1f}" for size in (row.planned, row.real))
        print(f"{row.model:<24}{row.context:>8}{sizes}{row.ratio:>8.3f}")
    worst = max(abs(row.ratio - 1) for row in found)
    print(f"furthest from the truth: {worst:.1%} (bar: {BAR:.0%})")
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in found], indent=2))


async def measure(folder: Path) -> list[Measured]:
    """Every shape with every context."""
    found = []
    for number, (name, shape) in enumerate(MODELS.items()):
        gguf = write_tiny_llama(folder / f"{number}.gguf", shape=shape)
        for context in CONTEXTS:
            found.append(await measure_one(ModelFiles(name, name, gguf), context, folder))
    return found


async def measure_one(files: ModelFiles, context: int, folder: Path) -> Measured:
    """One shape with one context."""
    shape: ModelShape = read_shape(files.gguf)
    planned = host_need(shape, Wish(context, context), context, 0).total
    manager = EngineManager(settings=Settings(), logs=folder)
    await manager.load(files, Profile(context_size=context))
    (model,) = manager.running()
    # Buffers that are never written to take no memory: use them all, in whole batches.
    prompt = CompletionRequest([5] * PROMPT, Sampling(temperature=0), Limits(max_tokens=4))
    async for _ in manager.generate(files, prompt, Profile()):
        pass
    real = int(psutil.Process(model.pid).memory_info().rss)
    await manager.close()
    return Measured(files.name, context, planned, real)


if __name__ == "__main__":
    main()
