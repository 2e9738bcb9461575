"""Settings: from the file, the environment, and wrong ones."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from dmr_tui.errors import InvalidRequestError
from dmr_tui.paths import Paths
from dmr_tui.settings import Settings, load_settings, parse_duration

DOCUMENT = Path(__file__).parents[1] / "docs" / "configuration.md"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(data=tmp_path, config=tmp_path, state=tmp_path)


def test_the_file_changes_defaults_and_the_environment_the_file(paths: Paths) -> None:
    assert load_settings(paths, {}) == Settings()
    paths.config_file.write_text('port = 1\nkeep_alive = "1h"\nlog_level = "warning"\n')
    found = load_settings(paths, {"MODEL_RUNNER_PORT": "2", "DMR_SAVE_CHATS": "0"})
    assert found == Settings(port=2, keep_alive=3600.0, log_level="warn", save_chats=False)


def test_an_empty_variable_changes_nothing(paths: Paths) -> None:
    assert load_settings(paths, {"DMR_HOST": " ", "DMR_THREADS": '"3"'}) == Settings(threads=3)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("prot = 1", "unknown setting 'prot'"),
        ("port = true", "port: True is not of type int"),
        ('threads = "many"', "threads: 'many' is not of type int"),
        ('save_chats = "perhaps"', "save_chats: 'perhaps' is not of type bool"),
        ('keep_alive = "soon"', "keep_alive: 'soon' is no duration"),
        ('log_level = "loud"', "log_level: 'loud' is no level"),
        ("port = ", "cannot read"),
        ('api_key = "ключ"', "api_key: a key cannot have"),
        ('api_key = "a space "', "api_key: a key cannot have"),
    ],
)
def test_a_wrong_file_is_named(paths: Paths, line: str, said: str) -> None:
    paths.config_file.write_text(f"{line}\n")
    with pytest.raises(InvalidRequestError, match=re.escape(said)) as raised:
        load_settings(paths, {})
    assert str(paths.config_file) in str(raised.value)


def test_a_wrong_variable_is_named(paths: Paths) -> None:
    with pytest.raises(InvalidRequestError, match="MODEL_RUNNER_PORT: 'x' is not of type int"):
        load_settings(paths, {"MODEL_RUNNER_PORT": "x"})
    with pytest.raises(InvalidRequestError, match="DMR_API_KEY: a key cannot have"):
        load_settings(paths, {"DMR_API_KEY": "schlüssel"})
    assert load_settings(paths, {"DMR_API_KEY": "sk-1_~!"}).api_key == "sk-1_~!"


def test_a_level_of_another_program_is_not_ours(paths: Paths) -> None:
    assert load_settings(paths, {"LOG_LEVEL": "trace"}) == Settings()
    assert load_settings(paths, {"LOG_LEVEL": "ERROR"}).log_level == "error"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5m", 300.0), ("1h30m", 5400.0), ("90", 90.0), ("-1", -1.0), ("500ms", 0.5), ("-2s", -2.0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


def test_the_document_has_every_setting_with_its_default(paths: Paths) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", DOCUMENT.read_text("utf-8"), re.S)
    assert {line.split(" = ")[0] for line in example.splitlines()} == {
        field.name for field in dataclasses.fields(Settings)
    }
    paths.config_file.write_text(example)
    assert load_settings(paths, {}) == Settings()
