"""Names and passwords: the environment, Docker's config, credential helpers."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmr_tui.store.transfer.credentials import HUB_KEY, Credentials, find_credentials

ALICE = Credentials("alice", "secret")


def encoded(pair: str) -> str:
    return base64.b64encode(pair.encode()).decode()


@pytest.fixture
def config(log_in: Callable[[str], None]) -> Callable[[dict[str, Any]], None]:
    return lambda content: log_in(json.dumps(content))


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Make a credential helper of a shell script; returns where it writes what it was asked."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def write(name: str, script: str) -> Path:
        program, asked = folder / f"docker-credential-{name}", tmp_path / "asked"
        program.write_text(f"#!/bin/sh\n(echo $1; cat) > {asked}\n{script}\n")
        program.chmod(0o755)
        return asked

    return write


def test_nothing_is_known_without_a_config() -> None:
    assert find_credentials("ghcr.io") == Credentials()
    assert not find_credentials("ghcr.io")


@pytest.mark.parametrize(
    ("key", "registry", "found"),
    [
        ("ghcr.io", "ghcr.io", True),
        ("https://ghcr.io", "ghcr.io", True),
        ("https://GHCR.io/v2/", "ghcr.io", True),
        ("http://localhost:5000/", "localhost:5000", True),
        (HUB_KEY, "docker.io", True),
        ("index.docker.io", "docker.io", True),
        ("registry-1.docker.io", "docker.io", True),
        ("docker.io", "docker.io", True),
        ("ghcr.io", "ghcr.io:5000", False),
        ("ghcr.io", "evil-ghcr.io", False),
        ("ghcr.io.evil.example", "ghcr.io", False),
        ("https://evil.example/ghcr.io", "ghcr.io", False),
        (HUB_KEY, "ghcr.io", False),
    ],
)
def test_a_login_belongs_to_one_host(
    config: Callable[[dict[str, Any]], None], key: str, registry: str, found: bool
) -> None:
    config({"auths": {key: {"auth": encoded("alice:secret")}}})
    assert find_credentials(registry) == (ALICE if found else Credentials())


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"username": "alice", "password": "secret"}, ALICE),
        ({"auth": encoded("alice:sec:ret")}, Credentials("alice", "sec:ret")),
        ({"auth": encoded("alice:secret\0\0")}, ALICE),
        ({"auth": encoded("<token>:abc")}, Credentials(identity_token="abc")),
        (
            {"auth": encoded("alice:"), "identitytoken": "abc"},
            Credentials("alice", "", identity_token="abc"),
        ),
        ({}, Credentials()),
    ],
)
def test_every_shape_of_an_entry_is_read(
    config: Callable[[dict[str, Any]], None], entry: dict[str, str], expected: Credentials
) -> None:
    config({"auths": {"ghcr.io": entry}, "HttpHeaders": {"unknown": "keys"}})
    assert find_credentials("ghcr.io") == expected


def test_docker_config_names_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: Callable[[dict[str, Any]], None]
) -> None:
    config({"auths": {"ghcr.io": {"auth": encoded("wrong:one")}}})
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text(
        json.dumps({"auths": {"ghcr.io": {"auth": encoded("alice:secret")}}})
    )
    assert find_credentials("ghcr.io") == ALICE


def test_a_secret_is_not_in_the_repr() -> None:
    shown = repr(Credentials("alice", "hunter2", "refresh-token"))
    assert "hunter2" not in shown
    assert "refresh-token" not in shown


@pytest.mark.parametrize(
    ("user", "password"),
    [("DOCKER_USERNAME", "DOCKER_PASSWORD"), ("DOCKER_HUB_USER", "DOCKER_HUB_PASSWORD")],
)
def test_the_environment_is_for_the_default_registry_alone(
    monkeypatch: pytest.MonkeyPatch, user: str, password: str
) -> None:
    monkeypatch.setenv(user, "alice")
    assert not find_credentials("docker.io")
    monkeypatch.setenv(password, "secret")
    assert find_credentials("docker.io") == ALICE
    assert not find_credentials("ghcr.io")
    assert find_credentials("ghcr.io", default_registry="ghcr.io") == ALICE
    assert not find_credentials("docker.io", default_registry="ghcr.io")


def test_a_helper_of_one_registry(
    config: Callable[[dict[str, Any]], None], helper: Callable[[str, str], Path]
) -> None:
    asked = helper("vault", """echo '{"ServerURL":"x","Username":"alice","Secret":"secret"}'""")
    config({"credHelpers": {"ghcr.io": "vault"}})
    assert find_credentials("ghcr.io") == ALICE
    assert asked.read_text() == "get\nghcr.io"
    assert not find_credentials("quay.io")


def test_the_helper_of_all_registries_knows_the_hub_by_its_old_address(
    config: Callable[[dict[str, Any]], None], helper: Callable[[str, str], Path]
) -> None:
    asked = helper("desktop", """echo '{"Username":"<token>","Secret":"abc"}'""")
    config({"credsStore": "desktop", "auths": {HUB_KEY: {}}})
    assert find_credentials("docker.io") == Credentials(identity_token="abc")
    assert asked.read_text() == f"get\n{HUB_KEY}"


def test_a_helper_that_knows_nothing_leaves_the_file(
    config: Callable[[dict[str, Any]], None], helper: Callable[[str, str], Path]
) -> None:
    helper("vault", "echo credentials not found in native keychain; exit 1")
    config({"credsStore": "vault"})
    assert find_credentials("ghcr.io") == Credentials()
    config({"credsStore": "vault", "auths": {"ghcr.io": {"auth": encoded("alice:secret")}}})
    assert find_credentials("ghcr.io") == ALICE


@pytest.mark.parametrize(
    ("name", "script", "trouble"),
    [
        ("vault", "echo locked >&2; exit 3", "failed: locked"),
        ("vault", "echo no json", "gave no JSON"),
        ("nowhere", "", "docker-credential-nowhere is not installed"),
        ("../x", "", "is no name of a credential helper"),
    ],
)
def test_a_helper_that_fails_is_told(
    config: Callable[[dict[str, Any]], None],
    helper: Callable[[str, str], Path],
    name: str,
    script: str,
    trouble: str,
) -> None:
    helper("vault", script)
    config({"credsStore": name})
    found = find_credentials("ghcr.io")
    assert not found
    assert trouble in found.trouble


@pytest.mark.parametrize("text", ["{", '{"auths": 7}', "[]", '{"auths":{"ghcr.io":{"auth":"%"}}}'])
def test_a_damaged_config_is_told(log_in: Callable[[str], None], text: str) -> None:
    log_in(text)
    found = find_credentials("ghcr.io")
    assert not found
    assert "config.json" in found.trouble
