"""Text between a prefix and a suffix, for models that know how."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmr_tui.engine.files import ModelFiles
from dmr_tui.engine.manager import EngineManager
from dmr_tui.engine.request import CompletionRequest, Limits, Sampling
from dmr_tui.errors import ContextLengthError, InvalidRequestError
from tests.engine.asking import ask, complete
from tests.support.gguf_maker import write_tiny_llama

GREEDY = Sampling(temperature=0.0)
PREFIX, SUFFIX, MIDDLE = 1000, 1001, 1002


def infill(prompt: str | list[int], suffix: str) -> CompletionRequest:
    return CompletionRequest(prompt, GREEDY, Limits(8), suffix=suffix)


@pytest.fixture
def files(tmp_path: Path) -> ModelFiles:
    """A model that knows the marks."""
    marks = {"fim_pre": PREFIX, "fim_suf": SUFFIX, "fim_mid": MIDDLE}
    extra = {f"tokenizer.ggml.{name}_token_id": token for name, token in marks.items()}
    file = write_tiny_llama(tmp_path / "fim.gguf", extra=extra)
    return ModelFiles(id="sha256:fim", name="fim", gguf=file)


async def test_the_marks_stand_where_the_model_expects_them(
    manager: EngineManager, files: ModelFiles
) -> None:
    answer = await ask(manager, files, infill([300, 301], "Hello"))
    (hello,) = [await ask(manager, files, complete("Hello", max_tokens=1))]
    written = [PREFIX, 300, 301, SUFFIX]
    assert answer.started.prompt_tokens == len(written) + hello.started.prompt_tokens + 1
    # The same tokens by hand: all but the last are known already.
    again = await ask(manager, files, infill([300, 301], "Hello"))
    assert again.text == answer.text
    begun = await ask(manager, files, complete([*written, 5], max_tokens=1))
    assert begun.started.cached_tokens == len(written)


@pytest.mark.parametrize("place", ["prompt", "suffix"])
async def test_of_a_text_much_too_long_only_the_beginning_is_looked_at(
    manager: EngineManager, files: ModelFiles, place: str
) -> None:
    long = "Hello " * 1_000_000
    request = infill(long, "x") if place == "prompt" else infill("x", long)
    with pytest.raises(ContextLengthError, match=rf"the {place} has at least \d+ tokens") as caught:
        await ask(manager, files, request)
    assert caught.value.param == place


async def test_other_models_say_so(manager: EngineManager, tiny: ModelFiles) -> None:
    with pytest.raises(InvalidRequestError, match="knows no marks") as caught:
        await ask(manager, tiny, infill("def f(", "return x"))
    assert caught.value.param == "suffix"
