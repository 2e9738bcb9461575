"""Lines of logs, as text and from files."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from dmr_tui.engine.rotation import LOG_LIMIT
from dmr_tui.runner.activity.log_files import RunnerLog, read_logs
from dmr_tui.runner.activity.log_lines import line_text, parse_line, stamp
from dmr_tui.runner.activity.records import LEVELS, LogLine

NOON = 1_763_721_060.114


@pytest.mark.parametrize(
    "line",
    [
        LogLine(NOON, "smollm2  loaded in 2.4 s", "info", "load"),
        LogLine(NOON, "bad magic", "error", "qwen3_8b", True),
        LogLine(NOON, "", "warn", "http"),
    ],
)
def test_a_line_is_read_as_it_was_written(line: LogLine) -> None:
    assert parse_line(line_text(line)) == line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"[{stamp(NOON)}] W low on memory", LogLine(NOON, "low on memory", "warn", "m", True)),
        (f"[{stamp(NOON)}] plain words", LogLine(NOON, "plain words", "info", "m", True)),
        ("srv  error: no slot", LogLine(7.0, "srv  error: no slot", "error", "m", True)),
        ("[2026-99-99T00:00:00Z] x", LogLine(7.0, "[2026-99-99T00:00:00Z] x", "info", "m", True)),
    ],
)
def test_lines_of_others(text: str, expected: LogLine) -> None:
    assert parse_line(text, 7.0, "m", engine=True) == expected


async def test_the_logs_of_all_come_in_the_order_of_their_times(tmp_path: Path) -> None:
    runner, engine = tmp_path / "runner.log", tmp_path / "smollm2.log"
    runner.write_text(line_text(LogLine(NOON + 1, "loaded", "info", "load")) + "\n")
    engine.write_text(f"[{stamp(NOON)}] I first\n[{stamp(NOON + 2)}] E third\nits trace\n")
    (lines,) = [batch async for batch in read_logs(tmp_path, follow=False, engines=True)]
    assert [(line.text, line.source, line.engine) for line in lines] == [
        ("first", "smollm2", True),
        ("loaded", "load", False),
        ("third", "smollm2", True),
        ("its trace", "smollm2", True),
    ]
    (lines,) = [batch async for batch in read_logs(tmp_path, follow=False, engines=False)]
    assert [line.text for line in lines] == ["loaded"]


async def test_following_takes_new_lines_new_files_and_files_begun_anew(tmp_path: Path) -> None:
    engine = tmp_path / "m.log"
    engine.write_text("one\nha")
    async with aclosing(read_logs(tmp_path, follow=True, engines=True)) as batches:
        assert [line.text for line in await anext(batches)] == ["one"]
        with engine.open("a") as out:
            out.write("lf\n")
        assert [line.text for line in await anext(batches)] == ["half"]
        (tmp_path / "other.log").write_text("new\n")
        assert [line.text for line in await anext(batches)] == ["new"]
        engine.write_text("anew\n")
        assert [line.text for line in await anext(batches)] == ["anew"]


async def test_without_logs_there_are_no_lines(tmp_path: Path) -> None:
    batches = read_logs(tmp_path / "none", follow=False, engines=True)
    assert [batch async for batch in batches] == [[]]


async def test_a_rotated_log_is_read_on(tmp_path: Path) -> None:
    (tmp_path / "m.log.1").write_text("old\n")
    (tmp_path / "m.log").write_text("new\n")
    (lines,) = [batch async for batch in read_logs(tmp_path, follow=False, engines=True)]
    assert [line.text for line in lines] == ["old", "new"]


@pytest.mark.parametrize("name", ["m.log", "m.log.1"])
async def test_a_long_log_begins_with_a_whole_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "m.log").touch()
    (tmp_path / name).write_text("".join(f"line {number:06}\n" for number in range(100_000)))
    (lines,) = [batch async for batch in read_logs(tmp_path, follow=False, engines=True)]
    assert {len(line.text) for line in lines} == {len("line 000000")}
    assert lines[-1].text == "line 099999"


async def test_the_runners_log_is_written_in_order_and_bounded(tmp_path: Path) -> None:
    log = RunnerLog(tmp_path / "logs")
    for number in range(300):
        log.write(LogLine(NOON, str(number), "info", "load"))
        if number % 100 == 0:
            await asyncio.sleep(0)
    await log.close()
    file = tmp_path / "logs" / "runner.log"
    assert [line.split()[-1] for line in file.read_text().splitlines()] == [
        str(number) for number in range(300)
    ]
    file.write_text("x" * (LOG_LIMIT + 1))
    log.write(LogLine(NOON, "after", "info", "load"))
    await log.close()
    assert file.stat().st_size < 100


async def test_the_runners_log_leaves_out_what_is_below_its_level(tmp_path: Path) -> None:
    log = RunnerLog(tmp_path, "warn")
    for level in LEVELS:
        log.write(LogLine(NOON, level, level, "load"))
    await log.close()
    written = (tmp_path / "runner.log").read_text().splitlines()
    assert [line.split()[-1] for line in written] == ["warn", "error"]


async def test_a_folder_that_cannot_be_written_harms_nobody(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file")
    log = RunnerLog(tmp_path / "logs")
    log.write(LogLine(NOON, "lost", "info", "load"))
    await log.close()
