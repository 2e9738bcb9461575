"""Where a registry answers: at its mirrors or itself, over TLS or in plain."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import TypeVar
from urllib.parse import urlsplit

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
