"""Which files make the model that was asked for."""

from __future__ import annotations

import pytest

from dmr_tui.errors import ModelNotFoundError, UnsupportedModelError
from dmr_tui.store.transfer.hub.choice import choose, projector, safetensors, template, variants
from dmr_tui.store.transfer.hub.client import HubFile

GB = 10**9


def repository(*paths: str, size: int = GB) -> list[HubFile]:
    return [HubFile(path, size, "sha256:" + "0" * 64) for path in paths]


def pick(wanted: str, *paths: str, memory: int = 8 * GB) -> list[str]:
    found = variants(repository(*paths))
    return [file.path for file in choose(found, wanted, repository="o/r", memory=memory).files]


MANY = (
    "M-8B-Q2_K.gguf",
    "M-8B-Q4_K_M.gguf",
    "M-8B-Q4_K_S.gguf",
    "M-8B-UD-Q4_K_XL.gguf",
    "M-8B-UD-Q4_K_M.gguf",
    "M-8B-IQ2_XXS.gguf",
    "M-8B-BF16.gguf",
    "mmproj-F16.gguf",
    "imatrix.dat",
)


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        ("Q4_K_M", "M-8B-Q4_K_M.gguf"),
        ("q4_k_m", "M-8B-Q4_K_M.gguf"),
        ("UD-Q4_K_M", "M-8B-UD-Q4_K_M.gguf"),
        ("ud-q4_k_xl", "M-8B-UD-Q4_K_XL.gguf"),
        ("Q4_K_XL", "M-8B-UD-Q4_K_XL.gguf"),
        ("IQ2_XXS", "M-8B-IQ2_XXS.gguf"),
        ("bf16", "M-8B-BF16.gguf"),
        ("8B-Q2_K", "M-8B-Q2_K.gguf"),
        ("M-8B-Q2_K", "M-8B-Q2_K.gguf"),
        ("M-8B-Q4_K_S.gguf", "M-8B-Q4_K_S.gguf"),
        ("", "M-8B-Q4_K_M.gguf"),
    ],
)
def test_a_quantization_is_found_exactly(wanted: str, chosen: str) -> None:
    assert pick(wanted, *MANY) == [chosen]


@pytest.mark.parametrize(
    "wanted", ["Q4", "Q9_K", "K_M", "Q4_K", "8B", "m-8b-q4_k_s.gguf", "mmproj-F16.gguf"]
)
def test_another_one_is_never_taken_silently(wanted: str) -> None:
    with pytest.raises(ModelNotFoundError, match=f"hf.co/o/r has no {wanted}") as caught:
        pick(wanted, *MANY, memory=1)
    hint = caught.value.hint or ""
    assert "UD-Q4_K_XL     1.00GB  too large for this machine's memory" in hint
    assert "mmproj" not in hint


def test_two_models_of_one_quantization_must_be_told_apart() -> None:
    paths = ("M-1B-Q8_0.gguf", "M-7B-Q8_0.gguf")
    with pytest.raises(ModelNotFoundError, match="Q8_0 means 2 models") as caught:
        pick("Q8_0", *paths)
    assert "M-7B-Q8_0.gguf" in (caught.value.hint or "")
    assert pick("7B-Q8_0", *paths) == ["M-7B-Q8_0.gguf"]


@pytest.mark.parametrize(
    ("paths", "chosen"),
    [
        (("a-Q8_0.gguf", "a-Q4_K_S.gguf", "a-IQ4_NL.gguf"), "a-Q4_K_S.gguf"),
        (("a-Q8_0.gguf", "a-IQ4_NL.gguf"), "a-IQ4_NL.gguf"),
        (("a-Q8_0.gguf", "a-Q5_K_M.gguf"), "a-Q5_K_M.gguf"),
        (("a-Q8_0.gguf", "a-F16.gguf"), "a-Q8_0.gguf"),
        (("only.gguf",), "only.gguf"),
    ],
)
def test_without_a_wish_the_usual_one_is_taken(paths: tuple[str, ...], chosen: str) -> None:
    assert pick("", *paths) == [chosen]


def test_of_unusual_ones_the_largest_that_fits_is_taken() -> None:
    files = [
        HubFile(f"a-{name}.gguf", size * GB) for name, size in (("F32", 8), ("F16", 4), ("Q2_K", 1))
    ]
    found = variants(files)
    names = {
        memory: choose(found, "", repository="o/r", memory=memory * GB).name
        for memory in (20, 5, 1)
    }
    assert names == {20: "F32", 5: "F16", 1: "Q2_K"}


def test_shards_are_one_model_when_they_are_all_there() -> None:
    shards = [f"Q8_0/m-{n:05d}-of-00003.gguf" for n in (1, 2, 3)]
    assert pick("Q8_0", *reversed(shards), "m-Q4_0.gguf") == shards
    assert pick(shards[1], *shards) == shards
    with pytest.raises(ModelNotFoundError):
        pick("Q8_0", *shards[:2], "m-Q4_0.gguf")


def test_of_a_whole_file_and_shards_of_the_same_model_the_whole_one_counts() -> None:
    shards = [f"m-Q8_0-{n:05d}-of-00002.gguf" for n in (1, 2)]
    for files in ([*shards, "m-Q8_0.gguf"], ["m-Q8_0.gguf", *shards], ["m-Q8_0.gguf", shards[0]]):
        assert pick("Q8_0", *files, "m-Q4_0.gguf") == ["m-Q8_0.gguf"]
    others = [f"m-Q8_0-{n:05d}-of-00003.gguf" for n in (1, 2)]
    assert pick("Q8_0", *others, *shards) == shards


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (("mmproj-BF16", "mmproj-F16", "mmproj-F32"), "mmproj-F16"),
        (("mmproj-F32", "mmproj-BF16"), "mmproj-BF16"),
        (("mmproj-x-Q8_0", "mmproj-x-f32"), "mmproj-x-f32"),
        (("m-mmproj", "a-Q8_0"), "m-mmproj"),
        (("a-Q8_0",), None),
    ],
)
def test_the_projector(names: tuple[str, ...], chosen: str | None) -> None:
    found = projector(repository(*(f"{name}.gguf" for name in names)))
    assert (found.path if found else None) == (f"{chosen}.gguf" if chosen else None)


def test_the_template_is_a_jinja_file_and_no_json() -> None:
    files = repository("tokenizer_config.json", "x.jinja", "chat_template.jinja", "a/b.jinja")
    found = template(files)
    assert found is not None
    assert found.path == "chat_template.jinja"
    assert template(files[:1]) is None


def test_a_safetensors_model_is_its_weights_and_what_is_read_with_them() -> None:
    files = repository(
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "config.json",
        "tokenizer.model",
        "LICENSE",
        "README.md",
        "pytorch_model.bin",
        ".gitattributes",
        "onnx/config.json",
        "../escape.json",
    )
    assert [file.path for file in safetensors(files, "o/r")] == [
        "LICENSE",
        "README.md",
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "tokenizer.model",
    ]
    with pytest.raises(UnsupportedModelError, match="neither GGUF nor safetensors"):
        safetensors(repository("pytorch_model.bin"), "o/r")


def test_paths_that_lead_elsewhere_are_left_out() -> None:
    bad = ("../a-Q8_0.gguf", "/a-Q8_0.gguf", "a/../b-Q8_0.gguf", ".a-Q8_0.gguf", "a\\b-Q8_0.gguf")
    assert variants(repository(*bad)) == []
