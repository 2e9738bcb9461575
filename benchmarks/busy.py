"""The full screen over a runner that has seen 10,000 requests; started by `benchmarks.ui`."""

from __future__ import annotations

import sys

from dmr_tui.app import DmrApp
from dmr_tui.paths import Paths
from dmr_tui.runner.base import Runner
from dmr_tui.runner.local import LocalRunner
from dmr_tui.settings import load_settings


def main() -> None:
    """Open the screens."""
    paths = Paths.default()
    settings = load_settings(paths)

    async def opened() -> Runner:
        runner = LocalRunner.open(paths, settings)
        for number in range(int(sys.argv[1])):
            exchange = runner.journal.prepare(
                client="zed/0.209", protocol="chat", method="POST", path="/v1/chat/completions"
            )
            exchange.model = f"docker.io/ai/model{number % 7}:latest"
            exchange.request = b'{"messages":[{"role":"user","content":"Hello"}]}'
            runner.journal.close(exchange, 200 if number % 5 else 400)
        return runner

    app = DmrApp(settings, paths, open_runner=opened)
    app.workspace.memory.update(screen="logs")
    app.run()


if __name__ == "__main__":
    main()
