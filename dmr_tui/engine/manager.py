"""The models in memory: loaded on first use, kept while wanted, replaced when they die."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Collection, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

import msgspec

from dmr_tui.engine.backoff import BackOff
from dmr_tui.engine.checks import check_form, check_request, check_sampling, has_form
from dmr_tui.engine.engines import Engines
from dmr_tui.engine.files import ModelFiles
from dmr_tui.engine.llama_server import Connect
from dmr_tui.engine.plan import Outcome, Verdict
from dmr_tui.engine.profile import Profile, RunningModel
from dmr_tui.engine.questions import A, Question
from dmr_tui.engine.request import ChatRequest, Event, GenerateRequest, Loading, Reasoning, Sampling
from dmr_tui.engine.room import (
    MemoryReader,
    ShapeReader,
    emptied,
    free_memory,
    human,
    make_planner,
)
from dmr_tui.engine.slot import Slot
from dmr_tui.engine.telling import EngineEventKind, Tell, tell_nobody
from dmr_tui.errors import (
    ConflictError,
    DmrError,
    EngineError,
    InsufficientMemoryError,
    UnavailableError,
)
from dmr_tui.settings import Settings


class EngineManager:
    """Keeps one worker process per model and hands requests to them.

    Loads happen one at a time and belong to the manager: a client that leaves does not end one. An
    idle model is unloaded after its keep-alive. A worker that dies fails the requests it had; the
    next request starts a new one. All methods belong to one event loop.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        logs: Path,
        read_shape: ShapeReader | None = None,
        read_memory: MemoryReader = free_memory,
        connect: Connect | None = None,
        tell: Tell = tell_nobody,
    ) -> None:
        """Prepare; starts nothing and needs no loop.

        Args:
            settings: defaults for what a profile leaves open.
            logs: folder for the workers' logs.
            read_shape: reads a GGUF file's header for the memory plan; without it there is none.
            read_memory: tells what is free; both may block and are called in threads.
            connect: makes a client for the URL of a llama-server; without it there is none.
            tell: hears what happens to the models.
        """
        self._engines = Engines(settings, logs, connect)
        self._read_shape = read_shape
        self._read_memory = read_memory
        self._settings = settings
        self._slots: dict[str, Slot] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._leaving: dict[asyncio.Task[None], Slot] = {}
        self._one_load = asyncio.Lock()
        self._back_off = BackOff()
        self._tell = tell
        self._wakes: set[asyncio.Task[None]] = set()
        self._closed = False

    async def generate(
        self, files: ModelFiles, request: GenerateRequest, profile: Profile
    ) -> AsyncGenerator[Event, None]:
        """Answer a request, loading the model first if need be.

        Args:
            files: the model.
            request: what is asked; what its sampling leaves open comes from the profile.
            profile: how to load; what it leaves open suits any worker that runs already.

        Yields:
            `Loading` while the model comes up, then the worker's events up to `Finished`. Closing
            the iterator ends the answer within one step.

        Raises:
            InvalidRequestError: the request makes no sense, or not for this model.
            ConflictError: the model is in use with other settings.
            EngineError: the model cannot be loaded, or its worker died.
            InsufficientMemoryError: the model does not fit into memory.
            UnavailableError: the manager is closing.
        """
        check_request(request)
        check_sampling(profile.sampling)
        if has_form(request):
            await asyncio.to_thread(check_form, request)  # a large schema takes its time
        request = _with_defaults(request, profile)
        with self._use(files, profile) as slot:
            async with aclosing(slot.progress()) as fractions:
                async for fraction in fractions:
                    yield Loading(fraction)
            async with aclosing(slot.worker.generate(request)) as events:
                async for event in events:
                    yield event
            self._back_off.lived(files.id)

    async def ask(self, files: ModelFiles, question: Question[A], profile: Profile) -> A:
        """The reply to a question, loading the model first if need be; raises like `generate`."""
        with self._use(files, profile) as slot:
            await slot.wait_ready()
            reply = await slot.worker.ask(question)
            self._back_off.lived(files.id)
            return reply

    async def load(self, files: ModelFiles, profile: Profile) -> None:
        """Have a model in memory; raises like `generate`."""
        with self._use(files, profile) as slot:
            await slot.wait_ready()

    def running(self) -> list[RunningModel]:
        """Models in memory, on their way there, or on their way out."""
        slots = [slot for slot in self._slots.values() if not slot.dead]
        return [slot.describe() for slot in [*slots, *self._leaving.values()]]

    def plans(self) -> dict[str, tuple[Verdict, bool]]:
        """By id, what each model in memory was planned with, and whether it would leave."""
        return {
            name: (slot.verdict, slot.users == 0 and slot.keep_alive >= 0)
            for name, slot in self._slots.items()
            if slot.verdict and slot.ready
        }

    def in_use(self, model_id: str) -> bool:
        """Whether a request is being answered or waits for this model."""
        slot = self._slots.get(model_id)
        return slot is not None and slot.users > 0

    async def unload(self, ids: Collection[str] | None = None) -> int:
        """Unload idle models, and call off the loads of those that are named.

        Args:
            ids: which; None for all. Those that answer stay.

        Returns:
            How many went; their memory is free.
        """
        wanted = [slot for name, slot in self._slots.items() if ids is None or name in ids]
        going = [slot for slot in wanted if slot.users == 0 or (ids and not slot.ready)]
        alive = sum(not slot.dead for slot in going)
        for slot in going:
            self._retire(slot, "unload", "unloaded")
        # Those that were on their way already count as well: who asks wants their memory.
        leaving = self._leaving.values()
        await self._until_left([slot for slot in leaving if ids is None or slot.files.id in ids])
        return alive

    async def close(self) -> None:
        """End every worker; answers that are under way fail with `UnavailableError`."""
        self._closed = True
        for slot in list(self._slots.values()):
            self._retire(slot)
        await self._until_left(list(self._leaving.values()))

    def backends(self) -> dict[str, str]:
        """Engines and their state, in the words of `dmr status`; imports none of them."""
        return self._engines.states()

    @contextmanager
    def _use(self, files: ModelFiles, profile: Profile) -> Iterator[Slot]:
        slot = self._find_or_load(files, profile)
        self._disarm(slot)
        try:
            with slot.used():
                yield slot
        finally:
            self._arm(slot)

    def _find_or_load(self, files: ModelFiles, profile: Profile) -> Slot:
        if self._closed:
            raise UnavailableError("the runner is shutting down")
        slot = self._slots.get(files.id)
        if slot is not None and not slot.dead:
            if slot.suits(profile):
                if profile.keep_alive is not None:
                    slot.keep_alive = profile.keep_alive
                return slot
            if slot.users:
                raise ConflictError(
                    f"{files.name} is in use with other settings", "try again when it is idle"
                )
        if slot is not None:
            self._retire(slot)
        return self._begin_load(files, profile)

    def _begin_load(self, files: ModelFiles, profile: Profile) -> Slot:
        keep_alive = profile.keep_alive
        slot = Slot(
            files,
            self._engines.make(files, profile),
            self._settings.keep_alive if keep_alive is None else keep_alive,
        )
        self._slots[files.id] = slot
        slot.load(self._load(slot, profile))
        return slot

    async def _load(self, slot: Slot, profile: Profile) -> None:
        """Load a slot's model, and tell how that went."""
        began = time.monotonic()
        try:
            await self._load_alone(slot, profile)
        except DmrError as error:
            kind: EngineEventKind = "load"
            if slot.worker.crashed:
                kind = "crash"
                self._back_off.died(slot.files.id, error)
            text = f"not loaded: {error.message}"
            self._tell(kind, slot.files.name, text, level="error", hint=error.hint or "")
            raise
        self._tell("load", slot.files.name, _loaded(slot, time.monotonic() - began))
        wake = asyncio.create_task(self._attend_wake(slot))
        self._wakes.add(wake)
        wake.add_done_callback(self._wakes.discard)

    async def _attend_wake(self, slot: Slot) -> None:
        """Tell when a worker dies that nobody has ended."""
        await slot.worker.ended.wait()
        if slot.worker.crashed:
            self._back_off.died(slot.files.id, EngineError(slot.worker.cause))
            self._tell(
                "crash",
                slot.files.name,
                slot.worker.cause,
                level="error",
                hint="the next request starts it again",
            )

    async def _load_alone(self, slot: Slot, profile: Profile) -> None:
        async with self._one_load:
            # What leaves must have left: its memory may be what this one needs.
            await self._until_left(list(self._leaving.values()))
            self._back_off.check(slot.files.id, slot.files.name)
            await self._make_room(slot, force=bool(profile.force))
            await self._start(slot, profile)
        self._arm(slot)

    async def _start(self, slot: Slot, profile: Profile) -> None:
        """Start a slot's worker; if it cannot load the model, or dies of it, try another engine."""
        first = slot.worker
        try:
            await first.start(slot.report)
        except InsufficientMemoryError:
            raise  # another engine needs as much
        except DmrError as error:
            other = self._engines.other(slot.files, first, profile)
            if other is None:
                raise
            slot.worker = other
            try:
                await self._start(slot, profile)
            except DmrError:
                if first.crashed:
                    raise
                slot.worker = first  # its reasons are the exact ones
                raise error from None

    async def _make_room(self, slot: Slot, *, force: bool) -> None:
        """Plan a load; have others give memory back while it does not fit.

        First what they only remember to be faster; then idle models are unloaded, the longest
        unused first.

        Raises:
            InsufficientMemoryError: it does not fit, and `force` does not help.
        """
        planner = await make_planner(slot.files, slot.wish, self._read_shape)
        if planner is None:
            return
        slot.note_mode(planner.mode)
        spare = [other for other in self._slots.values() if other.ready]
        while True:
            memory = await asyncio.to_thread(self._read_memory)
            resident = [
                other.verdict for other in self._slots.values() if other.verdict and other.ready
            ]
            verdict = planner.plan(memory, resident)
            if spare and verdict.outcome is not Outcome.FITS and not verdict.absurd:
                await asyncio.gather(*(other.release() for other in spare))
                spare = []
                continue
            if verdict.fits or verdict.absurd:
                break
            idle = self._idle()
            ready = [other for other in self._slots.values() if other.ready]
            staying = [other.verdict for other in ready if other not in idle]
            most = emptied(memory, [(other.verdict, other.worker.memory) for other in idle])
            if not idle or not (force or planner.plan(most, filter(None, staying)).fits):
                break  # nobody leaves for nothing
            first = min(idle, key=lambda slot: slot.idle_since)
            self._retire(first, "evict", f"made room for {slot.files.name}")
            await self._until_left([first])
        if verdict.absurd or not (verdict.fits or force):
            raise planner.refusal(verdict)
        slot.follow(verdict)

    def _idle(self) -> list[Slot]:
        """The models that may leave for another one: nobody uses them, and they are not to stay."""
        return [
            slot
            for slot in self._slots.values()
            if slot.ready and slot.users == 0 and slot.keep_alive >= 0
        ]

    def _arm(self, slot: Slot) -> None:
        """Begin a slot's idle time, if nobody uses it."""
        unused = slot.ready and slot.users == 0 and self._slots.get(slot.files.id) is slot
        if not unused or slot.keep_alive < 0:
            return
        if slot.keep_alive == 0:
            self._retire(slot, "unload", "unloaded after its answer")
            return
        loop = asyncio.get_running_loop()
        self._disarm(slot)
        idle = f"idle for {slot.keep_alive:g} s"
        self._timers[slot.files.id] = loop.call_later(
            slot.keep_alive, self._retire, slot, "evict", idle
        )

    def _disarm(self, slot: Slot) -> None:
        timer = self._timers.pop(slot.files.id, None)
        if timer is not None:
            timer.cancel()

    def _retire(self, slot: Slot, kind: EngineEventKind | None = None, reason: str = "") -> None:
        """Take a slot out of use and end its worker in the background."""
        if kind is not None and not slot.dead:
            freed = f", freed {human(slot.worker.memory)}" if slot.worker.memory else ""
            self._tell(kind, slot.files.name, reason + freed)
        self._disarm(slot)
        del self._slots[slot.files.id]
        slot.leaving = True
        task = asyncio.create_task(slot.stop())
        self._leaving[task] = slot
        task.add_done_callback(self._leaving.pop)

    async def _until_left(self, slots: Collection[Slot]) -> None:
        tasks = [task for task, slot in self._leaving.items() if slot in slots]
        if tasks:
            await asyncio.wait(tasks)


