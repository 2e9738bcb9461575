"""The README's demo: one real answer from a real model, start to end.

The model is the built-in `dmr/guide`, so there is nothing to download.
"""

from __future__ import annotations

import subprocess
import sys

PROMPT = "How do I pull a model?"


def main() -> int:
    """Ask the built-in model, say what comes next; returns the exit code."""
    print(f'$ dmr run dmr/guide "{PROMPT}"', file=sys.stderr)
    ask = [sys.executable, "-m", "dmr_tui", "run", "--verbose", "dmr/guide", PROMPT]
    code = subprocess.run(ask).returncode
    if code == 0:
        print(
            "\nThat was the built-in guide: tiny, and it knows dmr only. Next:\n"
            "  .venv/bin/dmr run dmr/guide            ask it more\n"
            "  .venv/bin/dmr run ai/smollm2 'hello'   pull a larger one and ask that\n"
            "  make run                               the full screen",
            file=sys.stderr,
        )
    return code


if __name__ == "__main__":
    raise SystemExit(main())
