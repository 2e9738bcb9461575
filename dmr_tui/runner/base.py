"""`Runner`: a place where models live and run. The only door for everything above.

`LocalRunner` joins the store on this disk with an engine in this process; `RemoteRunner` speaks
Docker Model Runner's HTTP API. Who holds a `Runner` cannot tell which kind it is.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from typing import Any, Protocol

from msgspec import Struct, field

from dmr_tui.engine.fit import Fit
from dmr_tui.engine.plan import Memory
from dmr_tui.engine.profile import Profile, RunningModel
from dmr_tui.engine.questions import A, Question
from dmr_tui.engine.request import Event, GenerateRequest
from dmr_tui.runner.activity.journal import Journal
from dmr_tui.runner.activity.records import Activity, Bodies, LogLine
from dmr_tui.runner.measured import Measured
from dmr_tui.store.manifest import ModelConfig
from dmr_tui.store.transfer.found import DEFAULT_LIMIT, Found, Source, Variant
from dmr_tui.store.transfer.progress import TransferProgress


class Model(Struct, frozen=True, omit_defaults=True):
    """One model of the store: the `Model` object of Docker Model Runner's HTTP API."""

    id: str
    """Digest of the manifest, `sha256:…`."""
    created: int = 0
    """Unix time, seconds."""
    config: ModelConfig = ModelConfig()
    tags: list[str] = []
    """Canonical references, e.g. `docker.io/ai/smollm2:latest`."""
    projector: bool = False
    """It comes with a multimodal projector: it can look at images. Docker's server does not say."""


class Published(Struct, frozen=True):
    """A published model, looked at without fetching it."""

    id: str
    """Digest of its manifest; empty where it gets one by the pull."""
    created: int
    """Unix time; 0: not told."""
    config: ModelConfig
    size: int
    """Bytes of what a pull fetches."""
    weights: int
    """Bytes of that which are GGUF files; 0: it has none."""
    vocabulary: int = 0
    """Tokens that it knows; 0: not told."""


class Removed(Struct, frozen=True, omit_defaults=True):
    """One step of a removal: a tag that is gone, or a model that is."""

    untagged: str = field(default="", name="Untagged")
    deleted: str = field(default="", name="Deleted")


class Importable(Struct, frozen=True):
    """A model that another program keeps on this machine."""

    name: str
    """What it would be called here."""
    program: str
    """`ollama`, `huggingface`, `lmstudio` or `ramalama`."""
    size: int
    """Bytes of its files."""


class RunnerStatus(Struct, frozen=True):
    """Who answers, and with which engines."""

    kind: str
    """`embedded` or `remote`."""
    endpoint: str
    """Base URL for other programs; empty while nothing listens."""
    version: str
    backends: dict[str, str]
    """Backend name to state, e.g. `{"llama.cpp": "Running: llama.cpp 0.3.36"}`."""


class DiskUsage(Struct, frozen=True):
    """Bytes on disk; a file with several names counts once."""

    models: int
    engine: int = 0
    partial: int = 0
    """Downloads that can be continued."""
    unused: int = 0
    """What no model needs: `dmr prune` removes it."""
    quarantined: int = 0
    """Damaged files that a check has put aside."""


