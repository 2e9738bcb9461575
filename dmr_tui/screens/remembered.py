"""What the full screen remembers from one day to the next: theme, screen, orders, the endpoint."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from dmr_tui.errors import StoreError
from dmr_tui.private import write_private


@dataclass(frozen=True)
class EndpointChoice:
    """The endpoint as it was last used.

    Attributes:
        on: whether it was listening.
        host: address; empty as in the settings.
        port: TCP port; -1 as in the settings.
        api_key: what clients must bring; empty: nothing.
    """

    on: bool = False
    host: str = ""
    port: int = -1
    api_key: str = ""


@dataclass(frozen=True)
class Remembered:
    """View state, never data: losing it loses nothing but habits.

    Attributes:
        theme: name of the colour theme; empty: the default.
        screen: mode of the screen that was shown last; empty: the first one.
        orders: for a table, the column it is sorted by; with a `-` before it, in reverse.
        views: for a table, the view it was left in.
        endpoint: see there.
    """

    theme: str = ""
    screen: str = ""
    orders: dict[str, str] = field(default_factory=dict)
    views: dict[str, str] = field(default_factory=dict)
    endpoint: EndpointChoice = field(default_factory=EndpointChoice)


class Memory:
    """`Remembered`, in a file that is read once and written when something changes."""

    def __init__(self, file: Path) -> None:
        """Read what is remembered; a file that cannot be read or understood is as good as none."""
        self._file = file
        self._state = _read(file)

    @property
    def state(self) -> Remembered:
        """What is remembered now."""
        return self._state

    def update(self, **changes: Any) -> None:
        """Remember something else; where that cannot be written it holds until the program ends.

        Args:
            changes: fields of `Remembered`.
        """
        state = replace(self._state, **changes)
        if state == self._state:
            return
        self._state = state
        try:
            write_private(self._file, json.dumps(asdict(state), indent=2).encode())
        except StoreError:
            return  # a read-only home: nothing that a person would miss today

    def set_order(self, table: str, column: str, *, reverse: bool) -> None:
        """Remember how a table is sorted."""
        order = f"-{column}" if reverse else column
        self.update(orders={**self._state.orders, table: order})

    def order(self, table: str, default: str) -> tuple[str, bool]:
        """The column that a table is sorted by, and whether in reverse."""
        order = self._state.orders.get(table, default)
        return order.removeprefix("-"), order.startswith("-")

    def set_view(self, table: str, view: str) -> None:
        """Remember which rows of a table are shown."""
        self.update(views={**self._state.views, table: view})


def _read(file: Path) -> Remembered:
    try:
        said = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return Remembered()
    if not isinstance(said, dict):
        return Remembered()
    kept = _known(Remembered(), said)
    endpoint = said.get("endpoint")
    choice = _known(EndpointChoice(), endpoint if isinstance(endpoint, dict) else {})
    orders, views = _texts(said.get("orders")), _texts(said.get("views"))
    return replace(
        Remembered(**kept), orders=orders, views=views, endpoint=EndpointChoice(**choice)
    )


def _known(default: Any, said: dict[str, Any]) -> dict[str, Any]:
    """The plain values that are of the right type; what an older or newer version wrote is left."""
    return {
        each.name: said[each.name]
        for each in fields(default)
        if each.name in said
        and type(said[each.name]) is type(getattr(default, each.name))
        and not isinstance(said[each.name], dict)
    }


def _texts(said: object) -> dict[str, str]:
    pairs = said.items() if isinstance(said, dict) else ()
    return {key: value for key, value in pairs if isinstance(value, str)}
