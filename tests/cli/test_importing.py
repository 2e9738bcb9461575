"""`dmr import` with an Ollama store and loose files in the home."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from dmr_tui.paths import Paths
from dmr_tui.store.store import Store
from tests.cli.conftest import Dmr
from tests.store.test_adopt import ollama


@pytest.fixture
def other(home: Path, tiny_gguf: Path) -> Path:
    root = home / ".ollama" / "models"
    ollama(root, "registry.ollama.ai/library/llama3.2/1b", model=tiny_gguf.read_bytes())
    ollama(root, "registry.ollama.ai/library/b/latest", model=tiny_gguf.read_bytes() + b"b")
    return root


def test_the_list_says_what_there_is_and_imports_nothing(dmr: Dmr, other: Path) -> None:
    for command in (["import"], ["import", "--scan"]):
        lines = dmr(*command).out.splitlines()
        assert lines[0].split() == ["NAME", "FROM", "SIZE", "IMPORTED", "PATH"]
        assert [line.split()[:2] for line in lines[1:]] == [
            ["ollama/b", "ollama"],
            ["ollama/llama3.2:1b", "ollama"],
        ]
    assert not Paths.default().models.exists()
    assert "No models of" in dmr("import", "--scan", "--from", "lmstudio").err


def test_a_name_is_imported_without_a_copy(dmr: Dmr, other: Path) -> None:
    done = dmr("import", "ollama/llama3.2:1b", "--verify")
    assert done.code == 0
    assert done.out.startswith("Imported ollama/llama3.2:1b (")
    store = Store(Paths.default().models)
    assert store.find("llama3.2:1b")
    rows = {row["name"]: row for row in json.loads(dmr("import", "--scan", "--json").out)}
    assert rows["ollama/llama3.2:1b"]["imported"] is True
    assert rows["ollama/b"]["imported"] is False
    unknown = dmr("import", "ollama/none")
    assert unknown.code == 1
    assert "--scan" in unknown.err


def test_all_are_imported_and_one_that_fails_does_not_stop_the_others(
    dmr: Dmr, other: Path, tiny_gguf: Path
) -> None:
    size = tiny_gguf.stat().st_size
    for blob in (other / "blobs").iterdir():
        if blob.stat().st_size == size:
            blob.write_bytes(b"GGUF" + bytes(size - 4))
    done = dmr("import", "--all")
    assert done.code == 1
    assert done.out.startswith("Imported ollama/b (")
    assert "ollama/llama3.2:1b was not imported:" in done.err


def test_a_file_gets_the_name_that_is_wanted(
    dmr: Dmr, tiny_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.link(tiny_gguf, "Tiny-Q8_0.gguf")
    assert dmr("import", "./Tiny-Q8_0.gguf", "--name", "my/tiny:v1").code == 0
    assert dmr("import", "Tiny-Q8_0.gguf").out.startswith("Imported local/tiny:Q8_0 (already there")
    store = Store(Paths.default().models)
    assert store.find("my/tiny:v1").id == store.find("local/tiny:Q8_0").id
    assert dmr("import", "./nothing-here").code == 1


def test_a_folder_is_searched_but_not_the_store_in_it(
    dmr: Dmr, home: Path, tiny_gguf: Path
) -> None:
    loose = home / "files" / "Tiny-Q8_0.gguf"
    loose.parent.mkdir()
    os.link(tiny_gguf, loose)
    assert dmr("import", str(loose), "--name", "my/tiny").code == 0
    store = Store(Paths.default().models)
    bundled = store.root / "bundles" / "sha256" / "x" / "model.gguf"
    bundled.parent.mkdir(parents=True)
    os.link(tiny_gguf, bundled)
    root = os.path.commonpath([loose, bundled])
    rows = json.loads(dmr("import", "--scan", "--json", root).out)
    assert [row["path"] for row in rows] == [str(loose)]


def test_one_name_is_for_one_model(dmr: Dmr, other: Path) -> None:
    refused = dmr("import", "--all", "--name", "x")
    assert refused.code == 2
