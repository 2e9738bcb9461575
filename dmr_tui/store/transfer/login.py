"""Login and logout: what Docker's own `docker login` does, in the same config file.

A password is tried on the registry first. Then it goes to the credential helper that the config
names for this registry, else into the config file itself, which others cannot read.
"""

from __future__ import annotations

import base64
import os
import threading
from pathlib import Path
from typing import Any

import msgspec

from dmr_tui.errors import InvalidRequestError, RegistryError, StoreError
from dmr_tui.store import durable
from dmr_tui.store.transfer.auth import Authorizer, parse_challenges
from dmr_tui.store.transfer.credentials import (
    Credentials,
    HelperError,
    config_file,
    host_of_key,
    key_of,
    run_helper,
)
from dmr_tui.store.transfer.origins import addresses, reach
from dmr_tui.store.transfer.retry import Persistence
from dmr_tui.store.transfer.wire import Wire

_UNINTERESTED = {200, 404}
"""Answers of a registry that lets everybody in, or does not serve the API's root."""


def login(registry: str, username: str, password: str, *, insecure: bool = False) -> Path | None:
    """Try a name and a password, and remember them. Blocks: for a thread.

    Args:
        registry: its host, with the port if it has one.
        username: the account.
        password: its password or access token.
        insecure: any registry but Docker Hub may speak plain HTTP.

    Returns:
        The file that now holds the password in plain text; None when a credential helper has it.

    Raises:
        UnauthorizedError: the registry refuses them.
        RegistryError: it cannot be reached, or fails.
        InvalidRequestError: the config file cannot be read.
        StoreError: it cannot be written.
    """
    if not username or not password or ":" in username:
        raise InvalidRequestError("a login needs a name without a colon, and a password")
    given = Credentials(username, password)
    reach(addresses(registry, insecure=insecure), lambda base: _try(registry, given, base))
    file = config_file()
    config, key = _read(file), key_of(registry)
    if helper := _helper(config, registry):
        secret = {"ServerURL": key, "Username": username, "Secret": password}
        _help(helper, "store", msgspec.json.encode(secret))
        _auths(config)[key] = {}
    else:
        pair = base64.b64encode(f"{username}:{password}".encode()).decode()
        _auths(config)[key] = {"auth": pair}
    _write(file, config)
    return None if helper else file


def logout(registry: str) -> bool:
    """Forget what is known for a registry; False: that is nothing.

    Raises:
        InvalidRequestError: the config file cannot be read.
        StoreError: it cannot be written, or the credential helper fails.
    """
    file = config_file()
    config = _read(file)
    auths, host = _auths(config), host_of_key(registry)
    gone = [key for key in auths if host_of_key(key) == host]
    helper = _helper(config, registry)
    if helper and _help(helper, "get", key_of(registry).encode()):
        _help(helper, "erase", key_of(registry).encode())
    elif not gone:
        return False
    for key in gone:
        del auths[key]
    _write(file, config)
    return True


def _try(registry: str, given: Credentials, base: str) -> None:
    with Wire(Persistence(threading.Event(), attempts=2)) as wire:
        authorizer = Authorizer(wire, base, "", registry, lambda: given)
        url = f"{base}/v2/"
        response = wire.send("GET", url)
        if response.status_code == 401:
            challenges = parse_challenges(response.headers.get_list("WWW-Authenticate"))
            wire.discard(response)
            if not authorizer.answer(challenges, ""):
                raise RegistryError(f"{registry} wants a login of a kind that is not known")
            response = wire.send("GET", url, headers={"Authorization": authorizer.header()})
        status = response.status_code
        if status in (401, 403):
            wire.discard(response)
            raise authorizer.refusal()
        if status not in _UNINTERESTED:
            raise RegistryError(wire.problem(response))
        wire.discard(response)


def _helper(config: dict[str, Any], registry: str) -> str:
    helpers = config.get("credHelpers")
    host = host_of_key(registry)
    named = helpers.items() if isinstance(helpers, dict) else ()
    chosen = next((name for key, name in named if host_of_key(key) == host), None)
    return str(chosen or config.get("credsStore") or "")


def _help(helper: str, verb: str, data: bytes) -> bytes | None:
    try:
        return run_helper(helper, verb, data)
    except HelperError as error:
        raise StoreError(str(error), "see credsStore and credHelpers in Docker's config") from error


def _auths(config: dict[str, Any]) -> dict[str, Any]:
    auths = config.setdefault("auths", {})
    if not isinstance(auths, dict):
        raise InvalidRequestError("Docker's config has auths that are no object")
    return auths


def _read(file: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"{file} cannot be read: {error}") from error


def _write(file: Path, config: dict[str, Any]) -> None:
    """Write the config for this person alone; all that others keep in it stays."""
    target = file.resolve()  # it may be a link to where somebody keeps such files
    temporary = target.with_name(f"{target.name}.{os.urandom(5).hex()}")
    data = msgspec.json.format(msgspec.json.encode(config), indent=1)
    with durable.reporting(f"write {file}"):
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as to:
                to.write(data)
            durable.rename(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
