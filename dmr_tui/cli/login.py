"""Commands `login` and `logout`: Docker's config, as `docker login` keeps it."""

from __future__ import annotations

import sys

import click

from dmr_tui.cli.command import command
from dmr_tui.cli.output import talk
from dmr_tui.errors import UsageError
from dmr_tui.settings import load_settings


@command(
    "login", "dmr login", "dmr login ghcr.io -u me", "pass token | dmr login -u me --password-stdin"
)
@click.argument("registry", required=False)
@click.option("-u", "--username", help="The account.")
@click.option("-p", "--password", help="Its password or token; visible to others.")
@click.option("--password-stdin", is_flag=True, help="Read the password from stdin.")
def login_command(
    registry: str | None, username: str | None, password: str | None, password_stdin: bool
) -> None:
    """Log in to a registry.

    The password is tried, then kept by the credential helper that Docker's config names, else in
    that config itself. Docker and dmr share it. Without REGISTRY the default one is meant.
    """
    from dmr_tui.store.transfer.login import login  # Not at the top: it brings httpx.

    if password is not None and password_stdin:
        raise UsageError("--password and --password-stdin exclude each other")
    settings = load_settings()
    if password_stdin:
        if username is None:
            raise UsageError("--password-stdin needs --username")
        password = sys.stdin.read().rstrip("\r\n")
        if not password:
            raise UsageError("there is no password on standard input")
    elif not sys.stdin.isatty() and (username is None or password is None):
        raise UsageError("there is no terminal to ask on", "use -u NAME --password-stdin")
    name = click.prompt("Username", err=True) if username is None else username
    secret = password
    if secret is None:
        secret = click.prompt("Password", hide_input=True, err=True)
    if not (name and secret):
        raise UsageError("a username and a password must not be empty")
    file = login(
        registry or settings.default_registry, name, secret, insecure=settings.insecure_registry
    )
    if file is not None:
        talk(f"Warning: the password is kept unencrypted in {file}; a credential helper is safer.")
    print("Login Succeeded")


@command("logout", "dmr logout", "dmr logout ghcr.io")
@click.argument("registry", required=False)
def logout_command(registry: str | None) -> None:
    """Log out of a registry."""
    from dmr_tui.store.transfer.login import logout  # Not at the top: it brings httpx.

    host = registry or load_settings().default_registry
    print(f"Removed the login for {host}" if logout(host) else f"Not logged in to {host}")
