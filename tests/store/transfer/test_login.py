"""Logins to real registries, and what they leave in Docker's config."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dmr_tui.errors import InvalidRequestError, RegistryError, StoreError, UnauthorizedError
from dmr_tui.store.transfer.credentials import Credentials, find_credentials
from dmr_tui.store.transfer.login import login, logout
from tests.store.transfer.test_credentials import helper as _helper
from tests.support.registry import PASSWORD, USERNAME, LiveRegistry
from tests.support.stand_in import StandIn, status

helper = _helper


@pytest.fixture(params=["basic_registry", "token_registry"])
def guarded(request: pytest.FixtureRequest) -> str:
    live: LiveRegistry = request.getfixturevalue(request.param)
    return live.address


def test_a_login_is_tried_and_kept(guarded: str, home: Path) -> None:
    file = login(guarded, USERNAME, PASSWORD)
    assert file == home / ".docker" / "config.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert find_credentials(guarded) == Credentials(USERNAME, PASSWORD)
    assert logout(guarded)
    assert not find_credentials(guarded)
    assert not logout(guarded)


def test_a_wrong_password_is_not_kept(guarded: str, home: Path) -> None:
    with pytest.raises(UnauthorizedError, match=f"refused the login of {USERNAME}"):
        login(guarded, USERNAME, "wrong")
    assert not (home / ".docker").exists()


def test_what_others_keep_in_the_config_stays(
    server: StandIn, log_in: Callable[[str], None], home: Path
) -> None:
    others = {"auths": {"ghcr.io": {"auth": "eA=="}}, "HttpHeaders": {"a": "b"}}
    log_in(json.dumps(others))
    server.fault("GET /v2/$", status(200))
    login(server.host, "bob", "pass:word")
    config = json.loads((home / ".docker" / "config.json").read_text())
    assert config["HttpHeaders"] == {"a": "b"}
    assert set(config["auths"]) == {"ghcr.io", server.host}
    assert find_credentials(server.host) == Credentials("bob", "pass:word")
    logout(server.host)
    assert json.loads((home / ".docker" / "config.json").read_text()) == others


def test_a_helper_keeps_the_password(
    server: StandIn,
    log_in: Callable[[str], None],
    helper: Callable[[str, str], Path],
    home: Path,
) -> None:
    asked = helper("vault", 'test "$1" != get || echo "{}"')
    log_in(json.dumps({"credsStore": "vault"}))
    assert login(server.host, "bob", "secret") is None
    verb, _, said = asked.read_text().partition("\n")
    assert verb == "store"
    assert json.loads(said) == {"ServerURL": server.host, "Username": "bob", "Secret": "secret"}
    assert "secret" not in (home / ".docker" / "config.json").read_text()
    assert logout(server.host)
    assert asked.read_text() == f"erase\n{server.host}"


def test_a_helper_that_fails_is_told(
    server: StandIn, log_in: Callable[[str], None], helper: Callable[[str, str], Path]
) -> None:
    helper("vault", "echo locked >&2; exit 3")
    log_in(json.dumps({"credsStore": "vault"}))
    with pytest.raises(StoreError, match="failed: locked"):
        login(server.host, "bob", "secret")


def test_a_login_that_cannot_be_tried_is_not_kept(
    server: StandIn, log_in: Callable[[str], None]
) -> None:
    server.fault("GET", *[status(500)] * 2)
    with pytest.raises(RegistryError, match="answered 500"):
        login(server.host, "bob", "secret")
    with pytest.raises(InvalidRequestError, match="a name without a colon"):
        login(server.host, "a:b", "secret")
    log_in("{ no json")
    with pytest.raises(InvalidRequestError, match="cannot be read"):
        login(server.host, "bob", "secret")
