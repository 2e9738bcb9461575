"""A model's life: packaged, pushed, pulled, run, shown and removed by the real program."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.e2e.conftest import Program


def test_pull_run_remove(hub: Program) -> None:
    assert "smollm2" not in hub.run("list").stdout
    hub.run("pull", "ai/smollm2")
    assert "smollm2" in hub.run("list").stdout
    answer = hub.run("run", "--max-tokens", "8", "--seed", "1", "ai/smollm2", "Hello")
    assert answer.stdout.strip()
    assert answer.stdout.endswith("\n")
    removed = hub.run("rm", "ai/smollm2").stdout
    assert "Untagged:" in removed
    assert "Deleted: sha256:" in removed
    assert hub.run("list", "--json").stdout.strip() == "[]"
    blobs = hub.home / ".local/share/dmr/models/blobs/sha256"
    assert list(blobs.iterdir()) == []


def test_a_missing_model_is_pulled_on_the_way_and_stdout_is_the_answer_alone(hub: Program) -> None:
    asked = ("run", "--max-tokens", "8", "--seed", "1", "--temperature", "0", "ai/smollm2", "Hello")
    first = hub.run(*asked)
    second = hub.run(*asked)
    assert "Unable to find model 'ai/smollm2' locally" in first.stderr
    assert second.stderr == ""
    assert first.stdout == second.stdout


def test_prompt_and_stdin_are_joined(hub: Program) -> None:
    asked = ("run", "--max-tokens", "8", "--temperature", "0", "ai/smollm2")
    joined = hub.run(*asked, "Say this:", stdin="one two three")
    written = hub.run(*asked, "Say this:\n\none two three")
    piped = hub.run(*asked, stdin="Say this:\n\none two three")
    assert joined.stdout == written.stdout == piped.stdout


def test_a_file_runs_straight_from_disk(program: Program, tiny_gguf: Path) -> None:
    shutil.copy(tiny_gguf, program.home / "here.gguf")
    answer = program.run("run", "--max-tokens", "4", "./here.gguf", "Hello")
    assert answer.stdout.strip()
    assert program.run("list", "--json").stdout.strip() == "[]"


def test_nothing_here_and_no_network_says_what_to_do(program: Program) -> None:
    run = program.run("run", "ai/smollm2", "Hello", check=False)
    assert run.returncode == 1
    assert run.stdout == ""
    assert "dmr run ./file.gguf" in run.stderr
    assert "Traceback" not in run.stderr


def test_what_inspect_says_is_what_was_packaged(program: Program, tiny_gguf: Path) -> None:
    licence = program.home / "LICENSE"
    licence.write_text("Do as you like.\n")
    program.run(
        "package",
        "--gguf",
        str(tiny_gguf),
        "--license",
        "LICENSE",
        "--context-size",
        "512",
        "my/m:v1",
    )
    model = json.loads(program.run("inspect", "my/m:v1").stdout)
    assert model["config"]["context_size"] == 512
    assert model["config"]["architecture"] == "llama"
    assert model["config"]["quantization"] == "Q8_0"
    program.run("tag", "my/m:v1", "other/name")
    program.run("rm", "my/m:v1")
    assert json.loads(program.run("inspect", "other/name").stdout)["id"] == model["id"]


def test_a_broken_file_is_named_and_nothing_is_lost(program: Program) -> None:
    (program.home / "bad.gguf").write_bytes(b"GGUF but not really")
    run = program.run("run", "./bad.gguf", "Hello", check=False)
    assert run.returncode == 1
    assert "bad.gguf" in run.stderr
    assert "Traceback" not in run.stderr
    package = program.run("package", "--gguf", "bad.gguf", "my/bad", check=False)
    assert package.returncode == 1
    assert program.run("list", "--json").stdout.strip() == "[]"
