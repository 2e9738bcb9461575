"""The table of requests: what the feed has, chosen by a filter, the newest first."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from dmr_tui.runner.activity.filtering import Filter
from dmr_tui.runner.activity.records import RequestRecord
from dmr_tui.screens.logs.columns import columns
from dmr_tui.screens.workspace import Workspace
from dmr_tui.settings import DEFAULT_PORT
from dmr_tui.widgets.table import Table

_EMPTY = """\
No request yet.

What you ask in the chat is listed here, and what other programs ask over HTTP:
E lets them in and shows the address. For example:

  curl {url}/v1/chat/completions -d \\
    '{{"model":"dmr/guide","messages":[{{"role":"user","content":"hi"}}]}}'"""


class RequestsPane(Vertical):
    """Requests as they happen."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(id="requests-pane")
        self._workspace = workspace
        self._filter = Filter("")
        self._oldest = 0.0
        self._verdicts: dict[str, tuple[RequestRecord, bool]] = {}
        """What the filter said of each request in its present state."""
        self._rows: list[RequestRecord] = []

    def compose(self) -> ComposeResult:
        """The table, and what stands in its place while it is empty."""
        yield Table(columns(self._workspace.clocks.now), identity=lambda row: row.id, id="requests")
        yield Static(id="no-requests")

    @property
    def table(self) -> Table[RequestRecord]:
        """The table."""
        return self.query_one("#requests", Table)

    @property
    def current(self) -> RequestRecord | None:
        """The request under the cursor."""
        return self.table.current

    @property
    def shown(self) -> list[RequestRecord]:
        """The requests that the filter chooses, the newest first."""
        return self._rows

    @property
    def following(self) -> bool:
        """Whether the cursor is on the newest request, and stays there."""
        return self.table.cursor == 0

    def choose(self, wanted: Filter, oldest: float) -> None:
        """Show the requests that a filter chooses and that came after a Unix time."""
        self._filter, self._oldest = wanted, oldest
        self._verdicts.clear()

    def refresh_rows(self) -> None:
        """Show what the feed has now."""
        follow = self.following
        requests = self._workspace.feed.requests
        self._rows = [each for each in reversed(requests.values()) if self._matches(each)]
        if len(self._verdicts) > 2 * len(requests):
            self._verdicts = {id_: self._verdicts[id_] for id_ in requests}
        table = self.table
        table.show(self._rows)
        if follow:
            table.cursor = 0
        self._show_empty(bool(requests))

    def _matches(self, record: RequestRecord) -> bool:
        if record.time < self._oldest:
            return False
        known = self._verdicts.get(record.id)
        if known is not None and known[0] is record:
            return known[1]
        verdict = self._filter.request(record)
        self._verdicts[record.id] = (record, verdict)
        return verdict

    def _show_empty(self, some: bool) -> None:
        self.table.display = bool(self._rows)
        empty = self.query_one("#no-requests", Static)
        empty.display = not self._rows
        if some:
            empty.update("No request matches.  esc shows all.")
            return
        workspace = self._workspace
        served = workspace.endpoint.url or (workspace.status.endpoint if workspace.status else "")
        url = served or f"http://127.0.0.1:{workspace.settings.port or DEFAULT_PORT}"
        empty.update(_EMPTY.format(url=url.rstrip("/")))
