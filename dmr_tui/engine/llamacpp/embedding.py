"""One loaded embedding or reranking model: what the worker's main thread does for those."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from queue import Empty
from struct import unpack_from
from time import monotonic
from typing import TYPE_CHECKING

from dmr_tui.engine.context import POOLED_CONTEXT, POOLED_SEQUENCES, QUEUE, choose_context_size
from dmr_tui.engine.llamacpp.adapters import apply_adapters
from dmr_tui.engine.llamacpp.clerk import Clerk
from dmr_tui.engine.llamacpp.fault import contained, failed
from dmr_tui.engine.llamacpp.length import too_many
from dmr_tui.engine.llamacpp.pooling import PoolingContext
from dmr_tui.engine.llamacpp.tally import Tally
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
from dmr_tui.engine.questions import EmbedQuestion, Props, RankQuestion, Scores, Vectors
from dmr_tui.engine.vectors import check_dimensions, unit
from dmr_tui.errors import (
    BusyError,
    ContextLengthError,
    DmrError,
    EngineError,
    InvalidRequestError,
)

if TYPE_CHECKING:
    from dmr_tui.engine.llamacpp.model import Model
    from dmr_tui.engine.llamacpp.native import NativeLog
    from dmr_tui.engine.llamacpp.pipe import ParentPipe

_HEARTBEAT = 5.0
"""Seconds after which work that is not finished is told, too: the parent counts the silence."""


@dataclass
class _Job:
    """A question that is being answered, text by text."""

    id: int
    question: EmbedQuestion | RankQuestion
    waiting: deque[list[int]]
    tokens: int
    vectors: list[bytes] = field(default_factory=list)

    def reply(self) -> Reply:
        if isinstance(self.question, RankQuestion):
            scores = [float(unpack_from("<f", vector)[0]) for vector in self.vectors]
            return Reply(self.id, Scores(scores, self.tokens))
        dimensions = self.question.dimensions
        units = [unit(vector, dimensions) for vector in self.vectors]
        return Reply(self.id, Vectors(units, self.tokens))


class EmbeddingService:
    """A model, its context, and the questions that are being answered.

    Texts of all questions share a pass, first come, first served.
    """

    def __init__(self, load: Load, pipe: ParentPipe, model: Model, log: NativeLog) -> None:
        """Make the context and tell the parent.

        Raises:
            EngineError: the reason why it cannot be used, without the file's name.
        """
        self._pipe = pipe
        self._vocabulary = model.vocabulary
        wish = choose_context_size(
            profile=load.profile_context,
            package=load.package_context,
            settings=load.settings_context,
            trained=model.trained_context,
            default=POOLED_CONTEXT,
        )
        if load.most_context is not None:
            wish = min(wish, load.most_context)
        # Such a model knows no positions beyond those it was trained with.
        size = min(wish, model.trained_context or wish)
        self._context = PoolingContext(model, tokens=size, threads=load.threads, log=log)
        apply_adapters(model, self._context.handle, load.adapters, log)
        self._context.compute([[self._vocabulary.bos or 0]])
        self._mode = model.mode
        self._jobs: list[_Job] = []
        self._tally = Tally()
        self._spoke = 0.0
        self._rank_template = model.template("rerank")
        props = Props(
            description=model.description,
            context_size=size,
            sequences=POOLED_SEQUENCES,
            mode=model.mode,
            chat_template="",
            bos=self._vocabulary.special_text("bos"),
            eos=self._vocabulary.special_text("eos"),
        )
        self._clerk = Clerk(self._vocabulary, props, None)
        pipe.send(
            Loaded(
                description=model.description,
                context_size=size,
                trained_context=model.trained_context,
                layers=model.layers,
                gpu_layers=model.gpu_layers,
                mode=model.mode,
                slots=POOLED_SEQUENCES,
            )
        )

    def run(self) -> None:
        """Answer until the process ends; costs nothing while there is nothing to do."""
        while True:
            self.turn()

    def turn(self) -> None:
        """Hear what the parent says, waiting for it only when there is nothing to do; one pass."""
        if not self._jobs:
            self._handle(self._next())
        while not self._pipe.inbox.empty():
            self._handle(self._pipe.inbox.get())
        if self._jobs:
            self._step()

    def _next(self) -> ToWorker:
        """What the parent says next; meanwhile it is told what has been done, once."""
        if self._tally.untold:
            try:
                return self._pipe.inbox.get(timeout=self._tally.seconds_left)
            except Empty:
                self._report()
        return self._pipe.inbox.get()

    def _report(self) -> None:
        self._pipe.send(self._tally.report(busy=len(self._jobs), waiting=0, kv_used=0))

    def _handle(self, message: ToWorker) -> None:
        if isinstance(message, Query):
            try:
                self._take(message)
            except DmrError as error:
                self._pipe.send(failed(message.id, error))
        elif isinstance(message, Generate):
            self._pipe.send(failed(message.id, self._no_writer()))
        elif isinstance(message, Cancel):
            self._jobs = [job for job in self._jobs if job.id != message.id]

    def _no_writer(self) -> DmrError:
        route = "/v1/embeddings" if self._mode == "embedding" else "/rerank"
        return InvalidRequestError(
            f"this model is for {self._mode}: it cannot write answers",
            f"ask it at {route}, or choose another model",
            param="model",
        )

    def _take(self, query: Query) -> None:
        if len(self._jobs) >= QUEUE:
            raise BusyError(f"{QUEUE} requests are being answered or wait", "try again later")
        with contained():
            begun = self._begin(query)
        if isinstance(begun, Reply):
            self._pipe.send(begun)
        else:
            self._jobs.append(begun)

    def _begin(self, query: Query) -> Reply | _Job:
        """The reply to a question, or the work that it takes."""
        question = query.question
        if isinstance(question, EmbedQuestion) and self._mode == "embedding":
            param = "input"
            self._refuse_long(question.inputs, param)
            job = _Job(query.id, question, deque(self._texts(question)), 0)
        elif isinstance(question, RankQuestion) and self._mode == "reranking":
            queries, documents, param = question.query, question.documents, "documents"
            if isinstance(queries, str):
                self._refuse_long([queries], "query")
                queries = [queries] * len(documents)
            else:
                self._refuse_long(queries, "query")
            self._refuse_long(documents, param)
            pairs = (self._pair(*each) for each in zip(queries, documents, strict=True))
            job = _Job(query.id, question, deque(pairs), 0)
        else:
            return Reply(query.id, self._clerk.answer(question))
        for number, tokens in enumerate(job.waiting):
            job.tokens += len(tokens)
            if len(tokens) > self._context.size:
                raise self._too_long(number, f"{len(tokens)}", param)
        return job if job.waiting else job.reply()

    def _refuse_long(self, texts: Sequence[str | list[int]], param: str) -> None:
        for number, text in enumerate(texts):
            size = self._context.size
            count = too_many(self._vocabulary, text, size) if isinstance(text, str) else None
            if count is not None:
                raise self._too_long(number, f"at least {count}", param)

    def _too_long(self, number: int, tokens: str, param: str) -> ContextLengthError:
        return ContextLengthError(
            f"text {number} has {tokens} tokens, the context holds {self._context.size}",
            "cut it into pieces",
            param=param,
        )

    def _texts(self, question: EmbedQuestion) -> list[list[int]]:
        check_dimensions(question.dimensions, self._context.width)
        texts = [
            self._vocabulary.encode(each, add_special=True)
            if isinstance(each, str)
            else self._vocabulary.checked(each, "input")
            for each in question.inputs
        ]
        if not all(texts):
            raise InvalidRequestError("an input must not be empty", param="input")
        return texts

    def _pair(self, query: str, document: str) -> list[int]:
        """A query and a document as one text, in the model's own form or in its kind's."""
        if self._rank_template is not None:
            text = filled(self._rank_template, query=query, document=document)
            return self._vocabulary.encode(text, add_special=True)
        return self._vocabulary.pair(query, document)

    def _step(self) -> None:
        """Compute as many texts as fit into one pass, and reply to who has all of theirs."""
        room, chosen = self._context.size, list[tuple[_Job, list[int]]]()
        for job in self._jobs:
            for tokens in job.waiting:
                if len(tokens) > room or len(chosen) == POOLED_SEQUENCES:
                    break
                room -= len(tokens)
                chosen.append((job, tokens))
            else:
                continue
            break
        started = monotonic()
        try:
            vectors = self._context.compute([tokens for _, tokens in chosen])
        except EngineError as error:
            dropped = {job.id for job, _ in chosen}
            self._jobs = [job for job in self._jobs if job.id not in dropped]
            for number in sorted(dropped):
                self._pipe.send(failed(number, error))
            return
        self._tally.passed(self._context.size - room, 0, monotonic() - started)
        for (job, _), vector in zip(chosen, vectors, strict=True):
            job.waiting.popleft()
            job.vectors.append(vector)
        done = [job for job in self._jobs if not job.waiting]
        self._jobs = [job for job in self._jobs if job.waiting]
        for job in done:
            self._finish(job)
        if not self._tally.seconds_left:
            self._report()
        if monotonic() - self._spoke >= _HEARTBEAT:
            self._spoke = monotonic()
            self._pipe.send(Step([]))

    def _finish(self, job: _Job) -> None:
        try:
            with contained():
                reply = job.reply()
            self._pipe.send(reply)
        except DmrError as error:
            self._pipe.send(failed(job.id, error))


def filled(template: str, **texts: str) -> str:
    """A template with texts in place of their names in braces; braces in the texts stay."""
    names = "|".join(map(re.escape, texts))
    return re.sub(rf"\{{({names})\}}", lambda found: texts[found[1]], template)
