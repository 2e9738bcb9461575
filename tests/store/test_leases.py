from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from dmr_tui.errors import ConflictError
from dmr_tui.store import gojson
from dmr_tui.store.garbage import prune, purge
from dmr_tui.store.locking import locked
from dmr_tui.store.store import Store
from tests.store.conftest import add_model, tree

WAIT = "import sys; print(flush=True); sys.stdin.read()"


@pytest.fixture
def other() -> Iterator[subprocess.Popen[str]]:
    """Another living process."""
    with subprocess.Popen(
        [sys.executable, "-c", WAIT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()


def test_a_claimed_blob_survives_prune_and_the_removal_of_its_model(store: Store) -> None:
    model = add_model(store, "m")
    blobs = set(model.manifest.digests)
    loose = store.blobs.put(b"loose").digest
    with store.leases.holding("pull n") as lease:
        lease.protect([*blobs, loose])
        store.remove("m")
        prune(store, everything=True)
        assert all(store.blobs.has(digest) for digest in (*blobs, loose))
    removed = prune(store, everything=True)
    assert {item.name for item in removed if item.kind == "blob"} == {*blobs, loose}


def test_a_lease_ends_with_its_block_and_writes_nothing_before_it_protects(store: Store) -> None:
    with store.leases.holding("nothing"):
        pass
    assert not store.root.exists()
    with store.leases.holding("pull n") as lease:
        lease.protect(["sha256:" + "0" * 64])
        with locked(store.root):
            assert store.leases.blobs() == {"sha256:" + "0" * 64}
    assert store.leases.living() == []


def test_a_loaded_model_is_not_removed_until_its_process_is_gone(
    store: Store, other: subprocess.Popen[str]
) -> None:
    model = add_model(store, "m")
    store.leases.hold_model(model.id, "run m", other.pid)
    with pytest.raises(ConflictError, match=f"process {other.pid} \\(run m\\)"):
        store.remove("m")
    with pytest.raises(ConflictError, match=str(other.pid)):
        purge(store)
    assert store.find("m").id == model.id
    end(other)
    assert store.remove("m")[-1] == ("Deleted", model.id)


def test_one_of_several_names_of_a_loaded_model_can_go(
    store: Store, other: subprocess.Popen[str]
) -> None:
    model = add_model(store, "m")
    store.tag("m", "n")
    store.leases.hold_model(model.id, "run m", other.pid)
    assert store.remove("n") == [("Untagged", "docker.io/ai/n:latest")]


def test_force_removes_a_loaded_model(store: Store, other: subprocess.Popen[str]) -> None:
    model = add_model(store, "m")
    store.leases.hold_model(model.id, "run m", other.pid)
    assert store.remove("m", force=True)[-1] == ("Deleted", model.id)


def test_a_loaded_model_without_a_name_survives_prune(
    store: Store, other: subprocess.Popen[str]
) -> None:
    model = add_model(store, None)
    gguf = store.bundle(model).gguf
    store.leases.hold_model(model.id, "run m", other.pid)
    prune(store, everything=True)
    assert gguf.read_bytes() == b"weights"
    end(other)
    prune(store, everything=True)
    assert not gguf.exists()


def test_a_later_process_of_the_same_number_does_not_inherit_a_lease(
    store: Store, other: subprocess.Popen[str]
) -> None:
    model = add_model(store, "m")
    path = store.leases.hold_model(model.id, "run m", other.pid)
    assert path is not None
    pid, start, rest = path.name.split("-")
    path.rename(path.with_name(f"{pid}-{int(start) + 1}-{rest}"))
    assert store.remove("m")


def test_dead_leases_are_swept(store: Store, other: subprocess.Popen[str]) -> None:
    model = add_model(store, "m")
    store.leases.hold_model(model.id, "run m", other.pid)
    mine = store.leases.hold_model(model.id, "run m")
    assert mine is not None
    end(other)
    (mine.parent / "what is this").write_bytes(b"")
    prune(store)
    assert list(mine.parent.iterdir()) == [mine]
    store.leases.release(mine)
    assert store.leases.living() == []


def test_a_process_that_was_killed_but_not_waited_for_is_dead(store: Store) -> None:
    model = add_model(store, "m")
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    store.leases.hold_model(model.id, "run m", pid)
    assert store.leases.living() == []
    os.waitpid(pid, 0)


def test_a_pull_of_what_is_being_removed_keeps_the_shared_blob(store: Store) -> None:
    model = add_model(store, "m")
    manifest = store.manifest_bytes(model.id)
    with store.leases.holding("pull m") as lease:
        lease.protect(model.manifest.digests)
        store.remove("m")
        assert store.add(manifest, None).id == model.id
    assert gojson.encode(model.manifest) == manifest
    assert "blobs/sha256/" in "".join(tree(store.root))
