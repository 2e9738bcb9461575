from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from dmr_tui.errors import (
    ConflictError,
    InvalidRequestError,
    ModelNotFoundError,
    StoreError,
    UnsupportedModelError,
)
from dmr_tui.store.index import Entry, Index
from dmr_tui.store.reference import parse_reference
from dmr_tui.store.store import Store
from tests.store.conftest import add_model, give_foreign_tag, sha256, tree

WEIGHTS = b"GGUF..."
CONFIG = (
    b'{"config":{"format":"gguf","quantization":"IQ2_XXS/Q4_K_M","parameters":"361.82M",'
    b'"architecture":"llama","size":"256.35MiB","gguf":{"general.name":"SmolLM2 \\u003c3"},'
    b'"context_size":8192},"descriptor":{"created":"2025-03-24T13:33:01.123456789Z"},'
    b'"rootfs":{"type":"rootfs","diff_ids":["%s"]}}' % sha256(WEIGHTS).encode()
)
MANIFEST = (
    b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":'
    b'{"mediaType":"application/vnd.docker.ai.model.config.v0.1+json","size":%d,"digest":"%s"},'
    b'"layers":[{"mediaType":"application/vnd.docker.ai.gguf.v3","size":%d,"digest":"%s"}]}'
    % (len(CONFIG), sha256(CONFIG).encode(), len(WEIGHTS), sha256(WEIGHTS).encode())
)
ID = sha256(MANIFEST)
INDEX = f"""{{
  "models": [
    {{
      "id": "{ID}",
      "tags": [
        "docker.io/ai/smollm2:latest"
      ],
      "files": [
        "{sha256(WEIGHTS)}",
        "{sha256(CONFIG)}"
      ]
    }}
  ]
}}""".encode()
LAYOUT = b'{\n  "version": "1.0.0"\n}'


def write_by_hand(root: Path, index: bytes = INDEX) -> None:
    """A store to the letter of Docker Model Runner's layout."""
    for name, data in {
        "layout.json": LAYOUT,
        "models.json": index,
        f"blobs/sha256/{sha256(WEIGHTS)[7:]}": WEIGHTS,
        f"blobs/sha256/{sha256(CONFIG)[7:]}": CONFIG,
        f"manifests/sha256/{ID[7:]}": MANIFEST,
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def test_a_store_written_by_hand_is_read(store: Store) -> None:
    write_by_hand(store.root)
    (model,) = store.models()
    assert model.id == ID
    assert model.tags == ("docker.io/ai/smollm2:latest",)
    assert model.name == "smollm2"
    assert model.created == 1742823181
    assert model.size == len(WEIGHTS) + len(CONFIG)
    assert model.config.parameters == "361.82M"
    assert model.config.context_size == 8192
    assert model.config.gguf == {"general.name": "SmolLM2 <3"}
    assert store.manifest_bytes(ID) == MANIFEST


def test_what_we_write_is_the_same_to_the_byte(store: Store) -> None:
    store.blobs.put(WEIGHTS)
    store.blobs.put(CONFIG)
    model = store.add(MANIFEST, parse_reference("smollm2"))
    assert model.id == ID
    files = tree(store.root)
    del files[".dmr/lock"], files[".dmr/models.json"]
    assert files == {
        "layout.json": LAYOUT,
        "models.json": INDEX,
        f"blobs/sha256/{sha256(WEIGHTS)[7:]}": WEIGHTS,
        f"blobs/sha256/{sha256(CONFIG)[7:]}": CONFIG,
        f"manifests/sha256/{ID[7:]}": MANIFEST,
    }
    umask = os.umask(0)
    os.umask(umask)
    for name in files:
        assert (store.root / name).stat().st_mode & 0o777 == 0o644 & ~umask


def test_reading_a_store_that_is_not_there_creates_nothing(store: Store) -> None:
    assert store.models() == []
    with pytest.raises(ModelNotFoundError):
        store.find("smollm2")
    assert not store.root.exists()


@pytest.mark.parametrize(
    "name",
    [
        "smollm2",
        "SmolLM2:latest",
        "ai/smollm2",
        "ai/smollm2:latest",
        "docker.io/ai/smollm2:latest",
        "index.docker.io/ai/smollm2",
        f"smollm2@{ID}",
        f"ai/smollm2@{ID}",
        f"docker.io/ai/smollm2@{ID}",
        ID,
        ID[7:],
        ID[7:19],
    ],
)
def test_every_form_of_a_name_finds_the_model(store: Store, name: str) -> None:
    write_by_hand(store.root)
    assert store.find(name).id == ID


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("docker.io/org/my-_model:v1", "docker.io/org/my-_model:v1"),
        ("docker.io/org/my-_model:v1", "org/my-_model:v1"),
        ("docker.io/my_/model_:latest", "my_/model_"),
        ("some where/else", "some where/else"),
    ],
)
def test_a_tag_of_another_program_that_is_no_name_finds_the_model_and_goes(
    store: Store, tag: str, name: str
) -> None:
    write_by_hand(store.root)
    give_foreign_tag(store, tag)
    assert store.find(name).id == ID
    assert store.remove(name) == [("Untagged", tag)]
    assert store.find("smollm2").tags == ("docker.io/ai/smollm2:latest",)
    with pytest.raises(InvalidRequestError):
        store.find(name)