class Runner(Protocol):
    """A place where models live and run.

    Every method raises `DmrError`s: `ModelNotFoundError` for a name that is not there,
    `InvalidRequestError` for bad input, `EngineError` when a worker fails, `UnavailableError`
    when nobody answers. Closing an async iterator (`aclose`, or cancelling its consumer) stops
    the work behind it; a pull keeps its partial.
    """

    @property
    def journal(self) -> Journal | None:
        """Where requests that come over HTTP are written down; None: the other end does that."""
        ...

    async def models(self) -> list[Model]:
        """All models, sorted by first tag."""
        ...

    async def model(self, name: str) -> Model:
        """The model that a reference or an id names."""
        ...

    async def manifest(self, name: str) -> dict[str, Any]:
        """The OCI manifest of a model, as JSON."""
        ...

    async def files(self) -> dict[str, dict[str, int]]:
        """What each model consists of: bytes by digest, by the model's id.

        Empty where nobody tells: a runner over HTTP does not.
        """
        ...

    async def tag(self, source: str, target: str) -> str:
        """Give a model one more name; returns the canonical target."""
        ...

    async def remove(self, name: str, *, force: bool = False) -> list[Removed]:
        """Remove a tag, and the model with its last one.

        Raises:
            ConflictError: without `force`: named by id it has several tags, or it is in use.
        """
        ...

    async def purge(self, *, force: bool = False) -> None:
        """Unload what is idle and remove all models.

        Raises:
            ConflictError: without `force`: models are in use or on their way.
        """
        ...

    def pull(self, name: str, *, token: str = "") -> AsyncGenerator[TransferProgress, None]:
        """Fetch a model. Ends after a `success` line; failures are raised.

        Args:
            name: of a registry or of the Hugging Face Hub.
            token: for the Hub, of whoever asks; empty: that of this process's environment.
        """
        ...

    def push(self, name: str, *, token: str = "") -> AsyncGenerator[TransferProgress, None]:
        """Upload a model to the registry in its name; `token` as for `pull`."""
        ...

    async def importable(self) -> list[Importable]:
        """Models of other programs on this machine that are not in the store.

        There are none of a remote runner: its machine is not looked at.
        """
        ...

    def adopt(self, name: str) -> AsyncGenerator[TransferProgress, None]:
        """Have one of them in the store, linked and not copied where the disk allows."""
        ...

    def export(self, name: str) -> AsyncGenerator[bytes, None]:
        """A model as a tar stream, in Docker Model Runner's exchange format."""
        ...

    async def load_archive(self, chunks: AsyncIterable[bytes]) -> str:
        """Take a model, without a name, from such a stream.

        Returns:
            Its id; empty when a remote runner does not tell.
        """
        ...

    async def repackage(self, source: str, target: str, *, context_size: int | None = None) -> str:
        """Make another model of the same files; returns the canonical target.

        Args:
            source: the model.
            target: the name of the new one.
            context_size: tokens that it asks for; None as the source.
        """
        ...

    async def search(
        self,
        term: str = "",
        *,
        limit: int = DEFAULT_LIMIT,
        source: Source = "all",
        sizes: bool = True,
    ) -> Found:
        """Look for models on Docker Hub and on the Hugging Face Hub.

        Args:
            term: a part of the name or the description; empty finds what is popular.
            limit: most hits.
            source: where to look.
            sizes: also find out how large each hit is, which takes another request for each.

        Raises:
            RegistryError: every source failed; of one that fails there is a warning.
        """
        ...

    async def variants(self, name: str) -> list[Variant]:
        """The variants of a published model, the smallest first; the tag in the name is ignored.

        Raises:
            RegistryError: whoever was asked fails.
        """
        ...

    async def look(self, name: str) -> Published:
        """What a published model is, without fetching it.

        Raises:
            RegistryError: whoever was asked fails.
        """
        ...

    async def free_memory(self) -> Memory | None:
        """Memory that a load could have where the models run; None where nobody tells."""
        ...

    async def disk_usage(self) -> DiskUsage:
        """Bytes of the store."""
        ...

    def generate(
        self, model: str, request: GenerateRequest, *, profile: Profile | None = None
    ) -> AsyncGenerator[Event, None]:
        """Answer a request, loading the model first if need be.

        The events are `Loading`*, `Started`, then deltas, then `Finished`. A request that is
        refused raises before `Started`. `profile` overrides the model's stored settings for a
        load that this request causes.
        """
        ...

    async def ask(self, model: str, question: Question[A]) -> A:
        """The reply to a question, loading the model first if need be."""
        ...

    async def load(self, model: str, *, profile: Profile | None = None) -> None:
        """Have the model in memory."""
        ...

    async def fits(self, models: Sequence[str], *, context: int | None = None) -> list[Fit | None]:
        """What loading each of these models would take on the machine where they run.

        Args:
            models: ids.
            context: tokens; None for what each would be loaded with.

        Returns:
            One for each model; None where nothing can be known of it.
        """
        ...

    async def measured(self) -> dict[str, Measured]:
        """How fast models were on the machine where they run, by id; empty if nobody knows."""
        ...

    async def profile(self, model: str) -> Profile:
        """What was stored for a model with `configure`."""
        ...

    async def configure(self, model: str, profile: Profile, *, replace: bool = False) -> None:
        """Store settings for a model; a running idle one is unloaded so that they take effect.

        Args:
            model: name or id.
            profile: the settings.
            replace: forget what `profile` does not say; otherwise that stays as it was.

        Raises:
            ConflictError: the model is answering.
        """
        ...

    async def running(self) -> list[RunningModel]:
        """Models in memory."""
        ...

    async def unload(self, models: Sequence[str] | None = None) -> int:
        """Unload these models, or all idle ones; returns how many went."""
        ...

    def activity(self) -> AsyncGenerator[Activity, None]:
        """Requests and events: first all that are kept, then what changes.

        Goes on until it is closed.
        """
        ...

    async def bodies(self, request: str) -> Bodies | None:
        """The texts of a request, by its id; None when they are not kept (any more)."""
        ...

    async def keep_bodies(self, keep: bool) -> None:
        """Keep the texts of requests and answers from now on, or forget all and keep none."""
        ...

    async def clear_requests(self) -> None:
        """Forget the requests that have ended."""
        ...

    def logs(
        self, *, follow: bool = False, engines: bool = True
    ) -> AsyncGenerator[list[LogLine], None]:
        """Lines of the logs in the order of their times.

        Args:
            follow: go on with the lines that come, until it is closed.
            engines: the engines' logs beside the runner's own.
        """
        ...

    async def status(self) -> RunnerStatus:
        """Who answers."""
        ...

    async def close(self) -> None:
        """Stop what this object started: workers, connections."""
        ...
