"""The README's demo: one real answer from a real model, start to end.

The model is made on the spot with random weights, so the words are noise; everything else is the
real thing: a GGUF file, the worker process, llama.cpp, streamed text. `dmr pull` gets a model that
makes sense.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "build" / "demo" / "random-tiny.gguf"
PROMPT = "What can you do on this machine?"


def main() -> int:
    """Make the model once, ask it, say what comes next; returns the exit code."""
    if not MODEL.exists():
        MODEL.parent.mkdir(parents=True, exist_ok=True)
        maker = [sys.executable, "-m", "tests.support.gguf_maker", str(MODEL)]
        subprocess.run(maker, cwd=ROOT, check=True)
    ask = ["run", "--max-tokens", "48", "--seed", "4", "--verbose", str(MODEL), PROMPT]
    print(f"$ dmr {' '.join(ask[:-1])} {PROMPT!r}", file=sys.stderr)
    code = subprocess.run([sys.executable, "-m", "dmr_tui", *ask], cwd=ROOT).returncode
    if code == 0:
        print(
            "\nThat was a model with random weights: real inference, no sense. Next:\n"
            "  .venv/bin/dmr run ai/smollm2 'hello'   pull a real one and ask it\n"
            "  make run                               the full screen",
            file=sys.stderr,
        )
    return code


if __name__ == "__main__":
    raise SystemExit(main())
