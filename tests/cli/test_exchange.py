"""`save`, `load`, `cp` and `package` by the real program: streams and files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dmr_tui.paths import Paths
from dmr_tui.store.package import package_gguf
from dmr_tui.store.reference import parse_reference
from dmr_tui.store.store import Store
from tests.cli.conftest import Dmr

PROGRAM = [sys.executable, "-m", "dmr_tui"]


@pytest.fixture
def store(tiny_gguf: Path) -> Store:
    store = Store(Paths.default().models)
    package_gguf(store, tiny_gguf, parse_reference("my/m"))
    return store


def test_save_and_load_by_files(dmr: Dmr, store: Store, tmp_path: Path) -> None:
    file = tmp_path / "m.tar"
    saved = dmr("save", "my/m", "-o", str(file))
    assert (saved.code, saved.out) == (0, "")
    assert saved.err.startswith(f"Saved my/m to {file} (")
    assert list(tmp_path.glob("m.tar*")) == [file]
    model = store.find("my/m")
    store.remove("my/m")
    assert dmr("load", "-i", str(file)).out == f"Loaded my/m ({model.short_id})\n"
    assert dmr("load", "-i", str(file), "other:v1").out == f"Loaded other:v1 ({model.short_id})\n"
    assert store.find("other:v1").id == model.id


def test_save_and_load_by_pipes(store: Store, tmp_path: Path) -> None:
    save = subprocess.run([*PROGRAM, "save", "my/m"], stdout=subprocess.PIPE, check=True)
    there = {**os.environ, "MODELS_PATH": str(tmp_path / "there")}
    load = [*PROGRAM, "load"]
    run = subprocess.run(load, input=save.stdout, env=there, stdout=subprocess.PIPE, check=True)
    assert run.stdout.startswith(b"Loaded my/m ")
    assert Store(tmp_path / "there").find("my/m").id == store.find("my/m").id


def test_what_cannot_be_saved_or_loaded_leaves_nothing(
    dmr: Dmr, store: Store, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.tar"
    bad.write_bytes(b"x" * 4096)
    refused = dmr("load", "-i", str(bad))
    assert refused.code == 1
    assert refused.err.startswith("Error: this is no whole tar archive")
    os.truncate(store.blobs.path(store.find("my/m").manifest.layers[0].digest), 7)
    assert dmr("save", "my/m", "-o", str(tmp_path / "m.tar")).code == 1
    assert dmr("save", "my/m", "-o", "/no/such/folder/m.tar").code == 1
    assert [path.name for path in tmp_path.iterdir() if "tar" in path.name] == ["bad.tar"]


def test_cp_into_another_store(dmr: Dmr, store: Store, tmp_path: Path) -> None:
    copied = dmr("cp", "my/m", str(tmp_path / "team"), "team/m:v1")
    assert copied.code == 0
    assert copied.out.startswith(f"Copied team/m:v1 to the store in {tmp_path / 'team'} (")
    there = Store(tmp_path / "team")
    assert there.find("team/m:v1").id == store.find("my/m").id
    assert dmr("cp", "my/m", str(store.root)).code == 1


def test_a_pipe_is_written_into_and_a_link_kept(dmr: Dmr, store: Store, tmp_path: Path) -> None:
    pipe, link, real = (tmp_path / name for name in ("pipe", "link.tar", "real.tar"))
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as reader:
        reading = reader.submit(pipe.read_bytes)
        assert dmr("save", "my/m", "-o", str(pipe)).err == f"Saved my/m to {pipe}\n"
        piped = reading.result(20)
    real.touch()
    link.symlink_to(real.name)
    assert dmr("save", "my/m", "-o", str(link)).code == 0
    assert link.is_symlink()
    assert real.read_bytes() == piped != b""
    assert "Is a directory" in dmr("save", "my/m", "-o", str(tmp_path)).err


def test_cp_to_a_bare_word_is_not_what_ollama_means_by_it(
    dmr: Dmr, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = dmr("cp", "my/m", "copy")
    assert refused.code == 2
    assert "dmr tag my/m copy gives the model one more name" in refused.err
    assert dmr("cp", "my/m", "./copy").code == 0
    assert dmr("cp", "my/m", "copy", "again").code == 0  # It is one now.


def test_package_from_another_model(dmr: Dmr, store: Store) -> None:
    made = dmr("package", "--from", "my/m", "--context-size", "77", "my/small")
    assert made.code == 0
    assert "Setting context size 77" in made.err
    assert json.loads(dmr("inspect", "my/small").out)["config"]["context_size"] == 77
    refused = dmr("package", "--from", "my/m", "--format", "cncf", "--context-size", "77", "x")
    assert refused.code == 1
    assert "context size" in refused.err


def test_package_wants_exactly_one_source(dmr: Dmr, tiny_gguf: Path) -> None:
    none = dmr("package", "my/m")
    both = dmr("package", "--gguf", str(tiny_gguf), "--from", "my/m", "my/n")
    assert (none.code, both.code) == (2, 2)
    assert "One of --gguf, --safetensors-dir or --from is required." in none.err
    assert "Cannot specify more than one of" in both.err
