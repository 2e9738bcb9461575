"""Pull: have a model of the Hugging Face Hub in the store, packaged on the way.

The Hub knows the SHA-256 of each large file before its first byte, and that is a layer's digest. So
the files go straight into the store, with everything that registries' blobs have: several lanes,
resumption, and nothing fetched that is there. Times in the package are the commit's: the same
commit gives the same id on every machine.
"""

from __future__ import annotations

import hashlib
import tempfile
import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from dmr_tui.errors import InvalidRequestError, RegistryError
from dmr_tui.store.artifact import Artifact, Role, file_layer, role_of_path
from dmr_tui.store.blobs import link
from dmr_tui.store.facts import model_config
from dmr_tui.store.gguf import read_header
from dmr_tui.store.leases import Hold
from dmr_tui.store.manifest import FILE_PATH, Descriptor, ModelConfig
from dmr_tui.store.safetensors import safetensors_config
from dmr_tui.store.store import Store, StoredModel
from dmr_tui.store.transfer.hub import choice
from dmr_tui.store.transfer.hub.client import Commit, Hub, HubFile
from dmr_tui.store.transfer.hub.name import HubName
from dmr_tui.store.transfer.layers import Wanted, fetch_layers
from dmr_tui.store.transfer.partial import occupied
from dmr_tui.store.transfer.progress import OnProgress, Reporter
from dmr_tui.store.transfer.retry import Persistence
from dmr_tui.store.transfer.wire import Wire
from dmr_tui.system.memory import read_memory


@dataclass(frozen=True)
class _Plan:
    """Which files become which layers."""

    files: tuple[tuple[Role, HubFile], ...]
    format: str
    """`gguf` or `safetensors`."""


def pull_from_hub(
    store: Store,
    name: HubName,
    *,
    on_progress: OnProgress,
    cancelled: threading.Event,
    token: str = "",
) -> StoredModel:
    """Fetch a model's files, or what of them is missing, and enter it in the store.

    Args:
        store: where the model goes.
        name: repository, wish and revision.
        on_progress: told of each step; the last line is of type `success`.
        cancelled: set it to stop the pull.
        token: of whoever asks; empty: the environment's.

    Raises:
        ModelNotFoundError: the Hub has no such repository, revision or quantization.
        UnauthorizedError: its owner does not let this person in.
        UnsupportedModelError: it holds no weights of a kind that a package may have.
        RegistryError: the Hub fails, or sends what does not match its digest.
        StoreError: the disk is full or refuses.
        StoppedError: the pull was cancelled.
    """
    reporter = Reporter(on_progress, "pull")
    with (
        Wire(Persistence(cancelled, reporter.warning)) as wire,
        store.leases.holding(f"pull {name.shown}") as lease,
    ):
        hub = Hub(wire, token=token)
        commit = hub.commit(name.repository, name.revision)
        plan = _plan(hub.files(name.repository, commit), name)
        reporter.total = sum(file.size for _, file in plan.files)
        lease.protect([file.digest for _, file in plan.files if file.digest])
        before = {model.id for model in store.models()}
        _require_space(store, plan, name)
        layers = _fetch(hub, store, name, commit, plan, lease, reporter, wire.persistence)
        artifact = _describe(store, plan, layers, _moment(commit))
        model = artifact.enter(store, name.reference)
    cached = model.id in before
    size = model.config.size
    reporter.success(f"Using cached model: {size}" if cached else "Model pulled successfully")
    return model


def _plan(files: list[HubFile], name: HubName) -> _Plan:
    found = choice.variants(files)
    if not found:
        chosen = choice.safetensors(files, name.repository)
        return _Plan(tuple((role_of_path(file.path), file) for file in chosen), "safetensors")
    memory = read_memory().total
    variant = choice.choose(found, name.wanted, repository=name.repository, memory=memory)
    parts: list[tuple[Role, HubFile]] = [("gguf", file) for file in variant.files]
    if eye := choice.projector(files):
        parts.append(("mmproj", eye))
    if template := choice.template(files):
        parts.append(("template", template))
    return _Plan(tuple(parts), "gguf")


def _require_space(store: Store, plan: _Plan, name: HubName) -> None:
    missing = sum(
        max(file.size - occupied(store.blobs.partial(file.digest)), 0)
        for _, file in plan.files
        if file.digest and not store.blobs.has(file.digest, file.size)
    )
    store.blobs.require_space(missing, f"pull {name.shown}")


def _fetch(
    hub: Hub,
    store: Store,
    name: HubName,
    commit: Commit,
    plan: _Plan,
    lease: Hold,
    reporter: Reporter,
    persistence: Persistence,
) -> list[Descriptor]:
    """Have all files in the store; returns their layers, in the plan's order."""
    content = hub.content(name.repository, commit, [file for _, file in plan.files])
    wanted = {
        file.digest: Wanted(file.digest, file.size, reporter.layer(file.digest, file.size))
        for _, file in plan.files
        if file.digest
    }
    fetch_layers(content, store.blobs, [*wanted.values()], persistence)
    layers = []
    for role, file in plan.files:
        known = file
        if not file.digest:
            data = hub.read(name.repository, commit, file)
            digest = "sha256:" + hashlib.sha256(data).hexdigest()
            lease.protect([digest])
            store.blobs.put(data)
            known = replace(file, digest=digest, size=len(data))
            reporter.layer(digest, len(data))(len(data))
        layers.append(_layer(known, role, plan.format, _moment(commit)))
    return layers


def _layer(file: HubFile, role: Role, kind: str, moment: str) -> Descriptor:
    """One file's layer: under its path for safetensors, else under its name."""
    path = file.path if kind == "safetensors" else file.path.rpartition("/")[2]
    return file_layer(path, file.size, file.digest, moment)


def _describe(store: Store, plan: _Plan, layers: list[Descriptor], moment: str) -> Artifact:
    roles = [role for role, _ in plan.files]
    pairs = tuple(zip(roles, layers, strict=True))
    try:
        if plan.format == "gguf":
            heads = [store.blobs.path(layer.digest) for role, layer in pairs if role == "gguf"]
            config = model_config([read_header(path) for path in heads])
        else:
            config = _safetensors_config(store, pairs)
    except InvalidRequestError as error:
        raise RegistryError(f"the repository's files are bad: {error.message}") from error
    return Artifact(pairs, config, moment)


def _safetensors_config(store: Store, pairs: tuple[tuple[Role, Descriptor], ...]) -> ModelConfig:
    """Read the headers under the files' own names, which messages and `config.json` go by."""
    with tempfile.TemporaryDirectory(dir=store.root / ".dmr", prefix="hub-") as name:
        folder, weights = Path(name), []
        for role, layer in pairs:
            path = folder / (layer.annotations or {})[FILE_PATH]
            if role == "safetensors" or path.name == "config.json":
                path.parent.mkdir(parents=True, exist_ok=True)
                link(store.blobs.path(layer.digest), path)
                weights += [path] if role == "safetensors" else []
        config = safetensors_config(weights, folder)
    return msgspec.structs.replace(config, format="safetensors")


def _moment(commit: Commit) -> str:
    """The commit's time, in whole seconds."""
    try:
        moment = datetime.fromisoformat(commit.modified.replace("Z", "+00:00"))
    except ValueError:
        return "1970-01-01T00:00:00Z"
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
