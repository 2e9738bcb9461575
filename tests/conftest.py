"""Fixtures for every test: a home of its own, and one tiny real model for the whole run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.gguf_maker import write_tiny_llama

pytest_plugins = ["tests.support.registry"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of single tests that can do more than they do by default."""
    parser.addoption("--fuzz", type=int, default=100, help="how many damaged models are tried")
    parser.addoption("--kills", type=int, default=15, help="how many operations are killed")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty HOME; nothing of the user's own environment reaches a test."""
    folder = tmp_path / "home"
    folder.mkdir()
    for name in list(os.environ):
        if name.startswith(("DMR_", "MODEL_RUNNER_", "DOCKER_", "XDG_", "HF_", "MODELS_PATH")):
            monkeypatch.delenv(name)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("DO_NOT_TRACK", "1")
    return folder


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real, random-weight llama model of half a megabyte with a ChatML template."""
    return write_tiny_llama(tmp_path_factory.mktemp("models") / "tiny.gguf")
