"""Models of other programs, laid out by hand as each of these programs lays them out."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from dmr_tui.errors import InvalidRequestError
from dmr_tui.store.adopt import adopt
from dmr_tui.store.blobs import Adoption
from dmr_tui.store.foreign import (
    Foreign,
    find_files,
    find_hugging_face,
    find_lm_studio,
    find_models,
    find_ollama,
    find_ramalama,
)
from dmr_tui.store.fsck import fsck
from dmr_tui.store.reference import parse_reference
from dmr_tui.store.store import Store, StoredModel
from tests.store.conftest import sha256

LINKED = ("hard link", "reflink")


@pytest.fixture
def weights(tiny_gguf: Path) -> bytes:
    return tiny_gguf.read_bytes()


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(os.path.relpath(target, path.parent))


def ollama(root: Path, name: str, **layers: bytes) -> None:
    """A model of Ollama; each layer is named by the end of its media type."""
    manifest = {"schemaVersion": 2, "layers": []}
    entries = []
    for kind, data in layers.items():
        digest = sha256(data)
        put(root / "blobs" / digest.replace(":", "-"), data)
        entries.append(
            {
                "mediaType": f"application/vnd.ollama.image.{kind}",
                "digest": digest,
                "size": len(data),
            }
        )
    put(root / "manifests" / name, json.dumps({**manifest, "layers": entries}).encode())


def hugging_face(hub: Path, repository: str, files: dict[str, bytes], commit: str = "c0") -> None:
    folder = hub / ("models--" + repository.replace("/", "--"))
    put(folder / "refs" / "main", commit.encode())
    for name, data in files.items():
        blob = put(folder / "blobs" / sha256(data)[7:], data)
        link(folder / "snapshots" / commit / name, blob)


def take(store: Store, found: list[Foreign]) -> list[tuple[StoredModel, Adoption]]:
    return [adopt(store, each, parse_reference(each.name)) for each in found]


def test_ollama(store: Store, tmp_path: Path, weights: bytes) -> None:
    root = tmp_path / "ollama"
    hub, library = "registry.ollama.ai", "registry.ollama.ai/library"
    ollama(root, f"{library}/llama3.2/1b", model=weights, license=b"MIT", template=b"{{.P}}")
    ollama(root, f"{hub}/me/mine/latest", model=weights + b"\0", projector=weights)
    ollama(root, "hf.co/Org/Model-GGUF/Q4_K_M", model=weights + b"\0\0")
    ollama(root, f"{library}/tensors/latest", tensor=b"not a GGUF file")
    ollama(root, f"{library}/broken/latest", model=weights + b"half")
    os.truncate(root / "blobs" / sha256(weights + b"half").replace(":", "-"), 100)
    put(root / "manifests" / library / "odd" / "latest", b"{")
    found = list(find_ollama(root))
    assert [each.name for each in found] == [
        "hf.co/org/model-gguf:Q4_K_M".replace("hf.co", "huggingface.co"),
        "ollama/llama3.2:1b",
        "ollama/me/mine",
    ]
    adopted = take(store, found)
    assert all(how in LINKED for _, how in adopted)
    kinds = [layer.media_type.rpartition("ai.")[2] for layer in adopted[1][0].manifest.layers]
    assert kinds == ["gguf.v3", "license"]
    assert store.find("llama3.2:1b").config.architecture == "llama"
    bundle = store.bundle(store.find("ollama/me/mine"))
    assert bundle.gguf.read_bytes() == weights + b"\0"
    assert bundle.mmproj
    shutil.rmtree(root)
    assert fsck(store, full=True).clean


def test_the_hugging_face_cache(store: Store, tmp_path: Path, weights: bytes) -> None:
    hub = tmp_path / "hub"
    files = {
        "tiny-Q8_0.gguf": weights,
        "nested/tiny-UD-Q4_K_XL.gguf": weights + b"4",
        "mmproj-tiny-f16.gguf": weights + b"p",
        "README.md": b"# Tiny",
    }
    hugging_face(hub, "Org/Tiny-GGUF", files)
    (hub / "models--Org--Tiny-GGUF" / "snapshots" / "c0" / "gone.gguf").symlink_to("../../none")
    hugging_face(hub, "Org/Plain", {"config.json": b"{}"})
    found = list(find_hugging_face(hub))
    assert [each.name for each in found] == ["huggingface.co/org/tiny-gguf:Q8_0"]
    assert set(found[0].digests.values()) == {sha256(weights), sha256(weights + b"p")}
    ((model, how),) = take(store, found)
    assert how in LINKED
    assert store.bundle(model).mmproj
    assert model.tags == ("huggingface.co/org/tiny-gguf:Q8_0",)


def test_lm_studio(store: Store, home: Path, weights: bytes) -> None:
    moved = home / "elsewhere"
    settings = json.dumps({"downloadsFolder": str(moved)})
    put(home / ".lmstudio" / "settings.json", settings.encode())
    folder = home / ".lmstudio" / "models" / "bartowski"
    put(folder / "Tiny-Instruct-GGUF" / "Tiny-Instruct-Q4_K_M.gguf", weights)
    put(folder / "Tiny-Instruct-GGUF" / "Tiny-Instruct-Q8_0.gguf.part", weights[:100])
    put(moved / "me" / "Other" / "Other.gguf", weights + b"o")
    found = find_models({}, home)
    assert {(each.program, each.name) for each in found} == {
        ("lmstudio", "lmstudio/tiny-instruct:Q4_K_M"),
        ("lmstudio", "lmstudio/other"),
    }
    assert len(list(find_lm_studio(moved))) == 1
    assert all(not each.digests for each in found)
    for model, how in take(store, found):
        assert how in LINKED
        assert model.manifest.layers[0].digest in (sha256(weights), sha256(weights + b"o"))
    assert fsck(store, full=True).clean


def test_ramalama(store: Store, tmp_path: Path, weights: bytes) -> None:
    root = tmp_path / "store"
    for kind, path, tag in (
        ("ollama", "library/tiny", "1b"),
        ("huggingface", "Org/Tiny", "latest"),
    ):
        folder = root / kind / path
        blob = put(folder / "blobs" / sha256(weights).replace(":", "-"), weights)
        link(folder / "snapshots" / "sha256-feed" / "tiny.gguf", blob)
        refs = {"hash": "sha256-feed", "files": [{"name": "tiny.gguf", "type": "gguf_model"}]}
        put(folder / "refs" / f"{tag}.json", json.dumps(refs).encode())
    found = list(find_ramalama(root))
    assert [each.name for each in found] == ["huggingface.co/org/tiny", "ollama/tiny:1b"]
    assert [set(each.digests.values()) for each in found] == [{sha256(weights)}] * 2
    ways = [how for _, how in take(store, found)]
    assert ways[0] in LINKED
    assert ways[1] == "already there"


def test_loose_files_and_folders(store: Store, tmp_path: Path, weights: bytes) -> None:
    put(tmp_path / "files" / "My Model.Q5_K_S.gguf", weights)
    put(tmp_path / "files" / "notes.gguf", b"no model")
    for number in (1, 2):
        put(tmp_path / "files" / "deep" / f"big-Q4_0-0000{number}-of-00002.gguf", weights)
    put(tmp_path / "files" / "deep" / "torn-00001-of-00002.gguf", weights)
    found = list(find_files(tmp_path / "files"))
    assert [(each.name, len(each.files)) for each in found] == [
        ("local/my-model:Q5_K_S", 1),
        ("local/big:Q4_0", 2),
    ]
    (alone,) = find_files(tmp_path / "files" / "My Model.Q5_K_S.gguf")
    assert alone == found[0]
    assert list(find_files(tmp_path / "files" / "notes.gguf")) == []
    take(store, found)
    assert store.bundle(store.find("local/big:Q4_0")).gguf.name == "model-00001-of-00002.gguf"


def test_where_the_programs_are_looked_for(
    home: Path, tmp_path: Path, weights: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_models({}, home) == []
    ollama(home / ".ollama" / "models", "registry.ollama.ai/library/a/latest", model=weights)
    ollama(tmp_path / "o", "registry.ollama.ai/library/b/latest", model=weights)
    hugging_face(home / ".cache/huggingface/hub", "O/c", {"c.gguf": weights})
    hugging_face(tmp_path / "h" / "hub", "O/d", {"d.gguf": weights})
    assert [each.name for each in find_models({}, home)] == ["ollama/a", "huggingface.co/o/c"]
    moved = {"OLLAMA_MODELS": str(tmp_path / "o"), "HF_HOME": str(tmp_path / "h")}
    assert [each.name for each in find_models(moved, home)] == ["ollama/b", "huggingface.co/o/d"]
    direct = {"HF_HUB_CACHE": str(tmp_path / "h" / "hub")}
    assert "huggingface.co/o/d" in [each.name for each in find_models(direct, home)]


def test_a_digest_is_trusted_unless_it_is_to_be_verified(
    store: Store, tmp_path: Path, weights: bytes
) -> None:
    root = tmp_path / "ollama"
    ollama(root, "registry.ollama.ai/library/m/latest", model=weights)
    blob = root / "blobs" / sha256(weights).replace(":", "-")
    blob.write_bytes(weights[:-1] + b"!")
    (found,) = find_ollama(root)
    with pytest.raises(InvalidRequestError, match="is damaged"):
        adopt(store, found, parse_reference("m"), verify=True)
    assert store.models() == []
    adopt(store, found, parse_reference("m"))
    assert fsck(store, full=True).damaged == ["docker.io/ai/m:latest"]
    blob.write_bytes(b"GGUF" + bytes(len(weights) - 4))
    with pytest.raises(InvalidRequestError, match="not a usable GGUF"):
        adopt(store, found, parse_reference("n"))


def unsupported(*_: object) -> None:
    """What a file system answers that cannot share extents."""
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


def test_where_extents_can_be_shared_the_model_is_its_own(
    store: Store, tmp_path: Path, weights: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def share(target: int, request: int, source: int) -> None:
        """Stands for FICLONE of btrfs, XFS and others: the same bytes, another file."""
        assert request == 0x40049409
        os.pwrite(target, os.pread(source, os.fstat(source).st_size, 0), 0)

    monkeypatch.setattr("fcntl.ioctl", share)
    file = put(tmp_path / "m.gguf", weights)
    (found,) = find_files(file)
    model, how = adopt(store, found, parse_reference("m"))
    assert how == "reflink"
    file.write_bytes(b"rewritten by its owner")
    file.unlink()
    assert fsck(store, full=True).clean
    assert store.bundle(model).gguf.read_bytes() == weights


def test_where_nothing_can_be_shared_a_link_by_path_does(
    store: Store, tmp_path: Path, weights: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refused)
    monkeypatch.setattr("fcntl.ioctl", unsupported)
    file = put(tmp_path / "disk" / "m.gguf", weights)
    (found,) = find_files(file)
    model, how = adopt(store, found, parse_reference("m"))
    assert how == "symbolic link"
    assert store.blobs.path(sha256(weights)).is_symlink()
    assert fsck(store, full=True).clean
    file.unlink()
    assert fsck(store).damaged == list(model.tags)
    put(file, weights)
    store.remove("m")
    assert file.read_bytes() == weights


def test_the_same_model_adopted_twice_is_one(store: Store, tmp_path: Path, weights: bytes) -> None:
    (found,) = find_files(put(tmp_path / "m.gguf", weights))
    first, _ = adopt(store, found, parse_reference("a"))
    second, how = adopt(store, found, parse_reference("b"))
    assert (second.id, how) == (first.id, "already there")
    assert len(store.models()) == 1
