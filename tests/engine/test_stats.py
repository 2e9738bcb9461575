"""What workers tell of their work, with real ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

from dmr_tui.engine.context import POOLED_SEQUENCES, SEQUENCES
from dmr_tui.engine.files import ModelFiles
from dmr_tui.engine.manager import EngineManager
from dmr_tui.engine.questions import EmbedQuestion
from dmr_tui.engine.stats import Stats
from dmr_tui.runner.shapes import read_shape
from dmr_tui.settings import Settings
from tests.engine.asking import ANY, ENDLESS, ask, complete
from tests.support.gguf_maker import write_tiny_bert


async def told(manager: EngineManager, test: Callable[[Stats], bool]) -> Stats:
    """What the only worker tells, as soon as it satisfies a test."""
    async with asyncio.timeout(30):
        while True:
            for model in manager.running():
                if model.stats is not None and test(model.stats):
                    return model.stats
            await asyncio.sleep(0.02)


async def test_an_answer_is_counted_once_it_is_over(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    first = await ask(manager, tiny, complete("Hello there", max_tokens=16))
    again = await ask(manager, tiny, complete("Hello there", max_tokens=4))
    counted = await told(manager, lambda stats: stats.generated_tokens >= 20)
    usages = [first.finished.usage, again.finished.usage]
    assert counted.generated_tokens == 20
    assert counted.cached_tokens == usages[1].cached_tokens > 0
    computed = sum(usage.prompt_tokens - usage.cached_tokens for usage in usages)
    # A prompt's last token makes the answer's first one; alone it counts as that only.
    assert computed - 1 <= counted.prompt_tokens <= computed
    assert (counted.busy, counted.waiting, counted.kv_used) == (0, 0, 0)
    assert counted.generation_speed > 0
    assert counted.first_token_p50 is not None
    assert counted.first_token_p95 is not None
    assert 0 < counted.first_token_p50 <= counted.first_token_p95 < 30


async def test_what_is_under_way_is_told_and_its_end_too(
    manager: EngineManager, tiny: ModelFiles
) -> None:
    await manager.load(tiny, ANY)

    async def read() -> None:
        async with aclosing(manager.generate(tiny, ENDLESS, ANY)) as events:
            async for _ in events:
                pass

    readers = [asyncio.create_task(read()) for _ in range(SEQUENCES + 2)]
    busy = await told(manager, lambda stats: stats.waiting >= 2)
    # Where the answers outgrow the memory, some wait again.
    assert busy.busy + busy.waiting == SEQUENCES + 2
    assert 0 < busy.kv_used <= 4096
    (model,) = manager.running()
    assert (model.slots, model.layers, model.progress) == (SEQUENCES, 2, None)
    for reader in readers:
        reader.cancel()
    await asyncio.wait(readers)
    idle = await told(manager, lambda stats: not stats.busy)
    assert (idle.waiting, idle.kv_used) == (0, 0)


async def test_texts_are_counted_too(manager: EngineManager, tmp_path: Path) -> None:
    file = tmp_path / "bert.gguf"
    write_tiny_bert(file, pooling=None)
    files = ModelFiles("sha256:bert", "bert", file)
    vectors = await manager.ask(files, EmbedQuestion(["some text", "another"]), ANY)
    counted = await told(manager, lambda stats: stats.prompt_tokens > 0)
    assert counted.prompt_tokens == vectors.prompt_tokens
    assert counted.busy == 0
    assert manager.running()[0].slots == POOLED_SEQUENCES


async def test_the_plan_stands_beside_what_is_taken(tiny: ModelFiles, tmp_path: Path) -> None:
    manager = EngineManager(
        settings=Settings(threads=1), logs=tmp_path / "logs", read_shape=read_shape
    )
    loading = asyncio.create_task(manager.load(tiny, ANY))
    while not manager.running():
        await asyncio.sleep(0)
    assert manager.running()[0].progress == 0.0
    await loading
    (model,) = manager.running()
    assert 0.5 < model.memory / model.planned < 2
    assert model.progress is None
    await manager.close()
