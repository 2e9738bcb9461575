from __future__ import annotations

import json
import os
import shutil
from functools import partial
from pathlib import Path

import numpy
import pytest
from gguf import GGUFWriter

from dmr_tui.errors import InvalidRequestError, StoreError, UnsupportedModelError
from dmr_tui.store.manifest import FILE_PATH
from dmr_tui.store.package import package_gguf, package_safetensors, repackage
from dmr_tui.store.parts import Extras, find_shards
from dmr_tui.store.reference import parse_reference
from dmr_tui.store.store import Store, StoredModel
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
        extras=Extras(
            licenses=[files["LICENSE"], files["NOTICE"]],
            context_size=4096,
            chat_template=files["chat.jinja"],
            mmproj=gguf,
        ),
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
    latin = tmp_path / os.fsdecode(b"m\xe4.gguf")
    latin.write_bytes(gguf.read_bytes())
    name = parse_reference("m")
    by_digest = parse_reference("m@sha256:" + "0" * 64)
    package = partial(package_gguf, store)
    for refused in (
        partial(package, damaged, name),
        partial(package, absent, name),
        partial(package, latin, name),
        partial(package, tmp_path, name),
        partial(package, gguf, name, extras=Extras(licenses=[absent])),
        partial(package, gguf, name, extras=Extras(chat_template=absent)),
        partial(package, gguf, name, extras=Extras(chat_template=binary)),
        partial(package, gguf, name, extras=Extras(mmproj=damaged)),
        partial(package, gguf, name, extras=Extras(lora=[gguf])),
        partial(package, gguf, name, extras=Extras(context_size=0)),
        partial(package, gguf, name, extras=Extras(context_size=2**31)),
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


def kinds(model: StoredModel) -> list[str]:
    return [layer.media_type.rpartition("/vnd.")[2] for layer in model.manifest.layers]


def write_safetensors(path: Path, tensors: dict[str, tuple[str, list[int], int]]) -> None:
    """A file of zeros; each tensor is a type, a shape and a size in bytes."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, (dtype, shape, size) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(at))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    shard = "model-0000{}-of-00002.safetensors"
    write_safetensors(folder / shard.format(1), {"a": ("BF16", [10, 100], 2000)})
    write_safetensors(folder / shard.format(2), {"b": ("BF16", [500], 1000)})
    config = {"model_type": "llama", "max_position_embeddings": 2048}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "tokenizer.json").write_text("{}")
    (folder / "LICENSE.txt").write_text("MIT")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    (folder / ".git").mkdir()
    (folder / ".git" / "secret").write_text("secret")
    (folder / "outside").symlink_to("/etc/hostname")
    for path in folder.rglob("*"):
        if not path.is_symlink():
            os.utime(path, (MARCH, MARCH))
    return folder


def test_a_folder_of_safetensors_keeps_its_paths(store: Store, folder: Path) -> None:
    model = package_safetensors(store, folder, parse_reference("st"))
    assert model.manifest.config.media_type.endswith("config.v0.2+json")
    layers = {(each.annotations or {})[FILE_PATH]: each for each in model.manifest.layers}
    assert {path: each.media_type.rpartition("ai.")[2] for path, each in layers.items()} == {
        "LICENSE.txt": "license",
        "chat_template.jinja": "chat.template.jinja",
        "config.json": "model.file",
        "model-00001-of-00002.safetensors": "safetensors",
        "model-00002-of-00002.safetensors": "safetensors",
        "tokenizer/tokenizer.json": "model.file",
    }
    config = model.config
    assert (config.format, config.quantization, config.parameters) == (
        "safetensors", "BF16", "1.50K",
    )  # fmt: skip
    assert (config.architecture, config.context_size, config.size) == ("llama", 2048, "2.93KiB")
    assert model.created == MARCH
    assert package_safetensors(store, folder, parse_reference("again")).id == model.id


def test_a_template_beside_the_folder_replaces_the_one_inside(
    store: Store, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "own.jinja").write_text("own")
    extras = Extras(chat_template=tmp_path / "own.jinja", context_size=77)
    model = package_safetensors(store, folder, parse_reference("st"), extras=extras)
    assert kinds(model).count("docker.ai.chat.template.jinja") == 1
    assert model.config.context_size == 77


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\xff" * 16,
        (9).to_bytes(8, "little") + b'{"a": {}}',
        (2).to_bytes(8, "little") + b"[]",
        (60).to_bytes(8, "little")
        + b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}     ',
    ],
)
def test_damaged_safetensors_are_named(store: Store, folder: Path, damage: bytes) -> None:
    (folder / "model-00002-of-00002.safetensors").write_bytes(damage)
    with pytest.raises(InvalidRequestError, match="model-00002"):
        package_safetensors(store, folder, parse_reference("st"))
    assert not store.root.exists()


def test_a_folder_without_safetensors_is_refused(store: Store, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InvalidRequestError):
            package_safetensors(store, folder, parse_reference("st"))


def test_another_context_size_copies_nothing(store: Store, gguf: Path) -> None:
    model = package_gguf(store, gguf, parse_reference("tiny"))
    before = set(tree(store.root))
    small = repackage(store, model, parse_reference("small"), extras=Extras(context_size=64))
    assert small.manifest.layers == model.manifest.layers
    assert small.config.context_size == 64
    assert (small.created, small.config.gguf) == (model.created, model.config.gguf)
    assert len(set(tree(store.root)) - before) == 2  # a config and a manifest
    assert store.bundle(small).context_size == 64
    assert repackage(store, model, parse_reference("same")).id == model.id
    store.remove("tiny")
    assert store.bundle(store.find("small")).gguf.read_bytes() == gguf.read_bytes()


def test_parts_are_replaced_or_added(store: Store, gguf: Path, tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("LICENSE", "NOTICE", "a.jinja", "b.jinja")}
    for name, path in files.items():
        path.write_text(name)
    first = Extras(licenses=[files["LICENSE"]], chat_template=files["a.jinja"], mmproj=gguf)
    model = package_gguf(store, gguf, parse_reference("one"), extras=first)
    second = Extras(
        licenses=[files["NOTICE"], files["LICENSE"]], chat_template=files["b.jinja"], mmproj=gguf
    )
    changed = repackage(store, model, parse_reference("two"), extras=second)
    assert sorted(kinds(changed)) == sorted([*kinds(model), "docker.ai.license"])
    template = store.bundle(changed).chat_template
    assert template is not None
    assert template.read_text() == "b.jinja"


def test_an_adapter_is_a_layer_of_its_own(store: Store, gguf: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "style.gguf"
    writer = GGUFWriter(adapter, "llama")
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_tensor("blk.0.attn_q.weight.lora_a", numpy.zeros((4, 8), dtype=numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    model = package_gguf(store, gguf, parse_reference("m"), extras=Extras(lora=[adapter]))
    assert kinds(model) == ["docker.ai.gguf.v3", "docker.ai.gguf.v3.lora"]
    assert store.bundle(model).gguf.name == "model.gguf"
    (applied,) = store.bundle(model).adapters
    assert applied.read_bytes() == adapter.read_bytes()
    again = repackage(store, model, parse_reference("n"), artifact_format="cncf")
    assert store.bundle(again).gguf.name == gguf.name
    assert store.bundle(again).adapters == (applied,)


def test_the_cncf_format_and_back(store: Store, gguf: Path, tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_text("MIT")
    (tmp_path / "chat.txt").write_text("{{ messages }}")
    extras = Extras(
        licenses=[tmp_path / "LICENSE"], chat_template=tmp_path / "chat.txt", mmproj=gguf
    )
    model = package_gguf(
        store, gguf, parse_reference("pack"), extras=extras, artifact_format="cncf"
    )
    assert kinds(model) == [
        "cncf.model.weight.v1.raw",
        "cncf.model.doc.v1.raw",
        "cncf.model.weight.config.v1.raw",
        "cncf.model.weight.v1.raw",
    ]
    assert model.manifest.artifact_type == "application/vnd.cncf.model.manifest.v1+json"
    document = json.loads(store.blobs.read(model.manifest.config.digest))
    assert document["modelfs"]["diffIds"] == [each.digest for each in model.manifest.layers]
    assert document["config"]["paramSize"] == model.config.parameters == "426.62K"
    assert document["descriptor"] == {"createdAt": "2025-03-24T13:33:01Z"}
    bundle = store.bundle(model)
    assert bundle.gguf.read_bytes() == gguf.read_bytes()
    assert bundle.chat_template
    assert bundle.mmproj
    back = repackage(store, model, parse_reference("back"), artifact_format="docker")
    assert [kind.removeprefix("docker.ai.") for kind in kinds(back)] == [
        "gguf.v3",
        "license",
        "chat.template.jinja",
        "mmproj",
    ]
    assert repackage(store, model, parse_reference("same")).id == model.id
    with pytest.raises(InvalidRequestError, match="context size"):
        repackage(store, model, parse_reference("no"), extras=Extras(context_size=7))


def test_files_that_would_be_in_each_others_way_are_refused_where_paths_are_kept(
    store: Store, gguf: Path, folder: Path, tmp_path: Path
) -> None:
    licenses = [tmp_path / name / "LICENSE" for name in ("one", "two")]
    for path in licenses:
        path.parent.mkdir()
        path.write_text(f"the licence of {path.parent.name}")
    colon = gguf.with_name("llama3:8b.gguf")
    shutil.copy(gguf, colon)
    name, both = parse_reference("m"), Extras(licenses=licenses)
    pack = partial(package_gguf, store, artifact_format="cncf")
    twice = "the package holds two files with the path 'LICENSE'"
    with pytest.raises(UnsupportedModelError, match=twice):
        pack(gguf, name, extras=both)
    with pytest.raises(UnsupportedModelError, match=r"unsafe path 'llama3:8b.gguf'"):
        pack(colon, name)
    with pytest.raises(UnsupportedModelError, match=twice):
        package_safetensors(store, folder, name, extras=both)
    assert not store.root.exists()

    one = pack(gguf, name, extras=Extras(licenses=licenses[:1]))
    assert repackage(store, one, name, extras=Extras(licenses=licenses[:1])).id == one.id
    with pytest.raises(UnsupportedModelError, match=twice):
        repackage(store, one, name, extras=Extras(licenses=licenses[1:]))
    roles = package_gguf(store, colon, parse_reference("roles"), extras=both)
    assert store.bundle(roles).gguf.read_bytes() == gguf.read_bytes()
    with pytest.raises(UnsupportedModelError, match="the package holds"):
        repackage(store, roles, name, artifact_format="cncf")
    assert store.find("m") == one
