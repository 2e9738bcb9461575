"""What words choose which models, and in which order they come."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dmr_tui.engine.fit import Fit
from dmr_tui.engine.profile import RunningModel
from dmr_tui.runner.base import Model
from dmr_tui.screens.library import Entry, Library
from dmr_tui.screens.models.capabilities import capabilities
from dmr_tui.screens.models.choice import Choice
from dmr_tui.screens.models.columns import Columns
from dmr_tui.screens.models.filter import Filters
from dmr_tui.screens.models.knowledge import next_context
from dmr_tui.screens.models.updates import Updates
from dmr_tui.screens.verdict import verdict
from tests.tui.stage import GB, NOW, SEVEN, StageRunner, model

HUGE = "huggingface.co/unsloth/qwen3-30b-a3b-gguf:Q3_K_M"


async def entries(runner: StageRunner | None = None) -> list[Entry]:
    library = Library(lambda: None)
    if runner is None:
        runner = StageRunner(SEVEN)
        runner.run(SEVEN[0], keep_alive=-1)
    await library.refresh(runner)  # type: ignore[arg-type]  # the part of a runner that is asked
    return library.entries


def fit_of(runner: StageRunner) -> Callable[[Entry], Fit | None]:
    return lambda entry: runner._fit(entry.model.id, None)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ["qwen3:8b", "nomic-embed-text", "llama3.2:3b", "gemma3:27b-it-qat", "smollm2",
              HUGE, "llama3.3:70b"]),
        ("q4_k llama", ["llama3.2:3b", "smollm2", "llama3.3:70b"]),
        ("size:<300m", ["nomic-embed-text", "smollm2"]),
        ("size:>=18g", ["gemma3:27b-it-qat", "llama3.3:70b"]),
        ("params:>=30b", [HUGE, "llama3.3:70b"]),
        ("ctx:>=128k", ["llama3.2:3b", "gemma3:27b-it-qat", "llama3.3:70b"]),
        ("loaded", ["qwen3:8b"]),
        ("pinned", ["qwen3:8b"]),
        ("-loaded -llama", ["nomic-embed-text", "gemma3:27b-it-qat",
                            HUGE]),
        ("used:<1h", ["qwen3:8b"]),
        ("!used:<1h tag:8b", []),
        ("tag:qwen3:latest", ["qwen3:8b"]),
        ("quant:f16", ["nomic-embed-text"]),
        ("arch:gemma", ["gemma3:27b-it-qat"]),
        ("cap:tools size:<6g", ["qwen3:8b", "llama3.2:3b", "smollm2"]),
        ("cap:vision", ["gemma3:27b-it-qat"]),
        ("cap:emb", ["nomic-embed-text"]),
        ("gpu", ["qwen3:8b", "nomic-embed-text", "llama3.2:3b", "smollm2"]),
        ("split", ["gemma3:27b-it-qat", HUGE]),
        ("-fits", ["llama3.3:70b"]),
        ("need:<1g", ["nomic-embed-text", "smollm2"]),
        ("docker.io/ai/smollm2:latest", ["smollm2"]),
        ("hf.co/unsloth", [HUGE]),
    ],
)  # fmt: skip
async def test_words_choose_models(text: str, names: list[str]) -> None:
    runner = StageRunner(SEVEN)
    filters = Filters(fit_of(runner), lambda: NOW)
    chosen = filters.parse(text)
    found = [entry.name for entry in chosen.choose(await entries())]
    assert (sorted(found), chosen.problem) == (sorted(names), "")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("size:<", "size: needs a comparison, as in size:<8g"),
        ("size:8g", "size: needs a comparison, as in size:<8g"),
        ("used:<7x", "used: needs a comparison, as in used:<7d"),
        ("qwen cap:fly", "cap: is one of chat, tools, thinking, vision, embedding"),
    ],
)
async def test_what_is_not_understood_is_said_and_chooses_nothing(text: str, problem: str) -> None:
    chosen = Filters(lambda entry: None).parse(text)
    assert chosen.problem == problem
    wanted = 2 if text.startswith("qwen") else 7
    assert len(chosen.choose(await entries())) == wanted


async def test_only_words_about_fit_ask_for_the_fit_of_every_model() -> None:
    filters = Filters(lambda entry: None)
    assert not filters.parse("qwen size:<8g loaded").asks_fit
    assert filters.parse("-fits").asks_fit
    assert filters.parse("need:<8g").asks_fit
    # What is not known yet is not said to fit.
    fits = filters.parse("fits")
    assert not fits.choose(await entries())


@pytest.mark.parametrize(
    ("gpu_layers", "fits", "text"),
    [
        (33, True, "GPU   6.9G"),
        (0, True, "CPU   6.9G"),
        (12, True, "SPLIT 12/33"),
        (0, False, "NO   −1.9G"),
    ],
)
def test_a_verdict_says_where_and_how_much(gpu_layers: int, fits: bool, text: str) -> None:
    device = 6_900_000_000 if gpu_layers == 33 else 0
    host = 6_900_000_000 - device
    fit = Fit(8192, fits, 33, gpu_layers, 1, 1, 1, 1, host, device, 5 * GB, 13 * GB, 0, 8192)
    assert verdict(fit).plain == text


async def test_every_column_sorts_and_the_best_fit_comes_first() -> None:
    runner = StageRunner(SEVEN)
    columns = Columns(fit_of(runner), lambda entry: True, lambda entry: False, lambda: NOW)
    updates = Updates()
    choice = Choice(Filters(fit_of(runner), lambda: NOW), updates, columns.orders)
    stored = await entries()

    def first(column: str, *, reverse: bool = False) -> str:
        choice.set_order(column, reverse=reverse)
        return choice.rows(stored, [])[0].name

    assert {column.key for column in columns.all()} == set(columns.orders)
    assert first("used") == "qwen3:8b"
    assert first("size") == "llama3.3:70b"
    assert first("size", reverse=True) == "smollm2"
    assert first("parameters") == "llama3.3:70b"
    assert first("context") in ("gemma3:27b-it-qat", "llama3.2:3b", "llama3.3:70b")
    assert first("quantization") == "nomic-embed-text"
    assert first("fit") == "gemma3:27b-it-qat"
    assert first("fit", reverse=True) == "llama3.3:70b"
    choice.set_order("gone", reverse=True)
    assert choice.column == "fit"


async def test_views_show_what_fits_and_what_is_loaded() -> None:
    runner = StageRunner(SEVEN)
    columns = Columns(fit_of(runner), lambda entry: True, lambda entry: False, lambda: NOW)
    updates = Updates()
    choice = Choice(Filters(fit_of(runner), lambda: NOW), updates, columns.orders)
    stored = await entries()
    counts = {}
    for _ in range(3):
        counts[choice.view] = len(choice.rows(stored, []))
        choice.next_view(stored)
    assert counts == {"All": 7, "Fits": 6, "Loaded": 1}
    assert choice.view == "All"


def test_the_capabilities_are_those_of_template_and_files() -> None:
    assert capabilities(SEVEN[0]) == ("chat", "tools", "thinking")
    assert capabilities(SEVEN[3]) == ("chat", "vision")
    assert capabilities(model("bge", architecture="bert")) == ("embedding",)
    assert capabilities(Model(id="sha256:0")) == ()


@pytest.mark.parametrize(
    ("now", "trained", "step", "then"),
    [
        (8192, 131072, 1, 16384),
        (8192, 131072, -1, 4096),
        (6144, 131072, -1, 4096),
        (65536, 100_000, 1, 100_000),
        (100_000, 100_000, 1, 100_000),
        (512, 131072, -1, 512),
        (2048, 2048, 1, 2048),
        (8192, 0, 1, 16384),
    ],
)
def test_the_context_moves_in_powers_of_two_up_to_what_was_trained(
    now: int, trained: int, step: int, then: int
) -> None:
    assert next_context(now, trained, step) == then


async def test_thousands_of_models_are_put_together_once() -> None:
    many = [model(f"m{number}") for number in range(300)]
    runner = StageRunner(many)
    told: list[int] = []
    library = Library(lambda: told.append(1))
    await library.refresh(runner)  # type: ignore[arg-type]  # as above
    first = library.entries
    await library.refresh_running(runner)  # type: ignore[arg-type]  # as above
    assert library.entries is first
    assert told == [1]
    runner.run(many[7])
    await library.refresh_running(runner)  # type: ignore[arg-type]  # as above
    found = library.find("docker.io/ai/m7:latest")
    assert found is not None
    assert isinstance(found.running, RunningModel)
    assert library.find("m7") is found
    assert library.find(many[7].id) is found
    assert library.find("no such thing") is None
