from __future__ import annotations

import json

import pytest

from dmr_tui.cli.output import display_name, duration_text, error_text, json_text, size_text, table
from dmr_tui.errors import DmrError
from tests.support.fake_runner import MODEL


def test_table_is_aligned_without_rules() -> None:
    assert table(("A", "LONG"), [("xyz", "1"), ("é", "")]) == "A    LONG\nxyz  1\né"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0.00B"),
        (999, "999.00B"),
        (1000, "1.00kB"),
        (999_999, "1.00MB"),
        (270_600_000, "270.60MB"),
        (4_920_000_000, "4.92GB"),
        (3_000_000_000_000_000_000, "3000.00PB"),
    ],
)
def test_sizes_are_to_base_1000(count: int, text: str) -> None:
    assert size_text(count) == text


HOUR, DAY = 3600, 86400


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (300, "5 minutes"),
        (59 * 60, "59 minutes"),
        (HOUR, "About an hour"),
        (1.6 * HOUR, "2 hours"),
        (47 * HOUR, "47 hours"),
        (2 * DAY, "2 days"),
        (15 * DAY, "2 weeks"),
        (70 * DAY, "2 months"),
        (800 * DAY, "2 years"),
    ],
)
def test_durations_are_dockers(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_json_is_indented_by_four_and_not_escaped() -> None:
    assert json_text({"a": {"b": "<ä>"}}) == '{\n    "a": {\n        "b": "<ä>"\n    }\n}'
    assert json_text({"a": 1}, indent=0) == '{"a":1}'
    assert json.loads(json_text(MODEL))["tags"] == MODEL.tags


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("docker.io/ai/gemma3:latest", "gemma3"),
        ("docker.io/ai/gemma3:v1", "gemma3:v1"),
        ("docker.io/myorg/gemma3:latest", "myorg/gemma3"),
        ("sha256:" + "ab" * 32, "abababababab"),
        ("/home/me/My Model.gguf", "My Model.gguf"),
        ("Not A Reference", "Not A Reference"),
    ],
)
def test_names_are_short_for_people(name: str, text: str) -> None:
    assert display_name(name) == text


def test_names_are_short_for_another_registry() -> None:
    assert display_name("localhost:5000/ai/m:latest", "localhost:5000") == "m"
    assert display_name("docker.io/ai/m:latest", "localhost:5000") == "docker.io/ai/m"


def test_errors_are_one_line_and_their_hints() -> None:
    assert error_text(DmrError("no", "try\nthis")) == "Error: no\n  try\n  this"
    assert error_text(DmrError("no")) == "Error: no"
