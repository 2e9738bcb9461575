"""LoRA adapters: applied by real workers, and counted by the plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dmr_tui.engine.files import ModelFiles
from dmr_tui.engine.manager import EngineManager
from dmr_tui.engine.plan import Memory
from dmr_tui.engine.questions import EmbedQuestion
from dmr_tui.errors import EngineError, InsufficientMemoryError
from dmr_tui.runner.shapes import read_shape
from dmr_tui.settings import Settings
from tests.engine.asking import ANY, ask, complete
from tests.support.gguf_maker import SHAPES, Shape, write_tiny_bert, write_tiny_lora

STORY = complete("Once upon a time", max_tokens=24)


def adapted(tiny: ModelFiles, *adapters: Path) -> ModelFiles:
    names = "+".join(file.stem for file in adapters)
    return replace(tiny, id=f"sha256:{names}", name=names, adapters=adapters)


async def test_an_adapter_changes_what_the_model_says(
    manager: EngineManager, tiny: ModelFiles, tmp_path: Path
) -> None:
    strong = write_tiny_lora(tmp_path / "strong.gguf")
    none = write_tiny_lora(tmp_path / "none.gguf", alpha=1e-9)
    other = write_tiny_lora(tmp_path / "other.gguf", seed=8)
    bare = (await ask(manager, tiny, STORY)).text
    texts = [
        (await ask(manager, adapted(tiny, *adapters), STORY)).text
        for adapters in ((strong,), (none,), (other,), (strong, other))
    ]
    assert texts[1] == bare
    assert len({bare, *texts}) == 4
    # The same again, from what was computed before.
    assert (await ask(manager, adapted(tiny, strong), STORY)).text == texts[0]


@pytest.mark.parametrize("case", ["missing", "no adapter", "another model's"])
async def test_one_that_cannot_be_applied_is_named(
    manager: EngineManager, tiny: ModelFiles, tmp_path: Path, case: str
) -> None:
    file = tmp_path / "style.gguf"
    if case == "no adapter":
        file.write_bytes(tiny.gguf.read_bytes())
    elif case == "another model's":
        tiny_shape = SHAPES["tiny"]
        wide = Shape(**{**vars(tiny_shape), "embedding": tiny_shape.embedding * 2})
        write_tiny_lora(file, shape=wide)
    with pytest.raises(EngineError, match=r"its LoRA adapter style\.gguf cannot be applied: \w+"):
        await manager.load(adapted(tiny, file), ANY)
    assert manager.running() == []
    assert (await ask(manager, tiny, STORY)).text


async def test_embedding_models_take_them_too(manager: EngineManager, tmp_path: Path) -> None:
    bert = write_tiny_bert(tmp_path / "bert.gguf")
    files = ModelFiles("sha256:bert", "bert", bert, adapters=(tmp_path / "none.gguf",))
    with pytest.raises(EngineError, match=r"its LoRA adapter none\.gguf"):
        await manager.ask(files, EmbedQuestion(["x"]), ANY)


async def test_the_plan_counts_them(tiny: ModelFiles, tmp_path: Path) -> None:
    adapter = write_tiny_lora(tmp_path / "style.gguf")
    with adapter.open("ab") as file:
        file.truncate(1024**4)
    manager = EngineManager(
        settings=Settings(threads=1),
        logs=tmp_path,
        read_shape=read_shape,
        read_memory=lambda: Memory(free=1024**3, total=1024**5),
    )
    # A projector is loaded beside the model, too.
    for files in (adapted(tiny, adapter), replace(tiny, id="sha256:eye", mmproj=adapter)):
        with pytest.raises(InsufficientMemoryError, match=r"projector and adapters 1\.0 TiB"):
            await manager.load(files, ANY)
    await manager.close()
