"""Decode one token with the engine that is installed; any failure is a non-zero exit.

A miscompiled library dies by a signal here instead of in a user's first answer, so this runs in a
process of its own. The model is Q8_0: that is the path where bad builds crash.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def main() -> None:
    """Build a tiny model, evaluate a prompt, sample a token."""
    from llama_cpp import Llama

    from tests.support.gguf_maker import write_tiny_llama

    with tempfile.TemporaryDirectory() as folder:
        model = Llama(str(write_tiny_llama(Path(folder) / "tiny.gguf")), n_ctx=64, verbose=False)
        answer = model.create_completion("one two three", max_tokens=1, temperature=0.0)
        if answer["usage"]["completion_tokens"] != 1:
            raise SystemExit("the engine answered without decoding a token")


if __name__ == "__main__":
    main()
