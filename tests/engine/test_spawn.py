"""What a worker is started with."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmr_tui.engine.spawn import log_file


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("tiny", "tiny.log"),
        ("docker.io/ai/smollm2:latest", "docker.io_ai_smollm2_latest.log"),
    ],
)
def test_a_log_has_the_name_of_its_model(name: str, file: str) -> None:
    assert log_file(Path("logs"), name) == Path("logs") / file


def test_no_two_models_share_a_log() -> None:
    names = [
        *("docker.io/ai/a:b", "docker.io/ai/a_b:b", "docker.io/ai_a:b"),
        *("host:5000/a:b", "host/5000/a:b"),
        *("./a.gguf", "a.gguf", "/a.gguf", "a_", "_", ":", "ä", "ö"),
        *("x" * 300 + ":1", "x" * 300 + ":2"),
    ]
    files = {log_file(Path(), name).name for name in names}
    assert len(files) == len(names)
    assert all(len(file.encode()) < 200 and not file.startswith((".", "_")) for file in files)
