"""What the tests of transfers share: a store, a stand-in registry, and little patience."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dmr_tui.store.reference import parse_reference
from dmr_tui.store.store import Store, StoredModel
from dmr_tui.store.transfer import pull as pull_room
from dmr_tui.store.transfer import push as push_room
from dmr_tui.store.transfer.hub import pull as hub_room
from dmr_tui.store.transfer.hub.name import parse_source
from dmr_tui.store.transfer.progress import TransferProgress
from dmr_tui.store.transfer.retry import Persistence
from tests.support.stand_in import StandIn, stand_in


class Transfers:
    """Pulls and pushes of one store, and the lines that they reported."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.lines: list[TransferProgress] = []
        self.cancelled = threading.Event()
        self.watch: Callable[[TransferProgress], None] = lambda line: None

    def pull(self, name: str) -> StoredModel:
        return pull_room.pull(
            self.store,
            parse_source(name, default_registry=self.store.default_registry),
            on_progress=self._report,
            cancelled=self.cancelled,
        )

    def push(self, name: str) -> None:
        push_room.push(
            self.store,
            parse_reference(name),
            on_progress=self._report,
            cancelled=self.cancelled,
        )

    def _report(self, line: TransferProgress) -> None:
        self.lines.append(line)
        self.watch(line)

    @property
    def warnings(self) -> list[str]:
        return [line.message for line in self.lines if line.type == "warning"]

    @property
    def partials(self) -> list[Path]:
        return sorted((self.store.root / ".dmr" / "partial").iterdir())


@pytest.fixture
def transfers(tmp_path: Path) -> Transfers:
    """An empty store, to pull into."""
    return Transfers(Store(tmp_path / "models"))


@pytest.fixture
def server() -> Iterator[StandIn]:
    with stand_in() as running:
        yield running


@pytest.fixture
def other_server() -> Iterator[StandIn]:
    with stand_in() as running:
        yield running


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many attempts as ever, with hardly a pause between them."""
    brisk = functools.partial(Persistence, first=0.001)
    monkeypatch.setattr(pull_room, "Persistence", brisk)
    monkeypatch.setattr(push_room, "Persistence", brisk)
    monkeypatch.setattr(hub_room, "Persistence", brisk)


@pytest.fixture
def log_in(home: Path) -> Callable[[str], None]:
    """Write the Docker config of this test's home."""

    def write(config: str) -> None:
        (home / ".docker").mkdir(exist_ok=True)
        (home / ".docker" / "config.json").write_text(config)

    return write
