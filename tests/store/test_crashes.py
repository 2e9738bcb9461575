"""Operations that are killed at every step, and writers that do not wait for each other."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmr_tui.store.fsck import fsck
from dmr_tui.store.store import Store
from tests.support.registry import LiveRegistry
from tests.support.stand_in import StandIn, stand_in

OPERATIONS = ["package", "repackage", "tag", "rm", "prune", "fsck", "pull", "purge"]
FEWEST = {"tag": 8, "pull": 8}
"""Steps; an operation that takes fewer was not watched."""
STRIDE = {"pull": "4"}
"""Pulls are slow to repeat, so most of their steps are left out unless `CRASH_STRIDE` is set."""


@pytest.fixture
def quick_disk() -> Iterator[Path]:
    """A folder in memory where there is one: a kill does not lose what the kernel has taken."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture
def server() -> Iterator[StandIn]:
    with stand_in() as running:
        running.model(random.Random(5).randbytes(3 << 20), b"licence")
        yield running


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("operation", OPERATIONS)
def test_killed_at_any_step_the_store_is_clean_and_the_operation_repeatable(
    quick_disk: Path, tiny_gguf: Path, server: StandIn, operation: str
) -> None:
    root = quick_disk / "models"
    done = run(
        "-m", "tests.support.crashes", str(root), str(tiny_gguf), operation,
        CRASH_SERVER=server.name,
        CRASH_STRIDE=os.environ.get("CRASH_STRIDE") or STRIDE.get(operation, "1"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    name, steps = done.stdout.split()
    assert name == operation
    assert int(steps) >= FEWEST.get(operation, 15)


def test_killed_at_random_moments_nothing_is_lost_and_the_next_pull_finishes(
    quick_disk: Path,
    tiny_gguf: Path,
    server: StandIn,
    registry: LiveRegistry,
    pytestconfig: pytest.Config,
) -> None:
    """More of them with `pytest tests/store/test_crashes.py -k random --kills 200 --timeout 0`."""
    server.model(random.Random(6).randbytes(20 << 20), b"licence")
    count = pytestconfig.getoption("--kills")
    seed = random.randrange(1 << 30)
    done = run(
        *("-m", "tests.support.kills", str(quick_disk / "models"), str(tiny_gguf)),
        *(server.name, f"{registry.address}/kills/model", str(count), str(seed)),
    )
    assert done.returncode == 0, f"seed {seed}: {done.stderr[-3000:]}"
    print(done.stdout)
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [name for name, *_ in rows] == ["pull", "tag", "rm", "prune", "push"]
    assert sum(int(kills) for _, kills, _ in rows) == count


OURS = """
import sys
from pathlib import Path
from dmr_tui.store.reference import parse_reference
from dmr_tui.store.store import Store
from tests.store.conftest import add_model

store, name = Store(Path(sys.argv[1])), sys.argv[2]
print(flush=True)
sys.stdin.readline()
for number in range(25):
    add_model(store, f"{name}:v{number}", weights=f"{name} {number}".encode())
    if number % 5 == 4:
        store.remove(f"{name}:v{number}")
"""
# By the rules of Docker Model Runner's own store: blobs, manifest, then the whole index read,
# changed and put back by a rename, with no lock and no look at what others do.
THEIRS = """
import json, os, sys, hashlib
from pathlib import Path

root = Path(sys.argv[1])

def put(folder, data):
    name = hashlib.sha256(data).hexdigest()
    path = root / folder / "sha256" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, data)
    return name

def write(path, data):
    temporary = path.with_name(path.name + ".tmp-go")
    with temporary.open("wb") as file:
        file.write(data)
        os.fsync(file.fileno())
    temporary.rename(path)

print(flush=True)
sys.stdin.readline()
for number in range(25):
    weights = b"theirs %d" % number
    layer = "sha256:" + put("blobs", weights)
    config = json.dumps({
        "config": {"format": "gguf"},
        "descriptor": {"created": "2025-01-02T03:04:05Z"},
        "rootfs": {"type": "rootfs", "diff_ids": [layer]},
    }).encode()
    config_digest = "sha256:" + put("blobs", config)
    kind = "application/vnd.docker.ai."
    manifest = json.dumps({
        "schemaVersion": 2,
        "config": {
            "mediaType": kind + "model.config.v0.1+json",
            "size": len(config),
            "digest": config_digest,
        },
        "layers": [{"mediaType": kind + "gguf.v3", "size": len(weights), "digest": layer}],
    }).encode()
    model = "sha256:" + put("manifests", manifest)
    index = json.loads((root / "models.json").read_text())
    index["models"].append({
        "id": model,
        "tags": [f"docker.io/ai/theirs:v{number}"],
        "files": [layer, config_digest],
    })
    write(root / "models.json", json.dumps(index, indent=2).encode())
"""


def test_two_of_us_and_one_that_takes_no_lock_lose_no_entry(quick_disk: Path) -> None:
    root = quick_disk / "models"
    store = Store(root)
    with store.index.edit() as draft:
        draft.save()
    programs = [(OURS, "one"), (OURS, "two"), (THEIRS, "theirs")]
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", text, str(root), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for text, name in programs
    ]
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.readline()
    codes = []
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate()
        codes.append(writer.returncode)
    assert codes == [0, 0, 0]
    names = {tag.removeprefix("docker.io/ai/") for model in store.models() for tag in model.tags}
    ours = {f"{name}:v{n}" for name in ("one", "two") for n in range(25) if n % 5 != 4}
    assert names == ours | {f"theirs:v{n}" for n in range(25)}
    assert fsck(store, full=True).clean


def test_an_entry_that_comes_back_without_its_model_is_dropped(quick_disk: Path) -> None:
    """Also when another model still has some of its files."""
    from tests.store.conftest import add_model

    store = Store(quick_disk / "models")
    add_model(store, "first", weights=b"1")
    add_model(store, "second", weights=b"2")
    index = store.root / "models.json"
    then = index.read_bytes()
    store.remove("second")
    index.write_bytes(then)
    assert [model.name for model in store.models()] == ["first"]
    assert fsck(store, full=True).clean
    index.write_bytes(then)
    assert add_model(store, "second", weights=b"2").name == "second"
    assert len(store.models()) == 2
    assert fsck(store, full=True).clean

    # One that we did not remove, and that has lost its manifest, is damaged and stays.
    store.manifest_path(store.find("second").id).unlink()
    (store.root / ".dmr" / "models.json").unlink()
    assert fsck(store, full=True, repair=False).damaged == ["docker.io/ai/second:latest"]


def test_a_program_that_rolls_the_index_back_cannot_drop_our_models(
    quick_disk: Path,
) -> None:
    from tests.store.conftest import add_model

    store = Store(quick_disk / "models")
    first = add_model(store, "first", weights=b"1")
    index = store.root / "models.json"
    then = index.read_bytes()
    second = add_model(store, "second", weights=b"2")
    index.write_bytes(then)
    assert {model.id for model in store.models()} == {first.id, second.id}
    assert store.find("second").id == second.id
    store.tag("first", "again")
    assert len(json.loads(index.read_bytes())["models"]) == 2

    # What we remove does not come back as a name without a model either.
    then = index.read_bytes()
    store.remove("second")
    index.write_bytes(then)
    assert [model.id for model in store.models()] == [first.id]
    assert fsck(store, full=True).clean
    second = add_model(store, "second", weights=b"2")

    # One that it removes, files and all, stays removed.
    document = json.loads(index.read_bytes())
    document["models"] = [each for each in document["models"] if each["id"] != second.id]
    store.manifest_path(second.id).unlink()
    index.write_text(json.dumps(document))
    assert [model.id for model in store.models()] == [first.id]


def test_a_kill_is_a_kill() -> None:
    code = "from tests.support.crashes import die_at; die_at(1, '/dev'); open('/dev/null')"
    assert run("-c", code).returncode == -signal.SIGKILL
