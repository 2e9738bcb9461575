"""The commands on the store, over a real store with a real model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dmr_tui.paths import Paths
from tests.cli.conftest import Dmr, Result
from tests.support.registry import LiveRegistry


@pytest.fixture
def stocked(dmr: Dmr, tiny_gguf: Path) -> Dmr:
    """A store with one model under two names."""
    assert dmr("package", "--gguf", str(tiny_gguf), "smollm2").code == 0
    assert dmr("tag", "smollm2", "myorg/tiny:v1").code == 0
    return dmr


def rows(result: Result) -> list[list[str]]:
    """The cells of a table below its header."""
    assert result.code == 0, result.err
    return [line.split("  ") for line in result.out.splitlines()[1:]]


def names(result: Result) -> list[str]:
    return [row[0].strip() for row in rows(result)]


def test_list_has_dockers_columns(stocked: Dmr) -> None:
    result = stocked("list")
    header = result.out.splitlines()[0].split("  ")
    assert [cell.strip() for cell in header if cell.strip()] == [
        "MODEL NAME",
        "PARAMETERS",
        "QUANTIZATION",
        "ARCHITECTURE",
        "MODEL ID",
        "CREATED",
        "CONTEXT",
        "SIZE",
    ]
    assert names(result) == ["myorg/tiny:v1", "smollm2"]
    for words in ("Q8_0", "llama", "4096", " ago"):
        assert words in result.out
    assert result.err == ""


@pytest.mark.parametrize("removing", [("rm", "dmr/guide"), ("purge", "-f")])
def test_the_built_in_model_comes_back_as_the_help_says(
    dmr: Dmr, removing: tuple[str, ...]
) -> None:
    assert "'dmr pull dmr/guide'" in " ".join(dmr(removing[0], "--help").out.split())
    assert dmr("pull", "dmr/guide").code == 0
    assert dmr(*removing).code == 0
    assert names(dmr("list")) == []
    assert dmr("pull", "dmr/guide").code == 0
    assert names(dmr("list")) == ["dmr/guide"]


def test_an_empty_store_says_what_to_do_next_on_stderr(dmr: Dmr) -> None:
    result = dmr("list")
    assert (result.code, result.out.count("\n")) == (0, 1)
    assert "dmr pull smollm2" in result.err
    assert "dmr run dmr/guide" in result.err
    assert dmr("list", "--json").out == "[]\n"
    assert dmr("list", "-q").out == ""


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("smollm2", ["smollm2"]),
        ("ai/smollm2", ["smollm2"]),
        ("docker.io/ai/smollm2:latest", ["smollm2"]),
        ("myorg/tiny", ["myorg/tiny:v1"]),
        ("myorg/tiny:v1", ["myorg/tiny:v1"]),
        ("myorg/tiny:v2", []),
        ("tiny", []),
        ("other/smollm2", []),
    ],
)
def test_list_keeps_to_the_model_that_is_named(stocked: Dmr, wanted: str, found: list[str]) -> None:
    assert names(stocked("list", wanted)) == found


def test_quiet_is_one_short_id_for_each_model(stocked: Dmr) -> None:
    ids = stocked("list", "-q").out.split()
    assert len(ids) == 1
    assert len(ids[0]) == 12
    assert names(stocked("list", ids[0])) == ["myorg/tiny:v1", "smollm2"]


def test_json_is_the_array_of_models(stocked: Dmr, tiny_gguf: Path) -> None:
    result = stocked("list", "--json")
    (model,) = json.loads(result.out)
    assert result.out.startswith("[\n    {\n")
    assert sorted(model["tags"]) == ["docker.io/ai/smollm2:latest", "docker.io/myorg/tiny:v1"]
    assert model["config"]["quantization"] == "Q8_0"
    assert model["created"] == int(tiny_gguf.stat().st_mtime)
    assert json.loads(stocked("inspect", "smollm2").out) == model


def test_openai_objects(stocked: Dmr) -> None:
    listed = json.loads(stocked("list", "--openai").out)
    assert listed["object"] == "list"
    (model,) = listed["data"]
    assert (model["object"], model["owned_by"]) == ("model", "docker")
    assert model["dmr"]["context_window"] == 4096
    assert json.loads(stocked("inspect", "--openai", "smollm2").out) == model


def test_names_follow_the_default_registry(stocked: Dmr, monkeypatch: pytest.MonkeyPatch) -> None:
    stocked("tag", "smollm2", "localhost:5000/ai/near")
    monkeypatch.setenv("DEFAULT_REGISTRY", "localhost:5000")
    assert names(stocked("list", "near")) == ["near"]


def test_a_tag_of_another_program_is_shown_as_it_is_and_can_be_removed(stocked: Dmr) -> None:
    index = Paths.default().models / "models.json"
    tag = "docker.io/org/my-_model:v1"
    index.write_text(index.read_text().replace('"docker.io/myorg/tiny:v1"', f'"{tag}"'))
    assert names(stocked("list")) == [tag, "smollm2"]
    assert names(stocked("list", "smollm2")) == ["smollm2"]
    assert stocked("rm", tag).out == f"Untagged: {tag}\n"
    assert names(stocked("list")) == ["smollm2"]


def test_a_model_without_tags_is_shown(stocked: Dmr) -> None:
    index = Paths.default().models / "models.json"
    data = json.loads(index.read_text())
    for entry in data["models"]:
        entry["tags"] = []
    index.write_text(json.dumps(data))
    assert names(stocked("list")) == ["<none>"]


def test_show_is_for_people_and_sorted(stocked: Dmr) -> None:
    out = stocked("show", "smollm2").out
    assert out.startswith("Model:       sha256:")
    assert "  - smollm2\n" in out
    assert "Architecture:  llama\n" in out
    assert "Context Size:  4096\n" in out
    below = out.partition("GGUF Metadata:\n")[2].splitlines()
    metadata = [line.split(":")[0] for line in below if line[2] != " "]
    assert "  general.architecture" in metadata
    assert metadata == sorted(metadata)


def test_tag_and_rm(stocked: Dmr) -> None:
    tagged = stocked("tag", "smollm2", "other:v2")
    assert tagged.out == 'Model "smollm2" tagged successfully with "other:v2"\n'
    assert '"upper"' in stocked("tag", "smollm2", "UPPER").out
    stocked("rm", "upper")
    removed = stocked("rm", "other:v2", "myorg/tiny:v1", "smollm2")
    assert removed.code == 0
    lines = removed.out.splitlines()
    assert lines[:2] == [
        "Untagged: docker.io/ai/other:v2",
        "Untagged: docker.io/myorg/tiny:v1",
    ]
    assert lines[2] == "Untagged: docker.io/ai/smollm2:latest"
    assert any(line.startswith("Deleted: sha256:") for line in lines)
    assert stocked("list", "-q").out == ""


def test_rm_stops_at_the_first_that_is_not_there(stocked: Dmr) -> None:
    result = stocked("rm", "myorg/tiny:v1", "nobody", "smollm2")
    assert result.code == 1
    assert result.out == "Untagged: docker.io/myorg/tiny:v1\n"
    assert result.err.startswith("Error: no such model: nobody\n")
    assert names(stocked("list")) == ["smollm2"]


def test_rm_of_an_id_with_several_names_needs_force(stocked: Dmr) -> None:
    short = stocked("list", "-q").out.strip()
    refused = stocked("rm", short)
    assert refused.code == 1
    assert "force" in refused.err
    assert stocked("rm", "-f", short).code == 0
    assert stocked("list", "-q").out == ""


def test_df(stocked: Dmr) -> None:
    out = stocked("df").out.splitlines()
    assert out[0].split() == ["TYPE", "SIZE"]
    assert out[1].startswith("Models  ")
    assert out[1].endswith("kB")
    count = json.loads(stocked("df", "--json").out)["models"]
    assert 400_000 < count < 1_000_000


def test_package_takes_relative_paths_and_says_what_it_adds(
    dmr: Dmr, tiny_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.gguf").write_bytes(tiny_gguf.read_bytes())
    Path("LICENSE").write_text("MIT")
    Path("chat.jinja").write_text("{{ messages }}")
    result = dmr(
        "package", "--gguf", "m.gguf", "-l", "LICENSE", "--chat-template", "chat.jinja",
        "--context-size", "128", "me/m",
    )  # fmt: skip
    assert (result.code, result.out) == (0, "")
    for said in ("m.gguf", "context size 128", "LICENSE", "chat.jinja", "loaded successfully"):
        assert said in result.err
    assert json.loads(dmr("inspect", "me/m").out)["config"]["context_size"] == 128
    bundle_templates = list(Paths.default().models.rglob("blobs/sha256/*"))
    assert b"{{ messages }}" in [blob.read_bytes() for blob in bundle_templates]


def test_package_refuses_what_is_no_model(dmr: Dmr, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"not a model")
    result = dmr("package", "--gguf", str(broken), "me/m")
    assert result.code == 1
    assert "broken.gguf" in result.err
    assert dmr("list", "-q").out == ""
    assert dmr("package", "--gguf", str(tmp_path / "absent"), "me/m").code == 2


def test_a_model_is_shown_as_its_registry_has_it(
    dmr: Dmr, registry: LiveRegistry, tiny_gguf: Path
) -> None:
    name = f"{registry.address}/shown/tiny:v1"
    dmr("package", "--gguf", str(tiny_gguf), name)
    here = json.loads(dmr("inspect", name).out)
    dmr("push", name)
    dmr("rm", name)
    there = json.loads(dmr("inspect", "-r", name).out)
    assert there == {key: value for key, value in here.items() if key != "tags"}
    assert f"Model:       {here['id']}" in dmr("show", "--remote", name).out
    assert dmr("list", "--json").out.strip() == "[]"
    assert dmr("inspect", "-r", f"{registry.address}/shown/none").code == 1
    assert dmr("inspect", "-r", "--openai", name).code == 2
