"""Find the manifest that a reference means: at a mirror, else at its registry."""

from __future__ import annotations

from collections.abc import Callable

from dmr_tui.errors import ModelNotFoundError, RegistryError, UnauthorizedError
from dmr_tui.store.reference import Reference
from dmr_tui.store.transfer.credentials import find_credentials
from dmr_tui.store.transfer.origins import addresses, mirrors, reach
from dmr_tui.store.transfer.registry import RemoteManifest, Repository
from dmr_tui.store.transfer.wire import Wire


def open_repository(
    wire: Wire, base: str, reference: Reference, *, default_registry: str, push: bool = False
) -> Repository:
    """A repository at one address, for the person's own login; nothing is sent yet."""
    return Repository(
        wire,
        base,
        reference,
        push=push,
        credentials=lambda registry: find_credentials(registry, default_registry=default_registry),
    )


def locate(
    wire: Wire,
    reference: Reference,
    *,
    default_registry: str,
    insecure: bool,
    mirror_setting: str,
    warn: Callable[[str], None],
) -> tuple[Repository, RemoteManifest]:
    """The first of mirrors and registry that has the model, and its manifest.

    Args:
        wire: what carries the requests.
        reference: names the model.
        default_registry: the one that the environment's login belongs to.
        insecure: whether any registry but Docker Hub may speak plain HTTP.
        mirror_setting: addresses with commas between them.
        warn: told why a mirror is passed over.

    Raises:
        ModelNotFoundError: the registry knows no such model.
        UnauthorizedError: it wants another login.
        RegistryError: it fails.
    """

    def at(base: str) -> tuple[Repository, RemoteManifest]:
        repository = open_repository(wire, base, reference, default_registry=default_registry)
        return repository, repository.manifest()

    for mirror in mirrors(reference.registry, mirror_setting):
        try:
            return at(mirror)
        except (RegistryError, ModelNotFoundError, UnauthorizedError) as error:
            warn(f"mirror {mirror}: {error.message}")
    return reach(addresses(reference.registry, insecure=insecure), at)
