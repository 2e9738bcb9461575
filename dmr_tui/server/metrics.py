"""`GET /metrics`: the models in memory as Prometheus reads them.

Text format 0.0.4. As with Docker Model Runner, each sample has the labels `backend`, `model` and
`mode`, and what llama-server counts too has its names there (`llamacpp:…`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dmr_tui.engine.profile import RunningModel
from dmr_tui.engine.stats import Stats
from dmr_tui.runner.base import Runner

_FORMAT = "text/plain; version=0.0.4; charset=utf-8"
_NOBODY = "# No active runners\n"
_NONE = Stats()


@dataclass(frozen=True)
class _Family:
    """One series, with a sample for each model that has a value."""

    name: str
    kind: str
    help: str
    value: Callable[[RunningModel, Stats], float | None]
    label: str = ""
    """One more label, as it is written."""


_FAMILIES = (
    _Family("llamacpp:prompt_tokens_total", "counter", "Prompt tokens computed.",
            lambda model, done: done.prompt_tokens),
    _Family("llamacpp:prompt_seconds_total", "counter", "Time in which prompts were read.",
            lambda model, done: done.prompt_seconds),
    _Family("llamacpp:tokens_predicted_total", "counter", "Tokens generated.",
            lambda model, done: done.generated_tokens),
    _Family("llamacpp:tokens_predicted_seconds_total", "counter",
            "Time in which answers were written.", lambda model, done: done.generation_seconds),
    _Family("llamacpp:n_decode_total", "counter", "Passes of the batch.",
            lambda model, done: done.passes),
    _Family("llamacpp:prompt_tokens_seconds", "gauge", "Prompt tokens per second, at last.",
            lambda model, done: done.prompt_speed),
    _Family("llamacpp:predicted_tokens_seconds", "gauge", "Generated tokens per second, at last.",
            lambda model, done: done.generation_speed),
    _Family("llamacpp:requests_processing", "gauge", "Requests with a slot.",
            lambda model, done: done.busy),
    _Family("llamacpp:requests_deferred", "gauge", "Requests that wait for a slot.",
            lambda model, done: done.waiting),
    _Family("llamacpp:kv_cache_usage_ratio", "gauge", "Share of the KV memory in use, 0 to 1.",
            lambda model, done: done.kv_used / model.context_size if model.context_size else None),
    _Family("dmr_prompt_tokens_cached_total", "counter",
            "Prompt tokens that were in KV memory already.",
            lambda model, done: done.cached_tokens),
    _Family("dmr_first_token_seconds", "gauge", "Time to first token of the last 100 requests.",
            lambda model, done: done.first_token_p50, 'quantile="0.5"'),
    _Family("dmr_first_token_seconds", "gauge", "",
            lambda model, done: done.first_token_p95, 'quantile="0.95"'),
    _Family("dmr_slots", "gauge", "Requests that are answered at a time.",
            lambda model, done: model.slots or None),
    _Family("dmr_memory_bytes", "gauge", "Resident memory of the worker.",
            lambda model, done: model.memory),
    _Family("dmr_memory_planned_bytes", "gauge", "What the memory plan expected it to take.",
            lambda model, done: model.planned or None),
    _Family("dmr_ready", "gauge", "1 when the model is in memory, 0 while it comes or goes.",
            lambda model, done: int(model.state == "ready")),
)  # fmt: skip


class Metrics:
    """The handler; what it tells is the runner's."""

    def __init__(self, runner: Runner) -> None:
        """Tell of the models of `runner`."""
        self._runner = runner

    def routes(self) -> list[Route]:
        """The one path; other methods than GET are refused by it."""
        return [Route("/metrics", self.metrics, methods=["GET"])]

    async def metrics(self, request: Request) -> Response:
        """`GET /metrics`."""
        text = exposition(await self._runner.running())
        return Response(text, headers={"content-type": _FORMAT})


def exposition(models: Sequence[RunningModel]) -> str:
    """The figures of some models in Prometheus' text format."""
    if not models:
        return _NOBODY
    lines: list[str] = []
    for family in _FAMILIES:
        if family.help:
            lines.append(f"# HELP {family.name} {family.help}")
            lines.append(f"# TYPE {family.name} {family.kind}")
        for model in models:
            value = family.value(model, model.stats or _NONE)
            if value is not None:
                lines.append(f"{family.name}{{{_labels(model, family.label)}}} {value:.12g}")
    return "\n".join([*lines, ""])


def _labels(model: RunningModel, more: str) -> str:
    named = {"backend": model.backend, "model": model.name, "mode": model.mode}
    return ",".join(
        [*(f'{key}="{_escaped(text)}"' for key, text in named.items()), *filter(None, [more])]
    )


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
