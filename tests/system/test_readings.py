"""The machine that the tests run on, as the gauges see it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from dmr_tui.system.cpu import CpuMeter, core_count
from dmr_tui.system.gpu import GpuMeter, GpuReading
from dmr_tui.system.memory import MemoryReading, free_disk, read_memory
from dmr_tui.system.sampler import Sampler


def test_load_is_a_percentage_and_rises_with_work() -> None:
    meter = CpuMeter()
    sum(range(3_000_000))
    assert 0 < meter.read() <= 100
    assert 1 <= core_count() <= (os.cpu_count() or 1)


def test_memory_is_the_machines(tmp_path: Path) -> None:
    reading = read_memory(tmp_path)
    assert reading.total == psutil.virtual_memory().total
    assert 0 < reading.available < reading.total
    assert reading.used == reading.total - reading.available


def test_a_containers_limit_counts(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("700000\n")
    (tmp_path / "memory.stat").write_text("anon 500000\ninactive_file 100000\n")
    assert read_memory(tmp_path) == MemoryReading(1_000_000, 400_000)


@pytest.mark.parametrize("limit", ["max\n", str(2**60)])
def test_a_limit_above_the_machine_is_none(tmp_path: Path, limit: str) -> None:
    (tmp_path / "memory.max").write_text(limit)
    assert read_memory(tmp_path).total == psutil.virtual_memory().total


def test_a_container_without_statistics_has_its_limit(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("5000\n")
    assert read_memory(tmp_path) == MemoryReading(5000, 5000)


def test_free_disk_of_a_folder_to_come(tmp_path: Path) -> None:
    assert 0 < free_disk(tmp_path / "not" / "yet") <= psutil.disk_usage(str(tmp_path)).total


class Driver:
    """NVML as its Python module has it."""

    class NVMLError(Exception):
        pass

    def __init__(self, *, cards: int = 1, broken: str = "") -> None:
        self.cards, self.broken = cards, broken
        self.opened = 0

    def _maybe_fail(self, name: str) -> None:
        if name == self.broken:
            raise self.NVMLError(name)

    def nvmlInit(self) -> None:
        self.opened += 1
        self._maybe_fail("init")

    def nvmlDeviceGetCount(self) -> int:
        return self.cards

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetName(self, handle: int) -> str:
        return f"Card {handle}"

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:
        self._maybe_fail("memory")
        return SimpleNamespace(total=24, used=11 + handle)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:
        self._maybe_fail("load")
        return SimpleNamespace(gpu=61)


def meter(monkeypatch: pytest.MonkeyPatch, driver: Driver) -> GpuMeter:
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    return GpuMeter()


def test_every_card_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver(cards=2)
    gpus = meter(monkeypatch, driver)
    expected = (GpuReading("Card 0", 24, 11, 61.0), GpuReading("Card 1", 24, 12, 61.0))
    assert gpus.read() == expected
    assert gpus.read() == expected
    assert driver.opened == 1


def test_a_card_without_a_load_counter_still_has_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    (reading,) = meter(monkeypatch, Driver(broken="load")).read()
    assert (reading.memory_used, reading.load) == (11, None)


@pytest.mark.parametrize("broken", ["init", "memory"])
def test_no_driver_is_no_gpu_and_is_asked_once(
    monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    driver = Driver(broken=broken)
    gpus = meter(monkeypatch, driver)
    assert gpus.read() == ()
    driver.broken = ""
    assert gpus.read() == ()
    assert driver.opened == 1


def test_the_real_sampler_reads_this_machine(tmp_path: Path) -> None:
    sampler = Sampler()
    reading, machine = sampler.read(), sampler.machine(tmp_path)
    assert 0 <= reading.cpu <= 100
    assert machine.memory.total == reading.memory.total
    assert machine.cores == core_count()
    assert len(machine.gpus) == len(reading.gpus)


def test_readings_cost_no_import_before_they_are_wanted() -> None:
    code = "import sys, dmr_tui.system.gpu; print('pynvml' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