def test_the_last_part_of_a_name_is_enough_while_it_is_unambiguous(store: Store) -> None:
    one = add_model(store, "registry.example.com/team/assistant:v1", weights=b"1")
    assert store.find("assistant:v1").id == one.id
    with pytest.raises(ModelNotFoundError):
        store.find("assistant")
    with pytest.raises(ModelNotFoundError):
        store.find("sistant:v1")
    add_model(store, "hf.co/other/assistant:v1", weights=b"2")
    with pytest.raises(ModelNotFoundError) as ambiguous:
        store.find("assistant:v1")
    assert "registry.example.com/team/assistant:v1" in (ambiguous.value.hint or "")


def test_a_missing_model_is_answered_with_near_names(store: Store) -> None:
    add_model(store, "smollm2:360M")
    with pytest.raises(ModelNotFoundError) as missing:
        store.find("smolm2")
    assert missing.value.message == "no such model: smolm2"
    assert "smollm2:360M" in (missing.value.hint or "")
    assert "dmr pull smolm2" in (missing.value.hint or "")
    with pytest.raises(ModelNotFoundError) as unlike:
        store.find("zzz")
    assert unlike.value.hint == "dmr list shows what is there, dmr pull zzz fetches it"
    with pytest.raises(ModelNotFoundError):
        store.find("sha256:" + "0" * 64)


def test_only_the_models_of_some_ids_are_read(store: Store) -> None:
    wanted, other = (add_model(store, name, weights=name.encode()) for name in "ab")
    found = store.models({wanted.id, "sha256:" + "0" * 64})
    assert [model.id for model in found] == [wanted.id]
    store.manifest_path(other.id).write_bytes(b"damaged")
    assert store.models({wanted.id}) == found


def test_models_are_sorted_by_first_tag_without_regard_to_case(store: Store) -> None:
    for number, name in enumerate(["b:V2", "a", "b:v1", None, "hf.co/x/y"]):
        add_model(store, name, weights=b"%d" % number)
    assert [model.tags[0] if model.tags else "" for model in store.models()] == [
        "docker.io/ai/a:latest",
        "docker.io/ai/b:v1",
        "docker.io/ai/b:V2",
        "huggingface.co/x/y:latest",
        "",
    ]


def test_a_tag_moves_from_one_model_to_another(store: Store) -> None:
    old = add_model(store, "m", weights=b"old")
    new = add_model(store, "m", weights=b"new")
    assert store.find("m").id == new.id
    assert store.find(old.id).tags == ()
    assert str(store.tag(old.short_id, "m")) == "docker.io/ai/m:latest"
    assert store.find("m").id == old.id
    assert store.find(new.id).tags == ()


def test_tagging_keeps_the_old_tag_and_does_nothing_twice(store: Store) -> None:
    model = add_model(store, "m")
    for _ in range(2):
        store.tag("m", "registry.local:5000/custom/m:explicit")
    assert store.find("m").tags == (
        "docker.io/ai/m:latest",
        "registry.local:5000/custom/m:explicit",
    )
    assert store.find("registry.local:5000/custom/m:explicit").id == model.id


def test_tagging_refuses_what_is_not_there_and_what_is_no_tag(store: Store) -> None:
    model = add_model(store, "m")
    with pytest.raises(ModelNotFoundError):
        store.tag("absent", "other")
    for target in (f"other@{model.id}", "other tag", ""):
        with pytest.raises(InvalidRequestError):
            store.tag("m", target)
    assert store.find("m").tags == ("docker.io/ai/m:latest",)


def test_the_same_model_twice_is_one_entry_with_both_tags(store: Store) -> None:
    assert add_model(store, "a").id == add_model(store, "b").id == add_model(store, None).id
    (model,) = store.models()
    assert model.tags == ("docker.io/ai/a:latest", "docker.io/ai/b:latest")


