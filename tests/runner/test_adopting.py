from __future__ import annotations

import hashlib
import json
from contextlib import aclosing
from pathlib import Path

import pytest

from dmr_tui.errors import InvalidRequestError, ModelNotFoundError
from dmr_tui.paths import Paths
from dmr_tui.runner.local import LocalRunner
from dmr_tui.runner.remote import RemoteRunner
from dmr_tui.settings import Settings


def keep_in_ollama(gguf: Path, name: str) -> None:
    """Lay a file into Ollama's store as Ollama does."""
    root = Path.home() / ".ollama" / "models"
    content = gguf.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    (root / "blobs").mkdir(parents=True, exist_ok=True)
    (root / "blobs" / f"sha256-{digest}").write_bytes(content)
    model, tag = name.split(":")
    manifest = root / "manifests" / "registry.ollama.ai" / "library" / model / tag
    manifest.parent.mkdir(parents=True, exist_ok=True)
    layer = {
        "mediaType": "application/vnd.ollama.image.model",
        "digest": f"sha256:{digest}",
        "size": len(content),
    }
    manifest.write_text(json.dumps({"layers": [layer]}))


async def test_what_another_program_has_is_found_taken_in_and_not_found_again(
    tiny_gguf: Path,
) -> None:
    keep_in_ollama(tiny_gguf, "tiny:1b")
    runner = LocalRunner.open(Paths.default(), Settings())
    (found,) = await runner.importable()
    assert (found.name, found.program) == ("ollama/tiny:1b", "ollama")
    assert found.size == tiny_gguf.stat().st_size
    async with aclosing(runner.adopt(found.name)) as lines:
        said = [line async for line in lines]
    assert said[-1].type == "success"
    assert said[0].layer.size == found.size
    assert [model.tags for model in await runner.models()] == [["docker.io/ollama/tiny:1b"]]
    assert await runner.importable() == []
    await runner.close()


async def test_a_name_that_nobody_has_is_an_error() -> None:
    runner = LocalRunner.open(Paths.default(), Settings())
    with pytest.raises(ModelNotFoundError, match="no other program has a model called nothing"):
        await anext(runner.adopt("nothing"))
    await runner.close()


async def test_over_http_nothing_is_looked_at() -> None:
    runner = RemoteRunner("http://127.0.0.1:1")
    assert await runner.importable() == []
    with pytest.raises(InvalidRequestError) as raised:
        await anext(runner.adopt("ollama/tiny"))
    assert raised.value.hint == "there: dmr import ollama/tiny"
    await runner.close()
