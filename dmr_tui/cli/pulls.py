"""`dmr pulls`: what the full screen has begun to fetch and not finished."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from msgspec import Struct

from dmr_tui.cli.command import command
from dmr_tui.cli.local_store import open_store
from dmr_tui.cli.output import json_text, size_text, table, talk
from dmr_tui.paths import Paths

if TYPE_CHECKING:
    from dmr_tui.runner.unfinished import Unfinished
    from dmr_tui.store.store import Store

_HEADERS = ("MODEL", "STATE", "FETCHED", "SIZE")


class _Row(Struct, frozen=True):
    """One pull, as JSON has it; sizes in bytes."""

    model: str
    state: str
    fetched: int
    size: int


@command("pulls", "dmr pulls", "dmr pulls --json")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def pulls_command(as_json: bool) -> None:
    """List the downloads of the full screen that are not finished.

    They go on when 'dmr' is opened; 'dmr pull MODEL' goes on with one of them at once.
    """
    from dmr_tui.runner.unfinished import UnfinishedPulls

    listed = UnfinishedPulls(Paths.default().pulls)
    pulls = listed.read()
    open_elsewhere = bool(pulls) and not listed.own()
    listed.disown()
    store = open_store()
    rows = [_row(store, pull, open_elsewhere) for pull in pulls]
    if as_json:
        print(json_text(rows))
    elif rows:
        cells = [
            (row.model, row.state, size_text(row.fetched), size_text(row.size) if row.size else "")
            for row in rows
        ]
        print(table(_HEADERS, cells))
    else:
        talk("Nothing is unfinished.")


def _row(store: Store, pull: Unfinished, open_elsewhere: bool) -> _Row:
    from dmr_tui.store.transfer.fetch import present

    here = sum(present(store.blobs, digest, size) for digest, (size, _) in pull.layers.items())
    state = "paused" if pull.paused else "under way" if open_elsewhere else "waits for dmr"
    return _Row(pull.name, state, here, pull.total)
