"""Where a registry answers: at its mirrors or itself, over TLS or in plain."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import TypeVar
from urllib.parse import urlsplit

from dmr_tui.errors import RegistryError
from dmr_tui.store.reference import DOCKER_HUB
from dmr_tui.store.transfer.retry import UnreachableError

HUB_ADDRESS = "https://registry-1.docker.io"

T = TypeVar("T")


def is_loopback(host: str) -> bool:
    """Whether a host name means this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_private(host: str) -> bool:
    """Whether a host is an address of this machine or of a network that others cannot see."""
    if is_loopback(host):
        return True
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return False
    return address.is_private or address.is_link_local or address.is_unspecified


def lives_inside(host: str) -> bool:
    """Whether a host is one of such a network, by its address or by what its name resolves to."""
    if is_private(host):
        return True
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False  # only a proxy knows it
    return any(is_private(str(address[0])) for *_, address in found)


def not_inward(target: str, source: str) -> str:
    """Where a redirect leads, unless somebody outside points at what only this machine can reach.

    Args:
        target: the address.
        source: the host that is trusted to redirect.

    Raises:
        RegistryError: it does.
    """
    host = urlsplit(target).hostname or ""
    if is_private(host) and not lives_inside(source):
        raise RegistryError(
            f"{source} redirects to {host}, a private address: refused", "tell who runs it"
        )
    return target


def addresses(registry: str, *, insecure: bool = False) -> tuple[str, ...]:
    """The base URLs that a registry's API may have, in the order to try them.

    A registry on this machine mostly speaks plain HTTP, so that is tried first, and nothing is lost
    by it. Others that may speak it, in `*.local` or because the person says so, are asked over TLS
    first.

    Args:
        registry: as in a reference, e.g. `docker.io`, `localhost:5000`.
        insecure: whether any registry but Docker Hub may speak plain HTTP.
    """
    if registry == DOCKER_HUB:
        return (HUB_ADDRESS,)
    host = urlsplit(f"//{registry}").hostname or ""
    safe, plain = f"https://{registry}", f"http://{registry}"
    if is_loopback(host):
        return plain, safe
    return (safe, plain) if insecure or host.endswith(".local") else (safe,)


def mirrors(registry: str, setting: str) -> list[str]:
    """Base URLs to try before Docker Hub itself; other registries have none.

    Args:
        registry: as in a reference.
        setting: addresses with commas between them, as in `MODEL_RUNNER_REGISTRY_MIRRORS`.
    """
    if registry != DOCKER_HUB:
        return []
    bases = [text.strip().rstrip("/").removesuffix("/v2") for text in setting.split(",")]
    return [base if "://" in base else f"https://{base}" for base in bases if base]


def reach(bases: Iterable[str], ask: Callable[[str], T]) -> T:
    """The answer of the first address where somebody speaks its protocol.

    Args:
        bases: the addresses, at least one.
        ask: sends the first request to one of them.

    Raises:
        UnreachableError: none of them does. A certificate that is not believed tells more than the
            failure of another protocol.
    """
    failures: list[UnreachableError] = []
    for base in bases:
        try:
            return ask(base)
        except UnreachableError as error:
            failures.append(error)
    raise next((error for error in failures if error.untrusted), failures[0])
