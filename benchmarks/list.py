"""`dmr list` with ten models and with ten thousand, in one interleaved run.

    make bench-list        (or: python benchmarks/list.py --models 10000 --rounds 9)

Prints the wall time of the whole command, from the start of the interpreter to its end, and the
ratio of the two. The bar is 3.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from dmr_tui.store import gojson
from dmr_tui.store.facts import model_config
from dmr_tui.store.gguf import read_header
from dmr_tui.store.manifest import (
    CONFIG_V01,
    GGUF_LAYER,
    OCI_MANIFEST,
    ConfigFile,
    Dates,
    Descriptor,
    Manifest,
    RootFS,
)
from tests.support.gguf_maker import write_tiny_llama


def main() -> None:
    """Make both stores, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        gguf = write_tiny_llama(root / "tiny.gguf")
        counts = (10, options.models)
        for count in counts:
            make_store(root / str(count), gguf, count)
        times: dict[str, list[float]] = {}
        for _ in range(options.rounds + 1):
            times.setdefault("python -c pass", []).append(seconds(["-c", "pass"], root))
            for count in counts:
                took = seconds(["-m", "dmr_tui", "list"], root / str(count))
                times.setdefault(f"{count} models", []).append(took)
    print(f"{'':<16}{'median':>10}{'best':>10}")
    for name, measured in times.items():
        warm = measured[1:]  # the first round fills caches, the page cache among them
        print(f"{name:<16}{statistics.median(warm):>9.3f}s{min(warm):>9.3f}s")
    few, many = (statistics.median(times[f"{count} models"][1:]) for count in counts)
    print(f"ratio {many / few:.2f} (bar: 3)")


def make_store(root: Path, gguf: Path, count: int) -> None:
    """Write a store by hand; all models have one blob, each its own manifest and config."""
    for name in ("blobs", "manifests"):
        (root / name / "sha256").mkdir(parents=True)
    facts = model_config([read_header(gguf)])
    weights = put(root / "blobs", gguf.read_bytes())
    entries = []
    for number in range(count):
        config = ConfigFile(
            facts, Dates(created=f"2025-01-01T00:00:00.{number:09d}Z"), RootFS(diff_ids=[weights])
        )
        data = gojson.encode(config)
        digest = put(root / "blobs", data)
        manifest = Manifest(
            schema_version=2,
            media_type=OCI_MANIFEST,
            config=Descriptor(CONFIG_V01, len(data), digest),
            layers=[Descriptor(GGUF_LAYER, gguf.stat().st_size, weights)],
        )
        model = put(root / "manifests", gojson.encode(manifest))
        tag = f"docker.io/organisation{number % 97}/model{number}:q{number % 8}"
        entries.append({"id": model, "tags": [tag], "files": [weights, digest]})
    (root / "layout.json").write_text('{\n  "version": "1.0.0"\n}')
    (root / "models.json").write_text(json.dumps({"models": entries}, indent=2))


def put(folder: Path, data: bytes) -> str:
    """Write a file under its digest."""
    name = hashlib.sha256(data).hexdigest()
    (folder / "sha256" / name).write_bytes(data)
    return f"sha256:{name}"


def seconds(arguments: list[str], store: Path) -> float:
    """Wall time of one run of the interpreter."""
    environment = {**os.environ, "MODELS_PATH": str(store)}
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments], env=environment, check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
