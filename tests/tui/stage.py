"""A runner whose every step a test decides: models come and go, answers come token by token."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import msgspec

from dmr_tui.app import DmrApp
from dmr_tui.engine.fit import Fit
from dmr_tui.engine.profile import Profile, RunningModel
from dmr_tui.engine.request import (
    ChatRequest,
    Delta,
    Event,
    Finished,
    FinishReason,
    GenerateRequest,
    Started,
    Usage,
)
from dmr_tui.errors import DmrError, ModelNotFoundError
from dmr_tui.paths import Paths
from dmr_tui.runner.activity.journal import Journal
from dmr_tui.runner.activity.records import Activity, Bodies, LogLine
from dmr_tui.runner.base import (
    Importable,
    Model,
    Published,
    Removed,
    Runner,
    RunnerStatus,
)
from dmr_tui.runner.measured import Measured
from dmr_tui.screens.workspace import Clocks
from dmr_tui.settings import Settings
from dmr_tui.store.manifest import ModelConfig
from dmr_tui.store.reference import parse_reference
from dmr_tui.store.transfer.progress import LayerProgress, TransferProgress
from dmr_tui.system.gpu import GpuReading
from dmr_tui.system.memory import MemoryReading
from dmr_tui.system.sampler import Machine, Reading
from dmr_tui.system.traffic import Traffic
from dmr_tui.widgets.figures import parse_size
from tests.tui.market import Market

NOW = 1_763_721_060.0
"""A Friday morning, 10:31 UTC."""
GB = 1000**3


TEMPLATES = {
    "qwen3": "{% if tools %}{{ tools }}{% endif %}<think>{{ messages }}",
    "llama": "{% if tools %}{{ tools }}{% endif %}{{ messages }}",
    "gemma3": "{{ messages }}",
}
"""What tells of a model's capabilities, by its architecture."""


def model(
    name: str,
    parameters: str = "361.82M",
    quantization: str = "Q4_K_M",
    size: str = "256.35MiB",
    context: int = 8192,
    architecture: str = "llama",
    tags: Sequence[str] = (),
) -> Model:
    """A stored model as a runner tells of it."""
    reference = parse_reference(name)
    gguf = {
        f"{architecture}.context_length": str(context),
        f"{architecture}.block_count": "32",
        f"{architecture}.attention.head_count": "15",
        f"{architecture}.attention.head_count_kv": "5",
        f"{architecture}.embedding_length": "960",
        "general.license": "apache-2.0",
    }
    if template := TEMPLATES.get(architecture):
        gguf["tokenizer.chat_template"] = template
    return Model(
        id="sha256:" + name.encode().hex().ljust(64, "0")[:64],
        created=1_742_816_981,
        config=ModelConfig(
            format="gguf",
            quantization=quantization,
            parameters=parameters,
            architecture=architecture,
            size=size,
            gguf=gguf,
        ),
        tags=[str(reference), *(str(parse_reference(tag)) for tag in tags)],
        projector=architecture == "gemma3",
    )


SEVEN = (
    model("qwen3:8b", "8.19B", "Q4_K_M", "4.68GiB", 40960, "qwen3", ["qwen3"]),
    model("nomic-embed-text", "137M", "F16", "261.60MiB", 2048, "nomic-bert"),
    model("llama3.2:3b", "3.21B", "Q4_K_M", "1.87GiB", 131072),
    model("gemma3:27b-it-qat", "27.4B", "Q4_0", "16.86GiB", 131072, "gemma3"),
    model("smollm2", "361.82M", "IQ2_XXS/Q4_K_M", "256.35MiB", 8192),
    model("hf.co/unsloth/Qwen3-30B-A3B-GGUF:Q3_K_M", "30.5B", "Q3_K_M", "13.13GiB", 40960, "qwen3"),
    model("llama3.3:70b", "70.6B", "Q4_K_M", "39.59GiB", 131072),
)


