"""Push: have a model of the store in a registry."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

from dmr_tui.errors import InvalidRequestError, StoreError, UnsupportedModelError
from dmr_tui.store import durable
from dmr_tui.store.manifest import OCI_MANIFEST, Descriptor
from dmr_tui.store.reference import Reference, readable
from dmr_tui.store.store import Store
from dmr_tui.store.transfer.locate import open_repository
from dmr_tui.store.transfer.origins import addresses, reach
from dmr_tui.store.transfer.progress import OnProgress, Reporter
from dmr_tui.store.transfer.registry import Chunks, Repository
from dmr_tui.store.transfer.retry import Attempts, Persistence, TransientError
from dmr_tui.store.transfer.wire import Wire

_CHUNK = 1 << 20  # bytes read at once
_SMALL = 4 << 20  # bytes that are sent in one request
_AT_ONCE = 3  # blobs
_MOST_MOUNTS = 3  # repositories that are asked for one blob

OnBytes = Callable[[int], None]


def push(
    store: Store,
    reference: Reference,
    *,
    on_progress: OnProgress,
    cancelled: threading.Event,
    insecure: bool = False,
) -> None:
    """Upload what the registry does not have of a model, then its manifest.

    Blocks: for a thread.

    Args:
        store: where the model is.
        reference: its name there, and where it goes.
        on_progress: told of each step; the last line is of type `success`.
        cancelled: set it to stop the push.
        insecure: any registry but Docker Hub may speak plain HTTP.

    Raises:
        InvalidRequestError: the name has no tag.
        ModelNotFoundError: the store has no such model.
        UnauthorizedError: the registry wants another login.
        RegistryError: it fails, or refuses.
        StoreError: the model's files are damaged.
        StoppedError: the push was cancelled.
    """
    if reference.is_huggingface:
        raise UnsupportedModelError(
            f"models cannot be pushed to Hugging Face yet: {reference.familiar()}"
        )
    if reference.tag is None:
        raise InvalidRequestError(
            f"{reference.familiar()} names a digest; a push needs a tag",
            "give it a name first: dmr tag",
        )
    model = store.find(str(reference))
    data = store.manifest_bytes(model.id)
    layers = list({layer.digest: layer for layer in model.manifest.layers}.values())
    reporter = Reporter(on_progress, "push", sum(layer.size for layer in layers))
    with Wire(Persistence(cancelled, reporter.warning)) as wire:
        repository = _reach(wire, reference, store.default_registry, insecure)
        sender = _Sender(repository, store, wire.persistence, reference)
        sender.send_all([(layer, reporter.layer(layer.digest, layer.size)) for layer in layers])
        sender.send(model.manifest.config, lambda _: None)
        repository.put_manifest(data, model.manifest.media_type or OCI_MANIFEST)
    reporter.success("Model pushed successfully")


def _reach(wire: Wire, reference: Reference, default_registry: str, insecure: bool) -> Repository:
    def at(base: str) -> Repository:
        repository = open_repository(
            wire, base, reference, default_registry=default_registry, push=True
        )
        repository.greet()
        return repository

    return reach(addresses(reference.registry, insecure=insecure), at)


class _Sender:
    """Has blobs in a registry: those that it does not hold, several at once."""

    def __init__(
        self, repository: Repository, store: Store, persistence: Persistence, reference: Reference
    ) -> None:
        self._repository = repository
        self._blobs = store.blobs
        self._persistence = persistence
        self._near = _near(store, reference)
        self._failed = threading.Event()

    def send_all(self, blobs: Sequence[tuple[Descriptor, OnBytes]]) -> None:
        """Send blobs; the first failure ends all of it."""
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="push") as pool:
            sendings = [pool.submit(self.send, *blob) for blob in blobs]
            done, _ = wait(sendings, return_when=FIRST_EXCEPTION)
            if any(sending.exception() for sending in done):
                self._failed.set()
                for sending in sendings:
                    sending.cancel()
                self._repository.hang_up()
        for sending in sendings:
            if not sending.cancelled():
                sending.result()

    def send(self, blob: Descriptor, on_bytes: OnBytes) -> None:
        """Have one blob in the registry.

        Args:
            blob: which.
            on_bytes: told how many bytes have gone.
        """
        if not self._blobs.has(blob.digest, blob.size):
            raise StoreError(
                f"the blob {blob.digest} is missing or damaged", "pull the model again"
            )
        attempts = self._persistence.begin()
        while not self._failed.is_set():
            try:
                if not (self._repository.has(blob.digest) or self._mounted(blob)):
                    self._upload(blob, on_bytes, attempts)
            except TransientError as error:
                if not self._failed.is_set():
                    attempts.failed(error)
            else:
                on_bytes(blob.size)
                return

    def _mounted(self, blob: Descriptor) -> bool:
        sources = self._near.get(blob.digest, ())
        return any(self._repository.mount(blob.digest, source) for source in sources)

    def _upload(self, blob: Descriptor, on_bytes: OnBytes, attempts: Attempts) -> None:
        """Send a blob; one that is not small goes on where its connection broke."""
        session = self._repository.begin_upload()
        if blob.size <= _SMALL:
            whole = self._reader(blob, 0, on_bytes)
            self._repository.finish_upload(session, blob.digest, blob.size, whole)
            return
        sent = 0
        while sent < blob.size:
            try:
                rest = self._reader(blob, sent, on_bytes)
                session = self._repository.send(session, sent, blob.size, rest)
                sent = blob.size
            except TransientError as error:
                if self._failed.is_set():
                    raise
                attempts.failed(error)
                arrived = self._repository.sent(session)
                if arrived is None:
                    raise
                if arrived[0] > sent:
                    attempts.progressed()
                sent, session = arrived
        self._repository.finish_upload(session, blob.digest, blob.size, None)

    def _reader(self, blob: Descriptor, start: int, on_bytes: OnBytes) -> Chunks:
        """Begins to read a blob from an offset on, at each call."""

        def body() -> Iterator[bytes]:
            position = start
            with durable.reporting(f"read {self._blobs.path(blob.digest)}"):
                file = self._blobs.path(blob.digest).open("rb", buffering=0)
            with file:
                file.seek(start)
                while chunk := file.read(_CHUNK):
                    yield chunk
                    position += len(chunk)
                    on_bytes(position)

        return body


def _near(store: Store, reference: Reference) -> dict[str, tuple[str, ...]]:
    """Which repositories of a registry probably hold which blobs, as this store knows."""
    found: dict[str, tuple[str, ...]] = {}
    for model in store.models():
        for known in readable(model.tags):
            other = known.repository != reference.repository
            if other and known.registry == reference.registry:
                for digest in model.manifest.digests:
                    found[digest] = (*found.get(digest, ()), known.repository)[:_MOST_MOUNTS]
    return found