def test_a_model_added_by_digest_keeps_the_digest_as_its_name(store: Store) -> None:
    model = add_model(store, None)
    store.add(store.manifest_bytes(model.id), parse_reference(f"org/m@{model.id}"))
    assert store.find(f"org/m@{model.id}").tags == (f"docker.io/org/m@{model.id}",)
    store.add(store.manifest_bytes(model.id), parse_reference(f"org/m:v1@{model.id}"))
    assert store.find("org/m:v1").id == model.id
    with pytest.raises(ModelNotFoundError):
        store.find("org/m")


def test_removing_a_tag_of_several_keeps_the_model(store: Store) -> None:
    model = add_model(store, "a")
    store.tag("a", "b")
    assert store.remove("a", force=True) == [("Untagged", "docker.io/ai/a:latest")]
    assert store.find("b").id == model.id
    assert store.remove("b") == [("Untagged", "docker.io/ai/b:latest"), ("Deleted", model.id)]
    assert store.models() == []


def test_removing_by_id_with_several_tags_must_be_forced(store: Store) -> None:
    model = add_model(store, "a")
    store.tag("a", "b")
    for name in (model.id, model.short_id, f"a@{model.id}"):
        with pytest.raises(ConflictError, match="must be forced"):
            store.remove(name)
    assert store.find("a").tags == ("docker.io/ai/a:latest", "docker.io/ai/b:latest")
    assert store.remove(model.short_id, force=True) == [
        ("Untagged", "docker.io/ai/a:latest"),
        ("Untagged", "docker.io/ai/b:latest"),
        ("Deleted", model.id),
    ]


def test_removing_leaves_no_file_behind_and_no_other_model_harmed(store: Store) -> None:
    add_model(store, "keep", weights=b"shared")
    before = tree(store.root)
    with_same_weights = add_model(
        store, "go", store.find("keep").manifest.layers[0], config=store.find("keep").config
    )
    assert with_same_weights.id == store.find("keep").id
    other = add_model(store, "other", weights=b"own")
    store.bundle(other)
    shared = add_model(
        store,
        "shared",
        *store.find("keep").manifest.layers,
        *other.manifest.layers,
    )
    store.bundle(shared)
    store.remove("shared")
    store.remove("other")
    store.remove("go")
    assert tree(store.root) == before
    assert store.bundle(store.find("keep")).gguf.read_bytes() == b"shared"


def test_removing_what_is_not_there_is_an_error(store: Store) -> None:
    for force in (False, True):
        with pytest.raises(ModelNotFoundError):
            store.remove("absent", force=force)
    with pytest.raises(InvalidRequestError):
        store.remove("", force=True)


