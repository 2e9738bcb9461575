"""A `Runner` without an engine: it says what a test tells it to, and remembers what was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from dmr_tui.engine.checks import check_form, check_request, has_form
from dmr_tui.engine.fit import Fit
from dmr_tui.engine.plan import Memory
from dmr_tui.engine.profile import Profile, RunningModel
from dmr_tui.engine.questions import A, AnyReply, Question
from dmr_tui.engine.request import (
    ChatRequest,
    Delta,
    Event,
    Finished,
    FinishReason,
    GenerateRequest,
    Loading,
    ReasoningDelta,
    Started,
    ToolCallDelta,
    Usage,
)
from dmr_tui.engine.stats import Stats
from dmr_tui.errors import ConflictError, DmrError, InvalidRequestError, ModelNotFoundError
from dmr_tui.runner.activity.answering import Answering
from dmr_tui.runner.activity.journal import Journal
from dmr_tui.runner.activity.records import Activity, Bodies, LogLine
from dmr_tui.runner.base import DiskUsage, Importable, Model, Published, Removed, RunnerStatus
from dmr_tui.runner.measured import Measured
from dmr_tui.store.manifest import ModelConfig
from dmr_tui.store.transfer.found import DEFAULT_LIMIT, Found, Source, Variant
from dmr_tui.store.transfer.progress import LayerProgress, TransferProgress

MODEL = Model(
    id="sha256:" + "ab" * 32,
    created=1742816981,
    config=ModelConfig(
        format="gguf",
        quantization="Q8_0",
        parameters="135M",
        architecture="llama",
        size="138MB",
        gguf={"llama.context_length": "4096"},
    ),
    tags=["docker.io/ai/llama3.2:1B-Q8_0", "docker.io/ai/other:latest"],
)
NAMES = ("ai/llama3.2:1B-Q8_0", "llama3.2:1B-Q8_0", *MODEL.tags, MODEL.id)
MANIFEST = {"schemaVersion": 2, "layers": [{"digest": "sha256:" + "cd" * 32, "size": 7}]}

FIT = Fit(
    context=4096,
    fits=True,
    layers=17,
    gpu_layers=3,
    weights=100,
    cache=20,
    compute=3,
    overhead=4,
    host=100,
    device=27,
    host_free=1000,
    device_free=50,
    largest_context=4096,
    trained_context=4096,
)
ARCHIVE = (b"blobs " * 1000, b"manifest")


@dataclass
class FakeRunner:
    """Answers with `words`; a test bends the rest."""

    words: Sequence[str] = ("Hel", "lo ", "wörld\u2028!")
    thoughts: Sequence[str] = ()
    tool_calls: Sequence[ToolCallDelta] = ()
    reason: FinishReason = "stop"
    found: Found = field(default_factory=lambda: Found([]))
    failure: DmrError | None = None
    """Raised instead of the event number `fails_at` (0: before anything started)."""
    fails_at: int = 0
    endless: bool = False
    """Never finish: after the words, wait until the consumer closes the stream."""
    asked: list[tuple[str, GenerateRequest, Profile | None]] = field(default_factory=list)
    questions: list[tuple[str, Question[Any]]] = field(default_factory=list)
    replies: list[AnyReply] = field(default_factory=list)
    """What the next questions get."""
    stored: Profile = field(default_factory=Profile)
    journal: Journal = field(default_factory=Journal)
    lines: Sequence[LogLine] = ()
    """What is in the logs."""
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    open_streams: int = 0
    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while an endless stream waits."""
    freed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a stream has been closed or has ended."""

    held: list[AsyncGenerator[Event, None]] = field(default_factory=list)
    """Every answer's stream: only who closes one frees it, the garbage collector does not."""

    def _known(self, name: str) -> None:
        # As with a local runner, a path to a file is the name of a model.
        if name not in NAMES and not name.endswith(".gguf"):
            raise ModelNotFoundError(f"model {name!r} not found", "did you mean llama3.2?")

    @asynccontextmanager
    async def _stream(self) -> AsyncGenerator[None, None]:
        self.open_streams += 1
        try:
            yield
        finally:
            self.open_streams -= 1
            self.freed.set()

    async def _hold(self) -> None:
        self.waiting.set()
        await asyncio.Event().wait()

    def generate(
        self, model: str, request: GenerateRequest, *, profile: Profile | None = None
    ) -> AsyncGenerator[Event, None]:
        self.held.append(self._generate(model, request, profile))
        return self.held[-1]

    async def _generate(
        self, model: str, request: GenerateRequest, profile: Profile | None
    ) -> AsyncGenerator[Event, None]:
        with Answering(self.journal, "test", model, request, profile) as answer:
            async with aclosing(self._events(model, request, profile)) as events:
                async for event in events:
                    answer.see(event)
                    yield event

    async def _events(
        self, model: str, request: GenerateRequest, profile: Profile | None
    ) -> AsyncGenerator[Event, None]:
        self._known(model)
        check_request(request)
        if has_form(request):
            check_form(request)
        self.asked.append((model, request, profile))
        texts: list[Event] = [ReasoningDelta(text) for text in self.thoughts]
        texts += [Delta(text) for text in self.words]
        texts += self.tool_calls
        async with self._stream():
            yield Loading(0.5)
            for at, event in enumerate([Started(prompt_tokens=11, cached_tokens=4), *texts]):
                if self.failure is not None and at == self.fails_at:
                    raise self.failure
                yield event
            if self.endless:
                await self._hold()
            yield Finished(
                self.reason,
                Usage(
                    prompt_tokens=11,
                    completion_tokens=len(texts),
                    cached_tokens=4,
                    prompt_seconds=0.5,
                    generation_seconds=2.0,
                ),
            )

    async def models(self) -> list[Model]:
        return [MODEL]

    async def model(self, name: str) -> Model:
        self._known(name)
        return MODEL

    async def manifest(self, name: str) -> dict[str, Any]:
        self._known(name)
        return MANIFEST

    async def files(self) -> dict[str, dict[str, int]]:
        return {MODEL.id: {"sha256:" + "cd" * 32: 7}}

    async def tag(self, source: str, target: str) -> str:
        self._known(source)
        self.calls.append(("tag", source, target))
        return target

    async def importable(self) -> list[Importable]:
        return []

    async def adopt(self, name: str) -> AsyncGenerator[TransferProgress, None]:
        self.calls.append(("adopt", name))
        yield TransferProgress("success", "")

    async def remove(self, name: str, *, force: bool = False) -> list[Removed]:
        self._known(name)
        self.calls.append(("remove", name, force))
        if name == MODEL.id and not force:
            raise ConflictError("the model has several tags", "remove it with --force")
        return [Removed(untagged=MODEL.tags[0]), Removed(deleted=MODEL.id)]

    async def purge(self, *, force: bool = False) -> None:
        self.calls.append(("purge", force))
        if not force:
            raise ConflictError("the store is in use by process 77 (run llama3.2)")

    async def pull(self, name: str, *, token: str = "") -> AsyncGenerator[TransferProgress, None]:
        self.calls.append(("pull", name, *filter(None, [token])))
        async for line in self._transfer("pull"):
            yield line

    async def push(self, name: str, *, token: str = "") -> AsyncGenerator[TransferProgress, None]:
        self._known(name)
        self.calls.append(("push", name, *filter(None, [token])))
        async for line in self._transfer("push"):
            yield line

    async def _transfer(self, mode: Any) -> AsyncGenerator[TransferProgress, None]:
        async with self._stream():
            if self.failure is not None and self.fails_at == 0:
                raise self.failure
            layer = LayerProgress(id="sha256:" + "cd" * 32, size=7, current=3)
            yield TransferProgress("progress", 'Moved: 3 B of "x"', 7, layer, mode)
            if self.failure is not None:
                raise self.failure
            if self.endless:
                await self._hold()
            yield TransferProgress("success", f"Model {mode}ed successfully", mode=mode)

    async def export(self, name: str) -> AsyncGenerator[bytes, None]:
        self._known(name)
        async with self._stream():
            for chunk in ARCHIVE:
                yield chunk
            if self.failure is not None:
                raise self.failure
            if self.endless:
                await self._hold()

    async def load_archive(self, chunks: AsyncIterable[bytes]) -> str:
        archive = b"".join([chunk async for chunk in chunks])
        self.calls.append(("load_archive", archive))
        if archive != b"".join(ARCHIVE):
            raise InvalidRequestError("this is no model's archive")
        return MODEL.id

    async def repackage(self, source: str, target: str, *, context_size: int | None = None) -> str:
        self._known(source)
        self.calls.append(("repackage", source, target, context_size))
        return f"docker.io/{target}"

    async def search(
        self,
        term: str = "",
        *,
        limit: int = DEFAULT_LIMIT,
        source: Source = "all",
        sizes: bool = True,
    ) -> Found:
        self.calls.append(("search", term, limit, source))
        return self.found

    async def variants(self, name: str) -> list[Variant]:
        self._known(name)
        return [Variant(NAMES[1], "1B-Q8_0", 138)]

    async def look(self, name: str) -> Published:
        self._known(name)
        return Published(MODEL.id, MODEL.created, MODEL.config, 138, 137)

    async def free_memory(self) -> Memory | None:
        return None

    async def disk_usage(self) -> DiskUsage:
        return DiskUsage(models=1234, engine=56, partial=7, unused=8, quarantined=9)

    async def load(self, model: str, *, profile: Profile | None = None) -> None:
        self._known(model)
        self.calls.append(("load", model, profile))

    async def ask(self, model: str, question: Question[A]) -> A:
        self._known(model)
        self.questions.append((model, question))
        if self.failure is not None:
            raise self.failure
        return cast(A, self.replies.pop(0))

    async def profile(self, model: str) -> Profile:
        self._known(model)
        return self.stored

    async def fits(self, models: Sequence[str], *, context: int | None = None) -> list[Fit | None]:
        self.calls.append(("fits", list(models), context))
        return [FIT if each == MODEL.id else None for each in models]

    async def measured(self) -> dict[str, Measured]:
        return {MODEL.id: Measured(1742816981.25, 3, 840.0, 47.5, 0.31, 2.5)}

    async def configure(self, model: str, profile: Profile, *, replace: bool = False) -> None:
        self._known(model)
        self.calls.append(("configure", model, profile, *(["replace"] if replace else [])))

    def activity(self) -> AsyncGenerator[Activity, None]:
        return self.journal.watch()

    async def bodies(self, request: str) -> Bodies | None:
        return self.journal.bodies(request)

    async def keep_bodies(self, keep: bool) -> None:
        self.journal.keeps_bodies = keep

    async def clear_requests(self) -> None:
        self.journal.clear()

    async def logs(
        self, *, follow: bool = False, engines: bool = True
    ) -> AsyncGenerator[list[LogLine], None]:
        yield [line for line in self.lines if engines or not line.engine]
        if follow:
            async with self._stream():
                await self._hold()

    async def running(self) -> list[RunningModel]:
        idle = RunningModel(
            id=MODEL.id,
            name=MODEL.tags[0],
            backend="llama.cpp",
            mode="completion",
            state="ready",
            in_use=0,
            keep_alive=90.0,
            last_used=1742816981.25,
            context_size=4096,
            memory=99,
            gpu_layers=3,
            pid=77,
            layers=16,
            slots=16,
            planned=98,
            stats=Stats(busy=1, kv_used=1024, generated_tokens=400, first_token_p50=0.25),
        )
        busy = RunningModel(
            id="sha256:" + "ef" * 32,
            name="docker.io/ai/busy:latest",
            backend="llama.cpp",
            mode="completion",
            state="loading",
            in_use=2,
            keep_alive=-1.0,
            last_used=None,
            context_size=0,
            memory=0,
            gpu_layers=0,
            pid=78,
            progress=0.25,
        )
        return [idle, busy]

    async def unload(self, models: Sequence[str] | None = None) -> int:
        self.calls.append(("unload", models))
        return 2 if models is None else len(models)

    async def status(self) -> RunnerStatus:
        return RunnerStatus("embedded", "", "1.2.3", {"llama.cpp": "Running: llama.cpp 0.3.36"})

    async def close(self) -> None:
        self.calls.append(("close",))

    @property
    def chat(self) -> ChatRequest:
        """The one chat that was asked."""
        ((_, request, _),) = self.asked
        assert isinstance(request, ChatRequest)
        return request
