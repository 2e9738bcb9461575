"""Push and pull against real registries of all three kinds."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmr_tui.errors import (
    ModelNotFoundError,
    UnauthorizedError,
    UnsupportedModelError,
)
from dmr_tui.store.package import package_gguf
from dmr_tui.store.reference import Reference, parse_reference
from dmr_tui.store.store import Store
from dmr_tui.store.transfer.progress import TransferProgress
from dmr_tui.store.transfer.pull import pull
from dmr_tui.store.transfer.push import push
from tests.support.registry import LiveRegistry


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


@pytest.fixture
def log_in(home: Path) -> Callable[[str], None]:
    """Write the Docker config of this test's home."""

    def write(config: str) -> None:
        (home / ".docker").mkdir(exist_ok=True)
        (home / ".docker" / "config.json").write_text(config)

    return write


@pytest.fixture(params=["registry", "basic_registry", "token_registry"])
def any_registry(request: pytest.FixtureRequest, log_in: Callable[[str], None]) -> LiveRegistry:
    live: LiveRegistry = request.getfixturevalue(request.param)
    if live.username:
        log_in(live.docker_config())
    return live


def packaged(store: Store, gguf: Path, name: str) -> Reference:
    reference = parse_reference(name)
    package_gguf(store, gguf, reference)
    return reference


def upload(store: Store, reference: Reference) -> list[TransferProgress]:
    lines: list[TransferProgress] = []
    push(store, reference, on_progress=lines.append, cancelled=threading.Event())
    return lines


def download(store: Store, reference: Reference) -> list[TransferProgress]:
    lines: list[TransferProgress] = []
    pull(store, reference, on_progress=lines.append, cancelled=threading.Event())
    return lines


def test_a_pushed_model_comes_back_the_same(
    any_registry: LiveRegistry, store: Store, tiny_gguf: Path, tmp_path: Path
) -> None:
    reference = packaged(store, tiny_gguf, f"{any_registry.address}/team/tiny:q8")
    model = store.find(str(reference))
    size = model.manifest.layers[0].size

    lines = upload(store, reference)
    assert lines[-1] == TransferProgress("success", "Model pushed successfully", size, mode="push")
    assert lines[-2].layer.current == size

    elsewhere = Store(tmp_path / "elsewhere")
    lines = download(elsewhere, reference)
    assert lines[-1].type == "success"
    assert lines[-1].message == "Model pulled successfully"
    assert {line.total for line in lines} == {size}
    assert lines[-2].layer.current == lines[-2].layer.size == size

    pulled = elsewhere.find(str(reference))
    assert pulled == model
    assert elsewhere.manifest_bytes(model.id) == store.manifest_bytes(model.id)
    assert elsewhere.bundle(pulled).gguf.read_bytes() == tiny_gguf.read_bytes()