def test_the_index_goes_first_so_that_a_crash_leaves_no_dangling_entry(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = add_model(store, "m")

    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("dmr_tui.store.durable.remove", crash)
        with pytest.raises(KeyboardInterrupt):
            store.remove("m")
    assert store.models() == []
    assert store.manifest_bytes(model.id)


def test_a_model_whose_blob_is_missing_is_not_added(store: Store) -> None:
    store.blobs.put(CONFIG)
    with pytest.raises(StoreError, match=sha256(WEIGHTS)):
        store.add(MANIFEST, parse_reference("m"))
    blob = store.blobs.path(sha256(WEIGHTS))
    blob.write_bytes(WEIGHTS[:-1])
    with pytest.raises(StoreError):
        store.add(MANIFEST, parse_reference("m"))
    assert store.models() == []


@pytest.mark.parametrize(
    ("manifest", "kind"),
    [
        (b"", InvalidRequestError),
        (b"{}", InvalidRequestError),
        (b"\xff\xfe", InvalidRequestError),
        (MANIFEST.replace(b"sha256:", b"../../../", 1), InvalidRequestError),
        (MANIFEST.replace(b'"size":7', b'"size":-7'), InvalidRequestError),
        (MANIFEST.replace(b'"schemaVersion":2', b'"schemaVersion":1'), UnsupportedModelError),
        (MANIFEST.replace(b"v0.1+json", b"v9+json"), UnsupportedModelError),
    ],
)
def test_what_is_no_model_is_not_added(
    store: Store, manifest: bytes, kind: type[Exception]
) -> None:
    store.blobs.put(WEIGHTS)
    store.blobs.put(CONFIG)
    with pytest.raises(kind):
        store.add(manifest, None)
    assert store.models() == []


def test_a_model_whose_config_cannot_be_read_is_not_added(store: Store) -> None:
    store.blobs.put(WEIGHTS)
    manifest = MANIFEST.replace(sha256(CONFIG).encode(), store.blobs.put(b"[]").digest.encode())
    with pytest.raises(InvalidRequestError, match="config"):
        store.add(manifest.replace(b'"size":%d' % len(CONFIG), b'"size":2'), None)
    assert store.models() == []


def test_a_model_that_goes_while_the_list_is_read_is_not_called_damaged(
    store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_model(store, "stays", weights=b"1")
    add_model(store, "goes", weights=b"2")
    entries = Index.entries

    def then_remove(index: Index) -> list[Entry]:
        found = entries(index)
        monkeypatch.setattr(Index, "entries", entries)
        Store(store.root).remove("goes")
        return found

    monkeypatch.setattr(Index, "entries", then_remove)
    assert [model.name for model in store.models()] == ["stays"]
    assert caplog.text == ""


def test_damage_to_one_model_hides_only_that_one(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    add_model(store, "good", weights=b"good")
    bad = add_model(store, "bad", weights=b"bad")
    (store.root / "manifests/sha256" / bad.id[7:]).unlink()
    assert [model.name for model in store.models()] == ["good"]
    assert "bad" in caplog.text
    with pytest.raises(StoreError, match="bad"):
        store.find("bad")
    add_model(store, "third", weights=b"third")
    assert bad.id in (store.root / "models.json").read_text()
    assert store.remove("bad")[-1] == ("Deleted", bad.id)


def test_a_changed_manifest_is_noticed(store: Store) -> None:
    model = add_model(store, "m")
    path = store.root / "manifests/sha256" / model.id[7:]
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(StoreError, match="damaged"):
        store.manifest_bytes(model.id)


def test_an_index_that_leads_outside_is_not_followed(store: Store, tmp_path: Path) -> None:
    write_by_hand(store.root)
    precious = tmp_path / "precious"
    precious.write_text("keep me")
    entry = {
        "id": "sha256:../../../precious",
        "tags": ["docker.io/ai/evil:latest"],
        "files": ["sha256:../../../precious"],
    }
    (store.root / "models.json").write_text(json.dumps({"models": [entry]}))
    assert store.models() == []
    with pytest.raises(StoreError, match="malformed"):
        store.find("evil")
    store.remove("evil")
    assert precious.read_text() == "keep me"


def many_models(store: Store, count: int) -> None:
    """Models that differ in their config, entered in one go."""
    weights = store.blobs.put(WEIGHTS)
    with store.index.edit() as draft:
        for number in range(count):
            config = CONFIG.replace(b"361.82M", b"%d" % number)
            blob = store.blobs.path(sha256(config))
            blob.write_bytes(config)
            manifest = MANIFEST.replace(sha256(CONFIG).encode(), sha256(config).encode()).replace(
                b'"size":%d' % len(CONFIG), b'"size":%d' % len(config)
            )
            model_id = sha256(manifest)
            path = store.manifest_path(model_id)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(manifest)
            draft.add(model_id, [weights.digest, sha256(config)])
            draft.tag(model_id, f"docker.io/ai/m{number:04d}:latest")
        draft.save()


def test_what_many_models_say_is_kept_and_stays_true(store: Store) -> None:
    many_models(store, 300)
    cache = store.root / ".dmr" / "facts.cache"
    first = store.models()
    assert len(first) == 300
    written = cache.read_bytes()
    assert store.models() == first
    add_model(store, "new", weights=b"new")
    store.remove("m0000")
    store.tag("m0001", "renamed")
    second = store.models()
    assert [model.tags[0] for model in second[:2]] == [
        "docker.io/ai/m0001:latest",
        "docker.io/ai/m0002:latest",
    ]
    assert len(second) == 300
    assert store.find("renamed").id == first[1].id
    assert cache.read_bytes() == written
    cache.write_bytes(b"something else")
    assert store.models() == second
    assert cache.read_bytes() != b"something else"


def test_a_damaged_model_is_not_listed_from_memory(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    many_models(store, 300)
    first = store.models()
    store.manifest_path(first[0].id).unlink()
    store.blobs.path(first[1].manifest.config.digest).unlink()
    assert store.models() == first[2:]
    assert len(caplog.messages) == 2


def test_a_model_can_be_removed_whatever_became_of_its_files(store: Store) -> None:
    model = add_model(store, "m")
    store.bundle(model)
    blob = store.blobs.path(model.manifest.layers[0].digest)
    blob.unlink()
    (blob / "folder").mkdir(parents=True)
    store.manifest_path(model.id).unlink()
    assert store.remove("m")[-1] == ("Deleted", model.id)
    assert not blob.exists()
    assert store.index.entries() == []
