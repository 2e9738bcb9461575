"""The queue of pulls without a screen: turns, halts, and what survives the program."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import cast

import pytest

from dmr_tui.errors import DmrError, RegistryError, StoreError
from dmr_tui.runner.base import Runner
from dmr_tui.runner.unfinished import Unfinished, UnfinishedPulls
from dmr_tui.screens.pull_view import farewell
from dmr_tui.screens.pulls import Pull, Pulls
from dmr_tui.store.transfer.progress import LayerProgress, TransferProgress

LAYER = "sha256:" + "ab" * 32


class Source:
    """A runner that pulls: each model's lines come when the test sends them."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.left: list[str] = []
        self._lines: dict[str, asyncio.Queue[TransferProgress | Exception]] = defaultdict(
            asyncio.Queue
        )

    def send(self, name: str, current: int, total: int = 100, layer: str = LAYER) -> None:
        part = LayerProgress(layer, total, current)
        self._lines[name].put_nowait(TransferProgress("progress", "", total, part))

    def end(self, name: str, error: Exception | None = None) -> None:
        self._lines[name].put_nowait(error or TransferProgress("success", "pulled"))

    async def pull(self, name: str, *, token: str = "") -> AsyncGenerator[TransferProgress, None]:
        self.asked.append(name)
        try:
            while True:
                line = await self._lines[name].get()
                if isinstance(line, Exception):
                    raise line
                yield line
                if line.type == "success":
                    return
        finally:
            self.left.append(name)


class Bench:
    """A queue with everything that it is given."""

    def __init__(self, at_once: int = 2) -> None:
        self.source = Source()
        self.seconds = 0.0
        self.ended: list[tuple[str, str]] = []
        self.troubles: list[DmrError] = []
        self.pulls = Pulls(
            lambda: None,
            clock=lambda: self.seconds,
            now=lambda: 1000.0 + self.seconds,
            at_once=at_once,
            ended=self._ended,
            troubled=self.troubles.append,
        )

    async def _ended(self, pull: Pull) -> None:
        self.ended.append((pull.name, pull.state))

    @property
    def runner(self) -> Runner:
        return cast("Runner", self.source)

    def start(self, *names: str) -> list[Pull]:
        return [self.pulls.start(self.runner, name) for name in names]

    def states(self) -> dict[str, str]:
        return {pull.name: pull.state for pull in self.pulls.all}


