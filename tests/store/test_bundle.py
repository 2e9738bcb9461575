from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from dmr_tui.errors import StoreError, UnsupportedModelError
from dmr_tui.store.manifest import (
    CHAT_TEMPLATE_LAYER,
    CNCF_CONFIG,
    CONFIG_V02,
    FILE_LAYER,
    FILE_PATH,
    GGUF_LAYER,
    LICENSE_LAYER,
    MMPROJ_LAYER,
    Descriptor,
    ModelConfig,
)
from dmr_tui.store.store import Store
from tests.store.conftest import add_model, put

RAW_WEIGHTS = "application/vnd.cncf.model.weight.v1.raw"
SAFETENSORS = "application/vnd.docker.ai.safetensors"


def at(store: Store, path: str, media_type: str = FILE_LAYER, data: str = "") -> Descriptor:
    return put(store, (data or path).encode(), media_type, {FILE_PATH: path})


def test_one_file_of_each_role(store: Store) -> None:
    model = add_model(
        store,
        "m",
        at(store, "SmolLM.gguf", GGUF_LAYER),
        at(store, "LICENSE", LICENSE_LAYER),
        at(store, "proj.gguf", MMPROJ_LAYER),
        at(store, "chat.jinja", CHAT_TEMPLATE_LAYER),
        config=ModelConfig(format="gguf", gguf={"b": "<2>", "a": "1"}, context_size=4096),
    )
    bundle = store.bundle(model)
    folder = store.root / "bundles/sha256" / model.id[7:]
    assert bundle.gguf == folder / "model/model.gguf"
    assert bundle.gguf.samefile(store.blobs.path(model.manifest.layers[0].digest))
    assert bundle.mmproj == folder / "model/model.mmproj"
    assert bundle.mmproj.read_text() == "proj.gguf"
    assert bundle.chat_template == folder / "model/template.jinja"
    assert bundle.chat_template.read_text() == "chat.jinja"
    assert bundle.context_size == 4096
    assert (folder / "config.json").read_bytes() == (
        b'{"format":"gguf","gguf":{"a":"1","b":"\\u003c2\\u003e"},"context_size":4096}\n'
    )
    names = sorted(path.name for path in folder.rglob("*") if path.is_file())
    assert names == ["config.json", "model.gguf", "model.mmproj", "template.jinja"]


def test_shards_are_numbered_and_the_first_is_loaded(store: Store) -> None:
    layers = [put(store, b"shard %d" % number, GGUF_LAYER) for number in (1, 2, 3)]
    bundle = store.bundle(add_model(store, "m", *layers))
    assert bundle.gguf.name == "model-00001-of-00003.gguf"
    assert bundle.gguf.read_bytes() == b"shard 1"
    assert (bundle.gguf.parent / "model-00003-of-00003.gguf").read_bytes() == b"shard 3"
    assert bundle.mmproj is None
    assert bundle.chat_template is None


@pytest.mark.parametrize("media_type", [CONFIG_V02, CNCF_CONFIG])
def test_annotated_paths_are_kept(store: Store, media_type: str) -> None:
    model = add_model(
        store,
        "m",
        at(store, "README.md"),
        at(store, "q8/mmproj-BF16.gguf", RAW_WEIGHTS),
        at(store, "q8/model-00002-of-00002.gguf", RAW_WEIGHTS),
        at(store, "q8/model-00001-of-00002.gguf", RAW_WEIGHTS),
        at(store, "chat_template.jinja"),
        media_type=media_type,
    )
    bundle = store.bundle(model)
    folder = store.root / "bundles/sha256" / model.id[7:] / "model"
    assert bundle.gguf == folder / "q8/model-00001-of-00002.gguf"
    assert bundle.mmproj == folder / "q8/mmproj-BF16.gguf"
    assert bundle.chat_template == folder / "chat_template.jinja"
    assert (folder / "README.md").read_text() == "README.md"


def test_a_model_pack_without_paths_is_laid_out_by_role(store: Store) -> None:
    layer = put(store, b"w", "application/vnd.cncf.model.weight.v1.gguf")
    bundle = store.bundle(add_model(store, "m", layer, media_type=CNCF_CONFIG))
    assert bundle.gguf.name == "model.gguf"


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "a/",
        "./x.gguf",
        "a//x.gguf",
        "/x.gguf",
        "../x.gguf",
        "a/../../x.gguf",
        "a\\..\\x.gguf",
        "C:/x.gguf",
        "x\0.gguf",
    ],
)
def test_paths_that_could_lead_outside_are_refused(store: Store, path: str) -> None:
    layer = at(store, path, RAW_WEIGHTS, data="w")
    model = add_model(store, "m", layer, media_type=CONFIG_V02)
    with pytest.raises(UnsupportedModelError, match="unsafe path"):
        store.bundle(model)
    assert not (store.root / "bundles").exists()


@pytest.mark.parametrize("paths", [("a.gguf", "a.gguf"), ("a.gguf", "a.gguf/b")])
def test_paths_that_collide_are_refused(store: Store, paths: tuple[str, str]) -> None:
    layers = [at(store, path, RAW_WEIGHTS, data=str(n)) for n, path in enumerate(paths)]
    model = add_model(store, "m", *layers, media_type=CONFIG_V02)
    with pytest.raises(UnsupportedModelError):
        store.bundle(model)


def test_another_format_is_refused_by_name(store: Store) -> None:
    model = add_model(
        store, "m", put(store, b"w", SAFETENSORS), config=ModelConfig(format="safetensors")
    )
    with pytest.raises(UnsupportedModelError, match="m is of format safetensors") as refused:
        store.bundle(model)
    assert "GGUF" in (refused.value.hint or "")


def test_a_bundle_is_repaired_at_each_use(store: Store) -> None:
    model = add_model(store, "m", weights=b"right")
    bundle = store.bundle(model)
    config = bundle.gguf.parent.parent / "config.json"
    bundle.gguf.unlink()
    bundle.gguf.write_bytes(b"wrong")
    config.write_text("{}")
    assert store.bundle(model).gguf.read_bytes() == b"right"
    assert json.loads(config.read_text())["format"] == "gguf"
    bundle.gguf.unlink()
    bundle.gguf.symlink_to("nowhere")
    assert store.bundle(model).gguf.read_bytes() == b"right"
    assert [path.name for path in bundle.gguf.parent.iterdir()] == ["model.gguf"]


def test_a_truncated_blob_is_reported_and_not_run(store: Store) -> None:
    model = add_model(store, "m", weights=b"whole")
    blob = store.blobs.path(model.manifest.layers[0].digest)
    blob.write_bytes(b"who")
    with pytest.raises(StoreError, match="damaged") as damaged:
        store.bundle(model)
    assert damaged.value.hint == "pull it again: dmr pull m"


@pytest.mark.parametrize("reason", [errno.EXDEV, errno.EPERM])
def test_without_hard_links_the_bundle_holds_symbolic_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.chdir(tmp_path)
    for root in (tmp_path / "absolute", Path("relative")):
        store = Store(root)
        model = add_model(store, "m", weights=b"w")
        for _ in range(2):
            gguf = store.bundle(model).gguf
            assert gguf.is_symlink()
            assert gguf.read_bytes() == b"w"
