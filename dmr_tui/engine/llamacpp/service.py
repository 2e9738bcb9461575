"""One loaded model that answers requests: what the worker's main thread does."""

from __future__ import annotations

from functools import cached_property, partial
from pathlib import Path
from queue import Empty
from time import monotonic
from typing import TYPE_CHECKING

from dmr_tui.engine.context import QUEUE, SEQUENCES, choose_context_size
from dmr_tui.engine.llamacpp.adapters import apply_adapters
from dmr_tui.engine.llamacpp.batcher import Batcher, Happening
from dmr_tui.engine.llamacpp.chain import DEFAULTS
from dmr_tui.engine.llamacpp.clerk import Clerk
from dmr_tui.engine.llamacpp.constraint import Candidates, Constraint
from dmr_tui.engine.llamacpp.context import Context
from dmr_tui.engine.llamacpp.fault import contained, failed
from dmr_tui.engine.llamacpp.likelihood import Likelihoods, LookedAt
from dmr_tui.engine.llamacpp.model import Model
from dmr_tui.engine.llamacpp.native import NativeLog
from dmr_tui.engine.llamacpp.pipe import ParentPipe
from dmr_tui.engine.llamacpp.sampling import Sampler
from dmr_tui.engine.llamacpp.sequence import Sequence, Thoughts
from dmr_tui.engine.protocol import (
    Cancel,
    Generate,
    Load,
    Loaded,
    Query,
    Reply,
    Step,
    ToWorker,
)
from dmr_tui.engine.questions import AnyQuestion, AnyReply, Props, Released, ReleaseQuestion
from dmr_tui.engine.request import CompletionRequest, GenerateRequest
from dmr_tui.engine.text.answer import AnswerText
from dmr_tui.errors import BusyError, DmrError, EngineError, InvalidRequestError

if TYPE_CHECKING:
    from dmr_tui.engine.llamacpp.prompt import Prompt, PromptBuilder
    from dmr_tui.engine.text.plan import AnswerPlan

_HEARTBEAT = 5.0
"""Seconds after which a pass that gave nothing is told, too: the parent counts the silence."""

_FRAME_INTERVAL = 0.01
"""Seconds between two frames where passes are short: the parent, and whoever it tells, works on the
same processors, and nobody sees the difference."""