async def until(test: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not test():
            await asyncio.sleep(0)


async def test_two_run_and_the_third_waits_for_its_turn() -> None:
    bench = Bench()
    bench.start("a", "b", "c")
    assert bench.states() == {"a": "running", "b": "running", "c": "queued"}
    bench.source.end("a")
    await until(lambda: bench.states() == {"a": "done", "b": "running", "c": "running"})
    await until(lambda: bench.ended == [("a", "done")])
    assert bench.pulls.all[0].ended == 1000.0
    assert [pull.name for pull in bench.pulls.finished] == ["a"]
    await bench.pulls.close()
    assert sorted(bench.source.left) == ["a", "b", "c"]


async def test_a_halted_one_gives_way_and_goes_on_when_it_is_let() -> None:
    bench = Bench(at_once=1)
    first, second = bench.start("a", "b")
    bench.source.send("a", 40)
    await until(lambda: first.done == 40)
    bench.pulls.pause(first)
    await until(lambda: bench.states() == {"a": "paused", "b": "running"})
    assert bench.pulls.find("a") is first
    assert first.fraction == 0.4
    bench.pulls.resume(first)
    assert first.state == "queued"
    bench.source.end("b")
    await until(lambda: bench.source.asked == ["a", "b", "a"])
    bench.source.end("a")
    await bench.pulls.wait(first)
    assert (first.state, second.state) == ("done", "done")
    await bench.pulls.close()


async def test_a_pull_that_is_stopped_before_its_first_step_is_stopped() -> None:
    bench = Bench()
    (pull,) = bench.start("a")
    bench.pulls.cancel(pull)
    await bench.pulls.wait(pull)
    assert bench.ended == [("a", "cancelled")]
    (waiting,) = bench.start("a")
    bench.pulls.pause(waiting)
    await until(lambda: waiting.state == "paused")
    bench.pulls.cancel(waiting)
    await bench.pulls.wait(waiting)
    assert bench.pulls.unfinished == []
    await bench.pulls.close()


async def test_the_order_can_be_changed_and_decides_who_is_next() -> None:
    bench = Bench(at_once=1)
    first, _, third = bench.start("a", "b", "c")
    bench.pulls.move(third, -1)
    assert [pull.name for pull in bench.pulls.unfinished] == ["a", "c", "b"]
    bench.pulls.move(first, -1)
    bench.pulls.move(bench.pulls.all[-1], 1)
    assert [pull.name for pull in bench.pulls.unfinished] == ["a", "c", "b"]
    bench.source.end("a")
    await until(lambda: third.state == "running")
    await bench.pulls.close()


async def test_a_second_wish_for_a_model_is_the_same_pull() -> None:
    bench = Bench()
    (pull,) = bench.start("a")
    assert bench.start("a") == [pull]
    bench.pulls.pause(pull)
    await until(lambda: pull.state == "paused")
    assert bench.start("a") == [pull]
    assert pull.state == "running"
    bench.source.end("a", RegistryError("no", "yes"))
    await bench.pulls.wait(pull)
    assert isinstance(pull.failure, RegistryError)
    (again,) = bench.start("a")
    assert again is not pull
    assert bench.pulls.all == [again]
    await bench.pulls.close()


async def test_what_nobody_foresaw_fails_one_pull_only() -> None:
    bench = Bench()
    first, second = bench.start("a", "b")
    bench.source.end("a", RuntimeError("surprise"))
    await bench.pulls.wait(first)
    assert first.failure is not None
    assert first.failure.message == "RuntimeError: surprise"
    assert second.state == "running"
    bench.pulls.forget(first)
    assert bench.states() == {"b": "running"}
    bench.pulls.forget(second)
    assert bench.states() == {"b": "running"}
    await bench.pulls.close()


async def test_speed_and_time_left_are_of_the_whole_model() -> None:
    bench = Bench()
    (pull,) = bench.start("a")
    for second, current in enumerate((100, 200, 300, 400)):
        bench.seconds = float(second)
        bench.source.send("a", current, 1000)
        await until(lambda: pull.done == current)  # noqa: B023  # it is waited for at once
    assert pull.rate == 100.0
    assert pull.seconds_left == 6.0
    assert list(pull.speeds) == [100.0, 100.0, 100.0]
    bench.pulls.pause(pull)
    await until(lambda: pull.state == "paused")
    assert pull.rate == 0.0
    await bench.pulls.close()


async def test_the_queue_survives_the_program(tmp_path: Path) -> None:
    file = tmp_path / "state" / "pulls.json"
    bench = Bench(at_once=1)
    await bench.pulls.restore(bench.runner, UnfinishedPulls(file))
    halted, running, _ = bench.start("a", "b", "c")
    bench.source.send("a", 40)
    await until(lambda: halted.done == 40)
    bench.pulls.pause(halted)
    bench.source.send("b", 7)
    await until(lambda: running.done == 7)
    await bench.pulls.close()
    assert json.loads(file.read_text())[0]["layers"] == {LAYER: [100, 40]}

    after = Bench(at_once=1)
    await after.pulls.restore(after.runner, UnfinishedPulls(file))
    assert after.states() == {"a": "paused", "b": "running", "c": "queued"}
    assert [pull.done for pull in after.pulls.all] == [40, 7, 0]
    for pull in after.pulls.all:
        after.pulls.cancel(pull)
        await after.pulls.wait(pull)
    await after.pulls.close()
    assert UnfinishedPulls(file).read() == []


async def test_what_was_written_before_a_kill_is_enough(tmp_path: Path) -> None:
    file = tmp_path / "pulls.json"
    bench = Bench()
    await bench.pulls.restore(bench.runner, UnfinishedPulls(file))
    bench.pulls.start(bench.runner, "hf.co/org/repo", "hf.co/Org/Repo")
    await until(lambda: UnfinishedPulls(file).read())
    # No close: as if the program had been killed.
    assert UnfinishedPulls(file).read() == [Unfinished("hf.co/org/repo", "hf.co/Org/Repo")]
    await bench.pulls.close()


async def test_a_second_program_leaves_the_list_to_the_first(tmp_path: Path) -> None:
    file = tmp_path / "pulls.json"
    code = (
        "import sys; from pathlib import Path;"
        "from dmr_tui.runner.unfinished import Unfinished, UnfinishedPulls;"
        "pulls = UnfinishedPulls(Path(sys.argv[1])); assert pulls.own();"
        "pulls.write([Unfinished('theirs')]); print('mine', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "mine\n"
        bench = Bench()
        await bench.pulls.restore(bench.runner, UnfinishedPulls(file))
        bench.start("a")
        await bench.pulls.close()
        assert bench.states() == {"a": "queued"}
        assert [pull.name for pull in UnfinishedPulls(file).read()] == ["theirs"]
        other.kill()
    after = Bench()
    await after.pulls.restore(after.runner, UnfinishedPulls(file))
    assert after.states() == {"theirs": "running"}
    await after.pulls.close()


@pytest.mark.parametrize("data", [b"{", b'[{"name": 3}]', b"\xff\xfe"])
async def test_a_damaged_list_is_told_and_begun_anew(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "pulls.json"
    file.write_bytes(data)
    bench = Bench()
    await bench.pulls.restore(bench.runner, UnfinishedPulls(file))
    assert [type(trouble) for trouble in bench.troubles] == [StoreError]
    assert bench.pulls.all == []
    bench.start("a")
    await bench.pulls.close()
    assert [pull.name for pull in UnfinishedPulls(file).read()] == ["a"]


async def test_a_list_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where a folder was due")
    bench = Bench()
    await bench.pulls.restore(bench.runner, UnfinishedPulls(tmp_path / "state" / "pulls.json"))
    assert "cannot lock" in bench.troubles[0].message
    bench.start("a")
    assert bench.states() == {"a": "running"}
    await bench.pulls.close()


def test_the_farewell_names_what_is_kept() -> None:
    one = Pull("phi4", layers={LAYER: (10**9, 10**9)}, state="paused")
    assert farewell([]) == ""
    assert farewell([one]) == (
        "phi4 (1 GB kept) is not here yet: `dmr` goes on with it, or `dmr pull phi4`."
    )
    assert farewell([one, Pull("qwen3")]) == (
        "phi4 (1 GB kept), qwen3 (nothing fetched yet) are not here yet: "
        "`dmr` goes on with them, or `dmr pull phi4`."
    )