def _loaded(slot: Slot, seconds: float) -> str:
    """What is told of a model that is in memory now."""
    facts = slot.worker.facts
    words = [f"loaded in {seconds:.1f} s"]
    if slot.worker.memory:
        words.append(human(slot.worker.memory))
    if facts is not None:
        words.append(f"context {facts.context_size}")
        if facts.gpu_layers:
            words.append(f"{facts.gpu_layers} of {facts.layers} layers on the GPU")
    return ", ".join(words)


def _with_defaults(request: GenerateRequest, profile: Profile) -> GenerateRequest:
    """The request, with the profile's values where it says nothing."""
    values = {
        name: getattr(profile.sampling, name)
        for name in Sampling.__struct_fields__
        if getattr(request.sampling, name) is None
    }
    chosen = msgspec.structs.replace(request.sampling, **values)
    limits = request.limits
    if limits.context_shift is None:
        limits = msgspec.structs.replace(limits, context_shift=profile.context_shift)
    if isinstance(request, ChatRequest):
        budget = _thinking_budget(request.reasoning, profile.reasoning_budget)
        reasoning = msgspec.structs.replace(request.reasoning, budget=budget)
        request = msgspec.structs.replace(request, reasoning=reasoning)
    return msgspec.structs.replace(request, sampling=chosen, limits=limits)


def _thinking_budget(asked: Reasoning, stored: int | None) -> int | None:
    """Most tokens of thoughts; None: any number."""
    if stored == 0 and asked.enabled:
        stored = None  # who asks for thoughts outright gets them
    budget = stored if asked.budget is None else asked.budget
    return None if budget == -1 else budget
