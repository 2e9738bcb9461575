from __future__ import annotations

import json
import os
import shutil
from functools import partial
from pathlib import Path

import pytest

from dmr_tui.errors import InvalidRequestError, StoreError
from dmr_tui.store.package import find_shards, package_gguf
from dmr_tui.store.reference import parse_reference
from dmr_tui.store.store import Store
from tests.store.conftest import sha256, tree

MARCH = 1_742_823_181


@pytest.fixture
def gguf(tiny_gguf: Path, tmp_path: Path) -> Path:
    """A model file of a fixed age."""
    path = tmp_path / "Tiny-Q8_0.gguf"
    shutil.copy(tiny_gguf, path)
    os.utime(path, (MARCH, MARCH))
    return path


def test_the_artifact_is_the_documented_json(store: Store, gguf: Path) -> None:
    model = package_gguf(store, gguf, parse_reference("tiny"))
    digest, size = sha256(gguf.read_bytes()), gguf.stat().st_size
    config = store.blobs.read(model.manifest.config.digest)
    metadata = (
        f'{{\\"name\\":\\"Tiny-Q8_0.gguf\\",\\"mode\\":420,\\"uid\\":0,\\"gid\\":0,\\"size\\":{size},'
        '\\"mtime\\":\\"2025-03-24T13:33:01Z\\",\\"typeflag\\":0}'
    )
    assert store.manifest_bytes(model.id).decode() == (
        '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",'
        '"config":{"mediaType":"application/vnd.docker.ai.model.config.v0.1+json",'
        f'"size":{len(config)},"digest":"{sha256(config)}"}},'
        '"layers":[{"mediaType":"application/vnd.docker.ai.gguf.v3",'
        f'"size":{size},"digest":"{digest}",'
        '"annotations":{"org.cncf.model.file.mediatype.untested":"false",'
        f'"org.cncf.model.file.metadata+json":"{metadata}",'
        '"org.cncf.model.filepath":"Tiny-Q8_0.gguf"}}]}'
    )
    head, _, tail = config.decode().partition(',"gguf":')
    assert head == (
        '{"config":{"format":"gguf","quantization":"Q8_0","parameters":"426.62K",'
        '"architecture":"llama","size":"444.50KiB"'
    )
    assert tail.endswith(
        '}},"descriptor":{"created":"2025-03-24T13:33:01Z"},'
        f'"rootfs":{{"type":"rootfs","diff_ids":["{digest}"]}}}}'
    )
    texts = json.loads(config)["config"]["gguf"]
    assert list(texts) == sorted(texts)
    assert texts["general.name"] == "random-tiny"
    assert "tokenizer.ggml.tokens" not in texts


def test_what_is_packaged_is_found_and_runs(store: Store, gguf: Path) -> None:
    model = package_gguf(store, gguf, parse_reference("tiny"))
    assert store.find("tiny") == model
    assert model.created == MARCH
    assert model.config.context_size is None
    assert store.bundle(model).gguf.read_bytes() == gguf.read_bytes()


def test_everything_that_may_belong_to_a_model(store: Store, gguf: Path, tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("LICENSE", "NOTICE", "chat.jinja")}
    for name, path in files.items():
        path.write_text(name)
    model = package_gguf(
        store,
        gguf,
        parse_reference("org/tiny:v1"),
        licenses=[files["LICENSE"], files["NOTICE"]],
        context_size=4096,
        chat_template=files["chat.jinja"],
        mmproj=gguf,
    )
    kinds = [layer.media_type.rpartition("docker.ai.")[2] for layer in model.manifest.layers]
    assert kinds == ["gguf.v3", "license", "license", "chat.template.jinja", "mmproj"]
    assert model.config.context_size == 4096
    bundle = store.bundle(model)
    assert bundle.context_size == 4096
    assert bundle.chat_template
    assert bundle.chat_template.read_text() == "chat.jinja"
    assert bundle.mmproj


def test_the_same_file_gives_the_same_id(store: Store, gguf: Path, tmp_path: Path) -> None:
    first = package_gguf(store, gguf, parse_reference("a"))
    before = tree(store.root)
    again = package_gguf(store, gguf, parse_reference("a"))
    assert again == first
    assert tree(store.root) == before
    assert package_gguf(Store(tmp_path / "other"), gguf, parse_reference("b")).id == first.id


def test_the_environment_can_fix_the_time(
    store: Store, gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    first = package_gguf(store, gguf, parse_reference("a"))
    os.utime(gguf, (MARCH + 1, MARCH + 1))
    assert package_gguf(store, gguf, parse_reference("a")).id == first.id
    assert first.created == 86400
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "soon")
    with pytest.raises(InvalidRequestError, match="SOURCE_DATE_EPOCH"):
        package_gguf(store, gguf, parse_reference("a"))


def test_the_first_shard_brings_the_others(store: Store, gguf: Path, tmp_path: Path) -> None:
    shards = [tmp_path / f"m-{number:05d}-of-00003.gguf" for number in (1, 2, 3)]
    for number, path in enumerate(shards):
        path.write_bytes(gguf.read_bytes() + bytes(number))
    model = package_gguf(store, shards[0], parse_reference("m"))
    assert [layer.digest for layer in model.manifest.layers] == [
        sha256(path.read_bytes()) for path in shards
    ]
    assert model.config.parameters == "1.28M"
    with pytest.raises(InvalidRequestError) as not_first:
        find_shards(shards[1])
    assert shards[0].name in (not_first.value.hint or "")
    shards[2].unlink()
    with pytest.raises(InvalidRequestError, match=shards[2].name):
        find_shards(shards[0])


def test_what_cannot_be_packaged_leaves_the_store_alone(
    store: Store, gguf: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(gguf.read_bytes()[:1000])
    binary = tmp_path / "binary.jinja"
    binary.write_bytes(b"\xff\xfe\x00")
    absent = tmp_path / "absent"
    name = parse_reference("m")
    by_digest = parse_reference("m@sha256:" + "0" * 64)
    package = partial(package_gguf, store)
    for refused in (
        partial(package, damaged, name),
        partial(package, absent, name),
        partial(package, tmp_path, name),
        partial(package, gguf, name, licenses=[absent]),
        partial(package, gguf, name, chat_template=absent),
        partial(package, gguf, name, chat_template=binary),
        partial(package, gguf, name, mmproj=damaged),
        partial(package, gguf, name, context_size=0),
        partial(package, gguf, name, context_size=2**31),
        partial(package, gguf, by_digest),
    ):
        with pytest.raises(InvalidRequestError):
            refused()
    assert not store.root.exists()


def test_a_full_disk_is_reported_with_numbers(
    store: Store, gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = os.statvfs(gguf)
    full = os.statvfs_result([*free[:3], 0, 0, *free[5:]])
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    with pytest.raises(StoreError, match="not enough space"):
        package_gguf(store, gguf, parse_reference("m"))
    assert store.models() == []
