from __future__ import annotations

from pathlib import Path

import pytest

from dmr_tui.screens.get.wish import LocalFile, Named, Words, parse_wish

HF = "https://huggingface.co/Org/Repo-GGUF"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("gemma3:4b", "gemma3:4b"),
        ("docker.io/ai/x:y", "docker.io/ai/x:y"),
        ("registry.example.com/me/m", "registry.example.com/me/m"),
        ("localhost:5000/me/m", "localhost:5000/me/m"),
        ("localhost/me/m", "localhost/me/m"),
        ("hf.co/Org/Repo", "hf.co/Org/Repo"),
        ("hf.co/Org/Repo:Q4_K_M", "hf.co/Org/Repo:Q4_K_M"),
        ("  docker model pull ai/gemma3:4b ", "ai/gemma3:4b"),
        ("ollama run hf.co/Org/Repo:Q8_0", "hf.co/Org/Repo:Q8_0"),
        ("dmr run qwen3:8b --verbose", "qwen3:8b"),
        ("pull qwen3:8b", "qwen3:8b"),
        (HF, "hf.co/Org/Repo-GGUF"),
        (f"{HF}/tree/main", "hf.co/Org/Repo-GGUF"),
        (f"{HF}/tree/v2?not=1", "hf.co/Org/Repo-GGUF@v2"),
        (f"{HF}/blob/main/a/b-Q4_0.gguf", "hf.co/Org/Repo-GGUF:a/b-Q4_0.gguf"),
        (f"{HF}/resolve/dev/b-Q4_0.gguf", "hf.co/Org/Repo-GGUF:b-Q4_0.gguf@dev"),
        (f"{HF}/blob/main/README.md", "hf.co/Org/Repo-GGUF"),
        ("https://hub.docker.com/r/ai/smollm2", "ai/smollm2"),
        ("https://hub.docker.com/r/ai/smollm2/tags", "ai/smollm2"),
        (
            "https://hub.docker.com/layers/ai/smollm2/360M-Q4_0/images/sha256-1",
            "ai/smollm2:360M-Q4_0",
        ),
        ("https://hub.docker.com/repository/docker/me/m", "me/m"),
        ("https://registry.example.com/me/m:v1", "registry.example.com/me/m:v1"),
    ],
)
def test_names(text: str, name: str) -> None:
    assert parse_wish(text) == Named(name)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ""),
        ("  qwen   coder ", "qwen coder"),
        ("unsloth/Qwen3", "unsloth/Qwen3"),
        ("qwen3.5", "qwen3.5"),
        ("gemma3:", "gemma3:"),
        ("hf.co/Org", "hf.co/Org"),
        ("hf.co/Org/", "hf.co/Org/"),
        ("what: is this", "what: is this"),
        ("ollama run llama3.2", "llama3.2"),
        ("https://ollama.com/library/llama3.2:1b", "llama3.2"),
        ("https://example.com", "example.com"),
        ("http://[", "http://["),
    ],
)
def test_words(text: str, words: str) -> None:
    assert parse_wish(text) == Words(words)


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "my model.gguf"
    file.write_bytes(b"GGUF")
    for text in (str(file), "./my model.gguf", "my model.gguf"):
        assert parse_wish(text) == LocalFile(file)
    assert parse_wish("~/x.gguf") == LocalFile(Path("~/x.gguf").expanduser())
    assert parse_wish("other.gguf") == Words("other.gguf")