class Service:
    """A model, its context, and the requests that are being answered."""

    def __init__(self, load: Load, pipe: ParentPipe, model: Model, log: NativeLog) -> None:
        """Make the model's context and tell the parent.

        Raises:
            EngineError: the reason why it cannot be used, without the file's name.
        """
        self._pipe = pipe
        self._spoke = 0.0
        self._events: list[Happening] = []
        """What the parent has not been told yet."""
        packaged = _read_template(load.chat_template)
        self._model = model
        self._vocabulary = self._model.vocabulary
        tokens = choose_context_size(
            profile=load.profile_context,
            package=load.package_context,
            settings=load.settings_context,
            trained=self._model.trained_context,
        )
        if load.most_context is not None:
            tokens = min(tokens, load.most_context)
        self._context = Context(
            self._model, tokens=tokens, sequences=SEQUENCES, threads=load.threads, log=log
        )
        apply_adapters(model, self._context.handle, load.adapters, log)
        self._context.prove(self._vocabulary.bos or 0)
        self._template = self._model.chat_template if packaged is None else packaged
        self._tool_template = self._model.template("tool_use") if packaged is None else None
        self._batcher = Batcher(self._context, self._vocabulary)
        self._prompts: PromptBuilder | None = None
        pipe.send(
            Loaded(
                description=self._model.description,
                context_size=self._context.size,
                trained_context=self._model.trained_context,
                layers=self._model.layers,
                gpu_layers=self._model.gpu_layers,
                slots=SEQUENCES,
            )
        )

    def run(self) -> None:
        """Answer until the process ends; costs nothing while there is nothing to do."""
        while True:
            self.turn()

    def turn(self) -> None:
        """Hear what the parent says, waiting for it only when there is nothing to do; one step."""
        if self._batcher.idle:
            self._handle(self._next())
        self._handle_waiting()
        if not self._batcher.idle:
            self._step()

    def _next(self) -> ToWorker:
        """What the parent says next; meanwhile it is told what has been done, once."""
        tally = self._batcher.tally
        if tally.untold:
            try:
                return self._pipe.inbox.get(timeout=tally.seconds_left)
            except Empty:
                self._pipe.send(self._batcher.stats())
        return self._pipe.inbox.get()

    def _handle_waiting(self) -> None:
        if not self._pipe.inbox.empty():
            self._tell()  # a prompt may take long to prepare
        while not self._pipe.inbox.empty():
            self._handle(self._pipe.inbox.get())

    def _handle(self, message: ToWorker) -> None:
        if isinstance(message, Generate):
            try:
                self._check_queue()
                with contained():
                    sequence = self._sequence(message)
                self._batcher.add(sequence)
            except DmrError as error:
                self._pipe.send(failed(message.id, error))
        elif isinstance(message, Query):
            try:
                with contained():
                    reply = self._reply(message.question)
                self._pipe.send(Reply(message.id, reply))
            except DmrError as error:
                self._pipe.send(failed(message.id, error))
        elif isinstance(message, Cancel):
            self._batcher.cancel(message.id)

    def _reply(self, question: AnyQuestion) -> AnyReply:
        if isinstance(question, ReleaseQuestion):
            return Released(self._batcher.release())
        return self._clerk.answer(question)

    def _check_queue(self) -> None:
        if self._batcher.waiting >= QUEUE:
            raise BusyError(
                f"{SEQUENCES} requests are being answered and {QUEUE} wait", "try again later"
            )

    def _sequence(self, message: Generate) -> Sequence:
        request = message.request
        prompt = self._prompt_builder().build(request)
        limits = [] if request.limits.max_tokens is None else [request.limits.max_tokens]
        if not request.limits.context_shift:
            # The last token of all needs no place in the context: nothing follows it.
            limits.append(self._context.size - len(prompt.tokens) + 1)
        plan = prompt.plan
        marks = self._vocabulary.among_controls(plan.marks) if plan.marks else frozenset()
        constraint = None
        if plan.grammar is not None:
            constraint = Constraint(self._vocabulary, plan.grammar, keep=marks)
        sampler = Sampler(
            request.sampling,
            context=self._context,
            prompt=prompt.tokens,
            constraint=constraint,
            candidates=None if constraint is None else self._candidates,
        )
        thoughts = None
        if plan.budget is not None:
            tokenize = partial(self._vocabulary.tokenize, beginning=False)
            thoughts = Thoughts(plan.budget, map(tokenize, plan.closings))
        return Sequence(
            message.id,
            prompt.tokens,
            sampler=sampler,
            limit=min(limits, default=None),
            text=AnswerText(plan.reader(), request.limits.stop if plan.stoppable else ()),
            marks=marks,
            thoughts=thoughts,
            likelihoods=None
            if request.logprobs is None
            else Likelihoods(self._context, self._candidates, request.logprobs),
            looked_at=self._looked_at(request, prompt),
            tally=self._batcher.tally,
            hold_call=None if plan.call_grammar is None else partial(self._hold_call, plan, marks),
            exact=request.sampling.seed is not None and request.sampling.seed >= 0,
        )

    def _looked_at(self, request: GenerateRequest, prompt: Prompt) -> LookedAt | None:
        if not isinstance(request, CompletionRequest) or not request.prompt_logprobs:
            return None
        own = prompt.own_beginning
        return LookedAt(None if own else self._vocabulary.text(prompt.tokens[0]))

    def _hold_call(
        self, plan: AnswerPlan, marks: frozenset[int], opened: str, sampler: Sampler
    ) -> bool:
        """Hold an answer to its tool calls; what cannot be held stays as it is."""
        grammar = None if plan.call_grammar is None else plan.call_grammar()
        if grammar is None:
            return False
        try:
            constraint = Constraint(self._vocabulary, grammar, keep=marks)
        except InvalidRequestError:
            return False
        if not constraint.follow(opened):
            constraint.close()
            return False
        sampler.constrain(constraint, self._candidates)
        return True

    @cached_property
    def _clerk(self) -> Clerk:
        props = Props(
            description=self._model.description,
            context_size=self._context.size,
            sequences=SEQUENCES,
            mode=self._model.mode,
            chat_template=self._template or "",
            bos=self._vocabulary.special_text("bos"),
            eos=self._vocabulary.special_text("eos"),
            sampling=DEFAULTS,
        )
        return Clerk(self._vocabulary, props, self._prompt_builder)

    @cached_property
    def _candidates(self) -> Candidates:
        return Candidates(self._vocabulary.size)

    def _step(self) -> None:
        if not self._batcher.steady:
            self._tell()  # the next pass may be a long one
        try:
            self._events += self._batcher.step()
        except EngineError as error:
            self._batcher.drop_all(error)
        if self._batcher.failed:
            self._tell()  # how far they came
            for request, reason in self._batcher.failed:
                self._pipe.send(failed(request, reason))
            self._batcher.failed.clear()
        silence = monotonic() - self._spoke
        held = self._batcher.steady and silence < _FRAME_INTERVAL
        if silence >= _HEARTBEAT or not held:
            self._tell(heartbeat=silence >= _HEARTBEAT)
        if not self._batcher.tally.seconds_left:
            self._pipe.send(self._batcher.stats())

    def _tell(self, *, heartbeat: bool = False) -> None:
        """Send what has happened; also nothing, as a sign of life."""
        if self._events or heartbeat:
            self._pipe.send(Step(self._events))
            self._events = []
            self._spoke = monotonic()

    def _prompt_builder(self) -> PromptBuilder:
        """Made when first needed: until then jinja2 has had time to be imported elsewhere."""
        if self._prompts is None:
            from dmr_tui.engine.llamacpp.prompt import PromptBuilder
            from dmr_tui.engine.text.template import ChatTemplate

            bos, eos = map(self._vocabulary.special_text, ("bos", "eos"))
            for_tools = self._tool_template
            self._prompts = PromptBuilder(
                self._vocabulary,
                ChatTemplate(self._template, bos=bos, eos=eos),
                context_size=self._context.size,
                tool_template=None
                if for_tools is None
                else ChatTemplate(for_tools, bos=bos, eos=eos),
            )
        return self._prompts


def _read_template(file: str | None) -> str | None:
    if file is None:
        return None
    try:
        return Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EngineError(f"its chat template cannot be read: {error}") from error
