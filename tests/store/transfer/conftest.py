"""What the tests of transfers share: a store, a stand-in registry, and little patience."""

from __future__ import annotations

import functools
import ipaddress
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from dmr_tui.store.reference import parse_reference
from dmr_tui.store.store import Store, StoredModel
from dmr_tui.store.transfer import pull as pull_room
from dmr_tui.store.transfer import push as push_room
from dmr_tui.store.transfer.hub import pull as hub_room
from dmr_tui.store.transfer.hub.name import parse_source
from dmr_tui.store.transfer.progress import TransferProgress
from dmr_tui.store.transfer.retry import Persistence
from tests.support.stand_in import StandIn, serving, stand_in


class Transfers:
    """Pulls and pushes of one store, and the lines that they reported."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.lines: list[TransferProgress] = []
        self.cancelled = threading.Event()
        self.mirrors = ""
        self.token = ""
        self.insecure = False
        self.watch: Callable[[TransferProgress], None] = lambda line: None

    def pull(self, name: str) -> StoredModel:
        return pull_room.pull(
            self.store,
            parse_source(name, default_registry=self.store.default_registry),
            on_progress=self._report,
            cancelled=self.cancelled,
            insecure=self.insecure,
            mirrors=self.mirrors,
            token=self.token,
        )

    def push(self, name: str) -> None:
        push_room.push(
            self.store,
            parse_reference(name),
            on_progress=self._report,
            cancelled=self.cancelled,
            insecure=self.insecure,
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


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """PEM of a key and of a certificate for 127.0.0.1 that it signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
    now = datetime.now(UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "authority.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


@contextmanager
def over_tls(authority: Path) -> Iterator[StandIn]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority)
    with serving(StandIn(), context) as server:
        yield server