class StageRunner(Market):
    """The part of a `Runner` that the screens use, on a stage.

    An answer waits for the test to `say` something and to `finish` it, a pull for `progress` and
    `arrive`; `fail` breaks either off. `pace` makes it play by itself, for a look at the screen.
    """

    def __init__(self, models: Sequence[Model] = ()) -> None:
        super().__init__()
        self.stored = list(models)
        self.contents: dict[str, dict[str, int]] = {}
        """Bytes of files by digest, by the ids of models."""
        self.foreign: list[Importable] = []
        """Models of other programs on the machine."""
        self.workers: dict[str, RunningModel] = {}
        self.asked: list[ChatRequest] = []
        self.calls: list[tuple[Any, ...]] = []
        self.failure: DmrError | None = None
        """Raised by the next call that reads or changes models."""
        self.kind, self.endpoint = "embedded", ""
        self.pace: tuple[str, float] | None = None
        """A text to answer by itself, and the seconds between its words."""
        self.free_device, self.free_host = 12_800_000_000, 24 * GB
        self.newer: dict[str, str] = {}
        """Ids that the registries have under these names now."""
        self.loads: asyncio.Event | None = None
        """Loads wait for it, if there is one."""
        self.speeds: dict[str, Measured] = {}
        self.profiles: dict[str, Profile] = {}
        self.closed = False
        self.stopped: list[str] = []
        """What was broken off by its consumer: `answer` or `pull`."""
        self.now = NOW
        """Unix time of what happens next."""
        self.journal = Journal(now=lambda: self.now, clock=lambda: self.now)
        self.lines: list[LogLine] = []
        """What is in the logs to begin with."""
        self._log: asyncio.Queue[LogLine] = asyncio.Queue()
        self._steps: asyncio.Queue[Event | DmrError] = asyncio.Queue()
        self._lines: asyncio.Queue[TransferProgress | DmrError] = asyncio.Queue()
        self._apart: dict[str, asyncio.Queue[TransferProgress | DmrError]] = {}
        self._arriving: list[Model] = []
        self._playing: asyncio.Task[None] | None = None

    # What a test makes happen.

    def say(self, *texts: str) -> None:
        """Let the answer go on."""
        for text in texts:
            self._steps.put_nowait(Delta(text))

    def event(self, event: Event) -> None:
        """Let something else happen in the answer."""
        self._steps.put_nowait(event)

    def finish(self, reason: FinishReason = "stop", tokens: int = 212) -> None:
        """End the answer."""
        usage = Usage(26, tokens, 0, prompt_seconds=0.31, generation_seconds=4.5)
        self._steps.put_nowait(Finished(reason, usage))

    def log(self, *lines: LogLine) -> None:
        """Let lines be written to the logs."""
        for line in lines:
            self._log.put_nowait(line)

    def apart(self, *names: str) -> None:
        """Let these pulls go on each by itself, as `of` names it."""
        self._apart |= {name: asyncio.Queue() for name in names}

    def progress(
        self, current: int, total: int, layer: str = "sha256:9c2fe1aa0b77", *, of: str = ""
    ) -> None:
        """Let the pull go on."""
        part = LayerProgress(layer, total, current)
        self._of(of).put_nowait(TransferProgress("progress", "", total, part))

    def arrive(self, *models: Model, of: str = "") -> None:
        """End the pull; from now on these models are stored."""
        self._arriving = list(models)
        self._of(of).put_nowait(TransferProgress("success", "Model pulled successfully"))

    def fail(self, error: DmrError, *, of: str = "") -> None:
        """Break off what is under way."""
        if not of:
            self._steps.put_nowait(error)
        self._of(of).put_nowait(error)

    def _of(self, name: str) -> asyncio.Queue[TransferProgress | DmrError]:
        return self._apart.get(name, self._lines)

    def run(
        self, stored: Model, *, state: str = "ready", in_use: int = 0, **facts: Any
    ) -> RunningModel:
        """Have a model in memory; `facts` are fields of `RunningModel` that are different."""
        usual = RunningModel(
            id=stored.id,
            name=stored.tags[0],
            backend="llama.cpp",
            mode="completion",
            state=state,
            in_use=in_use,
            keep_alive=300.0,
            last_used=NOW - 130,
            context_size=8192,
            memory=6_912_000_000,
            gpu_layers=0,
            pid=4711,
            layers=32,
            progress=0.41 if state == "loading" else None,
        )
        self.workers[stored.id] = msgspec.structs.replace(usual, **facts)
        return self.workers[stored.id]

    # What the screens call.

    def _check(self) -> None:
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure

    def _find(self, name: str) -> Model:
        self._check()
        for stored in self.stored:
            if name == stored.id or str(parse_reference(name)) in stored.tags:
                return stored
        raise ModelNotFoundError(f"model {name!r} not found", f"get it with: dmr pull {name}")

    async def models(self) -> list[Model]:
        self._check()
        return list(self.stored)

    async def model(self, name: str) -> Model:
        return self._find(name)

    async def manifest(self, name: str) -> dict[str, Any]:
        self.calls.append(("manifest", name))
        layers = [("application/vnd.docker.ai.gguf.v3", 268_804_096)]
        layers += [("application/vnd.docker.ai.license", 11_358)]
        return {"layers": [{"mediaType": kind, "size": size} for kind, size in layers]}

    async def files(self) -> dict[str, dict[str, int]]:
        return self.contents

    async def importable(self) -> list[Importable]:
        return self.foreign

    async def adopt(self, name: str) -> AsyncGenerator[TransferProgress, None]:
        self.calls.append(("adopt", name))
        self._check()
        self.stored.append(model(name))
        yield TransferProgress("success", "Imported (reflink)")

    async def remove(self, name: str, *, force: bool = False) -> list[Removed]:
        self.calls.append(("remove", name))
        found = self._find(name)
        self.stored.remove(found)
        return [Removed(deleted=found.id)]

    async def pull(self, name: str, *, token: str = "") -> AsyncGenerator[TransferProgress, None]:
        self.calls.append(("pull", name))
        self._check()
        while True:
            try:
                line = await self._of(name).get()
            except asyncio.CancelledError:
                self.stopped.append("pull")
                raise
            if isinstance(line, DmrError):
                raise line
            yield line
            if line.type == "success":
                self.stored += self._arriving or [model(name)]
                return

    async def generate(
        self, model: str, request: GenerateRequest, *, profile: Profile | None = None
    ) -> AsyncGenerator[Event, None]:
        assert isinstance(request, ChatRequest)
        found = self._find(model)
        self.asked.append(request)
        self.calls.append(("generate", model))
        if self.pace is not None:
            self._playing = asyncio.create_task(self._play(*self.pace))
        self.run(found, in_use=1)
        yield Started(prompt_tokens=26)
        try:
            while True:
                step = await self._steps.get()
                if isinstance(step, DmrError):
                    raise step
                yield step
                if isinstance(step, Finished):
                    return
        except (asyncio.CancelledError, GeneratorExit):
            self.stopped.append("answer")
            raise
        finally:
            self.run(found)

    async def _play(self, text: str, seconds: float) -> None:
        words = [word + " " for word in text.split(" ")]
        for word in words:
            self.say(word)
            await asyncio.sleep(seconds)
        self.finish(tokens=len(words))

    async def load(self, model: str, *, profile: Profile | None = None) -> None:
        self.calls.append(("load", model, *([profile] if profile else [])))
        found = self._find(model)
        if self.loads is not None:
            self.run(found, state="loading")
            await self.loads.wait()
        self.run(found, keep_alive=300.0 if profile is None else profile.keep_alive)

    async def tag(self, source: str, target: str) -> str:
        self.calls.append(("tag", source, target))
        found = self._find(source)
        name = str(parse_reference(target))
        self.stored[self.stored.index(found)] = msgspec.structs.replace(
            found, tags=[*found.tags, name]
        )
        return name

    async def look(self, name: str) -> Published:
        self.calls.append(("look", name))
        try:
            found = self._find(name)
        except ModelNotFoundError:
            return await super().look(name)
        return Published(self.newer.get(name, found.id), 0, found.config, 0, 0)

    async def push(self, name: str) -> AsyncGenerator[TransferProgress, None]:
        self.calls.append(("push", name))
        self._check()
        while True:
            try:
                line = await self._lines.get()
            except asyncio.CancelledError:
                self.stopped.append("push")
                raise
            if isinstance(line, DmrError):
                raise line
            yield line
            if line.type == "success":
                return

    async def fits(self, models: Sequence[str], *, context: int | None = None) -> list[Fit | None]:
        self.calls.append(("fits", list(models), context))
        return [self._fit(each, context) for each in models]

    def _fit(self, model_id: str, context: int | None) -> Fit | None:
        """As a planner would say it, with sums that are easy to check."""
        found = next((each for each in self.stored if each.id == model_id), None)
        if found is None or not found.config.size:
            return None
        weights = parse_size(found.config.size)
        trained = int(found.config.gguf[f"{found.config.architecture}.context_length"])
        tokens = min(context or 8192, trained)
        rest = GB // 2
        room = self.free_device - weights - rest
        per_token = weights // 40_000
        cache = per_token * tokens
        layers = 33
        on_gpu = layers if cache <= room else max(int(layers * (room / weights + 1)) - 20, 0)
        host = 0 if on_gpu == layers else weights
        largest = min(max(room // per_token, 0), trained)
        if host:
            largest = tokens if host <= self.free_host else 0
        return Fit(
            context=tokens,
            fits=host <= self.free_host,
            layers=layers,
            gpu_layers=on_gpu,
            weights=weights,
            cache=cache,
            compute=rest - GB // 10,
            overhead=GB // 10,
            host=host,
            device=weights + rest + cache - host,
            host_free=self.free_host,
            device_free=self.free_device,
            largest_context=largest,
            trained_context=trained,
        )

    async def measured(self) -> dict[str, Measured]:
        return dict(self.speeds)

    async def profile(self, model: str) -> Profile:
        named = (each.id for each in self.stored if str(parse_reference(model)) in each.tags)
        return self.profiles.get(model if model in self.profiles else next(named, ""), Profile())

    async def configure(self, model: str, profile: Profile, *, replace: bool = False) -> None:
        self.calls.append(("configure", model, profile))
        self._check()
        self.profiles[self._find(model).id] = profile

    async def running(self) -> list[RunningModel]:
        return list(self.workers.values())

    async def unload(self, models: Sequence[str] | None = None) -> int:
        self.calls.append(("unload", models))
        gone = [self._find(name).id for name in models or []]
        for each in gone:
            del self.workers[each]
        return len(gone)

    def activity(self) -> AsyncGenerator[Activity, None]:
        return self.journal.watch()

    async def bodies(self, request: str) -> Bodies | None:
        return self.journal.bodies(request)

    async def keep_bodies(self, keep: bool) -> None:
        self._check()
        self.journal.keeps_bodies = keep

    async def clear_requests(self) -> None:
        self._check()
        self.journal.clear()

    async def logs(
        self, *, follow: bool = False, engines: bool = True
    ) -> AsyncGenerator[list[LogLine], None]:
        self._check()
        yield list(self.lines)
        while follow:
            yield [await self._log.get()]

    async def status(self) -> RunnerStatus:
        return RunnerStatus(self.kind, self.endpoint, "0.1.0", {"llama.cpp": "Running"})

    async def close(self) -> None:
        self.closed = True


class StageMeter:
    """A machine that is always the same."""

    def __init__(self, *, gpus: int = 1) -> None:
        card = GpuReading("NVIDIA RTX 4090", 24 * GB, 11_200_000_000, 61.0)
        self._gpus = (card,) * gpus
        self.threads: set[str] = set()
        """Where it was read."""

    def read(self, *, closely: bool = False) -> Reading:
        self.threads.add(threading.current_thread().name)
        gpus = [self._closely(card) if closely else card for card in self._gpus]
        return Reading(
            cpu=22.0,
            memory=MemoryReading(64 * GB, 54_900_000_000),
            gpus=tuple(gpus),
            load=3.1,
            disk=Traffic(0.0, 1_200_000.0),
            network=Traffic(92_000_000.0, 410_000.0),
        )

    @staticmethod
    def _closely(card: GpuReading) -> GpuReading:
        owners = {4711: 6_000_000_000, 99: 3_900_000_000}
        return replace(card, temperature=61.0, power=212.0, power_limit=450.0, owners=owners)

    def machine(self, folder: Path) -> Machine:
        memory = MemoryReading(64 * GB, 54_900_000_000)
        return Machine(16, 212 * GB, memory, self._gpus)


class StageClock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> float:
        return NOW + self.seconds


def stage(
    runner: StageRunner,
    home: Path,
    *,
    gpus: int = 1,
    clock: StageClock | None = None,
    port: int = 0,
    opened: Callable[[], Awaitable[None]] | None = None,
    goes_on: bool = False,
) -> DmrApp:
    """The program on a staged runner, machine and clock.

    Args:
        runner: answers.
        home: holds the program's folders.
        gpus: how many the machine has.
        clock: where the time is from.
        port: of the endpoint; 0: a free one.
        opened: waited for before the runner is there; what it raises is raised.
        goes_on: begin with the chat that was used last.
    """

    async def open_runner() -> Runner:
        if opened is not None:
            await opened()
        return cast("Runner", runner)

    clock = clock or StageClock()
    paths = Paths(data=home / "data", config=home / "config", state=home / "state")
    return DmrApp(
        Settings(port=port),
        paths,
        open_runner=open_runner,
        meter=StageMeter(gpus=gpus),
        clocks=Clocks(clock.monotonic, clock.now),
        goes_on=goes_on,
    )


def main() -> None:
    """Play by hand: `python -m tests.tui.stage [empty]`."""
    import sys
    import tempfile

    runner = StageRunner(() if "empty" in sys.argv else SEVEN)
    if "empty" not in sys.argv:
        runner.run(SEVEN[0])
    sample = Path(__file__).with_name("answer.md").read_text()
    runner.pace = (sample, 0.03)
    home = Path(tempfile.mkdtemp())
    app = stage(runner, home, clock=None)
    app.workspace.clocks = Clocks(time.monotonic, time.time)
    app.run()


if __name__ == "__main__":
    main()
