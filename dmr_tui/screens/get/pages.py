"""Where the web tells more of a model."""

from __future__ import annotations

from dmr_tui.errors import DmrError
from dmr_tui.store.reference import DOCKER_HUB
from dmr_tui.store.transfer.hub.name import HubName, parse_source


def page_of(name: str) -> str:
    """The address of a model's page; empty where there is none."""
    try:
        source = parse_source(name, default_registry=DOCKER_HUB)
    except DmrError:
        return ""
    if isinstance(source, HubName):
        return f"https://huggingface.co/{source.repository}"
    if source.registry == DOCKER_HUB:
        return f"https://hub.docker.com/r/{source.repository}"
    return f"https://{source.registry}/{source.repository}"
