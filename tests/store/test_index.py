from __future__ import annotations

import fcntl
import json
import multiprocessing
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from dmr_tui.errors import StoreError
from dmr_tui.store.index import Index
from dmr_tui.store.store import Store
from tests.store.conftest import add_model

ID = "sha256:" + "a" * 64


@pytest.mark.parametrize("models", ["null", "[]"])
def test_an_empty_index_of_either_kind_is_read_and_extended(store: Store, models: str) -> None:
    store.root.mkdir()
    (store.root / "models.json").write_text(f'{{"models": {models}}}')
    assert store.models() == []
    add_model(store, "m")
    assert len(store.models()) == 1


def test_what_other_programs_put_into_the_index_survives(store: Store) -> None:
    store.root.mkdir()
    entry: dict[str, object] = {
        "id": ID,
        "tags": None,
        "pinned": True,
        "files": [],
        "score": 1.5,
    }
    older = {"id": "sha256:" + "b" * 64, "tags": ["hf.co/a/b:Q8"], "files": None}
    foreign = {"origin": "<elsewhere>", "models": [entry, older]}
    (store.root / "models.json").write_text(json.dumps(foreign))
    add_model(store, "m")
    text = (store.root / "models.json").read_text()
    assert '"\\u003celsewhere\\u003e"' in text
    written = json.loads(text)
    assert written["origin"] == "<elsewhere>"
    assert written["models"][0] == entry | {"tags": []}
    assert written["models"][1]["tags"] == ["huggingface.co/a/b:Q8"]
    assert len(written["models"]) == 3
    assert list(written["models"][2]) == ["id", "tags", "files"]


@pytest.mark.parametrize(
    "damaged",
    [b"", b"{", b"[]", b"null", b'{"models": 3}', b'{"models": [{"tags": []}]}', b"\xff\xfe{}"],
)
def test_a_damaged_index_is_named_and_never_overwritten(store: Store, damaged: bytes) -> None:
    store.root.mkdir()
    path = store.root / "models.json"
    path.write_bytes(damaged)
    for use in (store.models, lambda: store.find("m"), lambda: add_model(store, "m")):
        with pytest.raises(StoreError, match=r"models\.json is damaged") as failure:
            use()
        assert failure.value.hint
    assert path.read_bytes() == damaged


def test_a_layout_of_another_major_version_is_read_but_not_written(store: Store) -> None:
    model = add_model(store, "m")
    layout = store.root / "layout.json"
    layout.write_text('{"version": "1.7.3"}')
    store.tag("m", "newer-minor")
    layout.write_text('{"version": "2.0.0"}')
    assert store.find("m").id == model.id
    before = (store.root / "models.json").read_bytes()
    for change in (
        lambda: store.tag("m", "other"),
        lambda: store.remove("m"),
        lambda: add_model(store, "n", weights=b"n"),
    ):
        with pytest.raises(StoreError, match=r"layout 2\.0\.0"):
            change()
    layout.write_text("{")
    with pytest.raises(StoreError, match=r"layout\.json is damaged"):
        store.tag("m", "other")
    assert (store.root / "models.json").read_bytes() == before


def test_an_edit_that_fails_writes_nothing_and_frees_the_lock(store: Store) -> None:
    add_model(store, "m")
    index = Index(store.root)
    before = (store.root / "models.json").read_bytes()

    def fail() -> None:
        with index.edit() as draft:
            draft.remove(draft.entries[0].id)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (store.root / "models.json").read_bytes() == before
    store.tag("m", "still-works")


def test_an_unchanged_index_is_not_written_again(store: Store) -> None:
    add_model(store, "m")
    before = (store.root / "models.json").stat()
    add_model(store, "m")
    assert (store.root / "models.json").stat().st_ino == before.st_ino


def test_no_temporary_file_remains(store: Store) -> None:
    add_model(store, "m")
    store.tag("m", "n")
    assert not list(store.root.rglob("*.tmp-*"))


def _work(root: Path, worker: int, rounds: int, start: Barrier) -> None:
    store = Store(root)
    start.wait()
    for number in range(rounds):
        name = f"w{worker}:{number}"
        add_model(store, name, weights=name.encode())
        store.tag(name, f"w{worker}-tag:{number}")
        if number % 3 == 0:
            store.remove(name)


def test_processes_that_write_at_the_same_time_lose_nothing(store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    workers, rounds = 3, 15
    start = context.Barrier(workers)
    running = [
        context.Process(target=_work, args=(store.root, number, rounds, start))
        for number in range(workers)
    ]
    for process in running:
        process.start()
    for process in running:
        process.join(60)
        assert process.exitcode == 0
    tags = {tag for model in store.models() for tag in model.tags}
    expected = {
        f"docker.io/ai/w{worker}{suffix}:{number}"
        for worker in range(workers)
        for number in range(rounds)
        for suffix in ("", "-tag")
        if suffix or number % 3
    }
    assert tags == expected


def test_a_lock_on_a_file_that_was_purged_meanwhile_is_taken_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_model(store, "m")
    path, lock = store.root / ".dmr/lock", fcntl.flock

    def purge_before_the_lock_is_ours(descriptor: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        path.unlink()
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", purge_before_the_lock_is_ours)
    with Index(store.root).edit(), path.open() as other, pytest.raises(BlockingIOError):
        lock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_what_is_being_removed_is_not_brought_back_by_a_program_that_writes_meanwhile(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice: the second time its manifest is still there, and our index is without it already."""
    add_model(store, "first", weights=b"1")
    second = add_model(store, "second", weights=b"2")
    path = store.root / "models.json"
    before = path.read_bytes()
    write, moments = store.index.write, [1, 2]

    def interleaved(data: bytes) -> bytes:
        if moments:
            moments.pop()
            document = json.loads(before)
            document["models"].append({"id": ID, "tags": [f"docker.io/ai/x:v{len(moments)}"]})
            path.write_text(json.dumps(document))
        return write(data)

    monkeypatch.setattr(store.index, "write", interleaved)
    store.remove("second")
    assert moments == []
    ids = [entry.id for entry in store.index.entries()]
    assert second.id not in ids
    assert ID in ids
