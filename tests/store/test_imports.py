from __future__ import annotations

import subprocess
import sys


def test_the_store_imports_nothing_heavy() -> None:
    code = "import sys, dmr_tui.store.store, dmr_tui.store.package; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in run.stdout.split()}
    heavy = {"asyncio", "httpx", "oras", "numpy", "gguf", "shutil", "difflib", "logging"}
    assert not loaded & (heavy | {"textual", "rich", "llama_cpp", "jinja2", "tempfile"})
