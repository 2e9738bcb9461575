from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from dmr_tui.errors import StoreError
from dmr_tui.store import durable


def test_a_name_appears_only_after_the_content_and_then_lasts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, path = tmp_path / "new/folder", tmp_path / "new/folder/file"
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace

    def record_sync(descriptor: int) -> None:
        is_folder = os.path.samestat(os.fstat(descriptor), folder.stat())
        calls.append("sync folder" if is_folder else "sync file")
        assert path.exists() is is_folder
        fsync(descriptor)

    def record_rename(source: Path, target: Path) -> None:
        assert source.read_bytes() == b"data"
        calls.append(f"rename {target.name}")
        replace(source, target)

    folder.mkdir(parents=True)
    monkeypatch.setattr(os, "fsync", record_sync)
    monkeypatch.setattr(os, "replace", record_rename)
    durable.write(path, b"data")
    assert calls == ["sync file", "rename file", "sync folder"]
    assert [entry.name for entry in folder.iterdir()] == ["file"]


def test_a_failed_write_keeps_the_old_content_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    durable.write(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=f"cannot write {path}: No space left") as failure:
        durable.write(path, b"new")
    assert failure.value.hint
    assert path.read_bytes() == b"old"
    assert list(tmp_path.glob("file*")) == [path]


def test_new_folders_are_made_and_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(durable, "sync", synced.append)
    durable.make_folder(tmp_path / "a/b")
    assert synced == [tmp_path, tmp_path / "a"]
    assert (tmp_path / "a/b").is_dir()


@pytest.mark.parametrize("code", [0, errno.EOPNOTSUPP, errno.ENOSYS], ids=["can", "cannot", "old"])
def test_room_is_reserved_without_writing_any_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    if code:
        monkeypatch.setattr(durable, "_fallocate", lambda *_: code)
    with (tmp_path / "file").open("w+b") as file:
        file.write(b"there")
        file.flush()
        durable.reserve(file.fileno(), 64 << 20)
        status = os.fstat(file.fileno())
        assert status.st_size == 64 << 20
        assert (status.st_blocks * 512 < 1 << 20) is (code != 0)
        file.seek(0)
        assert file.read(6) == b"there\0"


def test_room_that_is_not_there_is_told(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        with pytest.raises(OSError, match=r"File too large|No space left"):
            durable.reserve(file.fileno(), 1 << 62)
        assert os.fstat(file.fileno()).st_size == 0
