"""Docker Hub's own API, beside its registry: lists of repositories and tags, with sizes.

https://docs.docker.com/reference/api/hub/latest/. What it lists can be read by anybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from dmr_tui.errors import InvalidRequestError, ModelNotFoundError, RegistryError
from dmr_tui.store.transfer.wire import MALFORMED, Wire, split_url

T = TypeVar("T")

_ADDRESS = "https://hub.docker.com"
_LARGEST_PAGE = 8 << 20  # bytes of JSON


def hub_address(environ: Mapping[str, str]) -> str:
    """The API's address, or another one that `DMR_HUB_URL` names.

    Raises:
        InvalidRequestError: that is no address.
    """
    base = environ.get("DMR_HUB_URL", "").strip().rstrip("/") or _ADDRESS
    try:
        return split_url(base).geturl()
    except RegistryError as error:
        raise InvalidRequestError(f"DMR_HUB_URL: {error.message}") from error


def get_json(wire: Wire, url: str, kind: type[T]) -> T:
    """One answer of the API.

    Raises:
        ModelNotFoundError: there is nothing at this address.
        RegistryError: the API fails, or sends something else.
    """
    response = wire.send("GET", url, headers={"Accept": "application/json"})
    if response.status_code != 200:
        missing = response.status_code == 404
        raise (ModelNotFoundError if missing else RegistryError)(wire.problem(response))
    try:
        return msgspec.json.decode(wire.read(response, _LARGEST_PAGE), type=kind)
    except MALFORMED as error:
        raise RegistryError(f"an answer that is no list of models: {error}") from error
    finally:
        response.close()
