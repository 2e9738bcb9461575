"""`dmr login` and `dmr logout`, against a registry that wants a password."""

from __future__ import annotations

from tests.cli.conftest import Dmr
from tests.support.registry import PASSWORD, USERNAME, LiveRegistry


def test_a_login_and_its_end(dmr: Dmr, basic_registry: LiveRegistry) -> None:
    host = basic_registry.address
    done = dmr("login", host, "-u", USERNAME, "--password-stdin", stdin=f"{PASSWORD}\n")
    assert (done.code, done.out) == (0, "Login Succeeded\n")
    assert "unencrypted" in done.err
    assert dmr("logout", host).out == f"Removed the login for {host}\n"
    assert dmr("logout", host).out == f"Not logged in to {host}\n"


def test_a_wrong_password_is_an_error(dmr: Dmr, basic_registry: LiveRegistry) -> None:
    done = dmr("login", basic_registry.address, "-u", USERNAME, "-p", "wrong")
    assert done.code == 1
    assert f"refused the login of {USERNAME}" in done.err


def test_what_cannot_be_asked_must_be_given(dmr: Dmr) -> None:
    assert dmr("login", "ghcr.io").code == 2
    assert dmr("login", "--password-stdin").code == 2
    assert dmr("login", "-u", "x", "-p", "y", "--password-stdin").code == 2
    empty = dmr("login", "-u", "x", "--password-stdin", stdin="\n")
    assert (empty.code, empty.err) == (2, "Error: there is no password on standard input\n")
    assert dmr("login", "-u", "x", "-p", "").code == 2
