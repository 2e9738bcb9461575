"""The part of a `Runner` that tells of requests, events and logs, where they happen."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

from dmr_tui.runner.activity.journal import Journal
from dmr_tui.runner.activity.log_files import RunnerLog, read_logs
from dmr_tui.runner.activity.records import Activity, Bodies, Level, LogLine


class JournalKeeper:
    """A runner that keeps its own journal."""

    def __init__(self, logs: Path, *, bodies: bool = True, level: Level = "info") -> None:
        """Keep a journal, and write its lines to a log in `logs`.

        Args:
            logs: folder of the runner's log and of the engines'.
            bodies: keep the texts of requests and answers, in memory.
            level: lines below it are not written.
        """
        self._logs = logs
        self._log = RunnerLog(logs, level)
        self.journal = Journal(bodies=bodies, write=self._log.write)

    def activity(self) -> AsyncGenerator[Activity, None]:
        """See `Runner.activity`."""
        return self.journal.watch()

    async def bodies(self, request: str) -> Bodies | None:
        """See `Runner.bodies`."""
        return self.journal.bodies(request)

    async def keep_bodies(self, keep: bool) -> None:
        """See `Runner.keep_bodies`."""
        self.journal.keeps_bodies = keep

    async def clear_requests(self) -> None:
        """See `Runner.clear_requests`."""
        self.journal.clear()

    def logs(
        self, *, follow: bool = False, engines: bool = True
    ) -> AsyncGenerator[list[LogLine], None]:
        """See `Runner.logs`."""
        return read_logs(self._logs, follow=follow, engines=engines)

    async def close_log(self) -> None:
        """Wait until the log is written."""
        await self._log.close()
