"""The machine that the tests run on, as the gauges see it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from dmr_tui.system.cgroup import memory_groups
from dmr_tui.system.cpu import CpuMeter, core_count
from dmr_tui.system.gpu import GpuMeter, GpuReading, shown_to_cuda
from dmr_tui.system.memory import MemoryReading, free_disk, read_memory
from dmr_tui.system.sampler import Sampler
from dmr_tui.system.traffic import Traffic, TrafficMeter, network_totals


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
    (tmp_path / "memory.stat").write_text(
        "anon 450000\ninactive_file 100000\nactive_file 40000\nslab_reclaimable 10000\n"
    )
    # What was read often is cache as well: it is given back on demand.
    assert read_memory(tmp_path) == MemoryReading(1_000_000, 450_000)


def test_the_limit_of_a_service_counts_and_those_around_it(tmp_path: Path) -> None:
    membership = tmp_path / "cgroup"
    membership.write_text("0::/user.slice/dmr.service\n")
    service = tmp_path / "user.slice" / "dmr.service"
    service.mkdir(parents=True)
    (service / "memory.max").write_text("3000\n")
    (service / "memory.current").write_text("1000\n")
    (service / "memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    (service.parent / "memory.max").write_text("5000\n")
    (service.parent / "memory.current").write_text("4900\n")
    assert read_memory(tmp_path, membership) == MemoryReading(3000, 100)
    assert memory_groups(tmp_path, membership)[0].kills == 2
    assert memory_groups(tmp_path, tmp_path / "none") == []


def test_the_first_version_of_control_groups(tmp_path: Path) -> None:
    membership = tmp_path / "cgroup"
    # A container's own group is shown to it as the root, under a path that it does not see.
    membership.write_text("5:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n0::/\n")
    group = tmp_path / "memory"
    group.mkdir()
    (group / "memory.limit_in_bytes").write_text("5000\n")
    (group / "memory.usage_in_bytes").write_text("4000\n")
    (group / "memory.stat").write_text("total_inactive_file 500\ntotal_active_file 200\n")
    (group / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n")
    assert read_memory(tmp_path, membership) == MemoryReading(5000, 1700)
    assert [group.kills for group in memory_groups(tmp_path, membership)] == [7]


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

    def nvmlDeviceGetUUID(self, handle: int) -> str:
        self._maybe_fail("uuid")
        return f"GPU-{handle}{handle}-x"

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:
        self._maybe_fail("memory")
        return SimpleNamespace(total=24, used=11 + handle)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:
        self._maybe_fail("load")
        return SimpleNamespace(gpu=61)

    NVML_TEMPERATURE_GPU = 0

    def nvmlDeviceGetTemperature(self, handle: int, sensor: int) -> int:
        assert sensor == self.NVML_TEMPERATURE_GPU
        self._maybe_fail("temperature")
        return 61

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:
        self._maybe_fail("power")
        return 212_500

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: int) -> int:
        self._maybe_fail("power")
        return 450_000

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[Any]:
        self._maybe_fail("owners")
        return [SimpleNamespace(pid=7, usedGpuMemory=5), SimpleNamespace(pid=8, usedGpuMemory=None)]

    def nvmlDeviceGetGraphicsRunningProcesses(self, handle: int) -> list[Any]:
        self._maybe_fail("owners")
        return [SimpleNamespace(pid=7, usedGpuMemory=5), SimpleNamespace(pid=9, usedGpuMemory=1)]


def meter(monkeypatch: pytest.MonkeyPatch, driver: Driver) -> GpuMeter:
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    return GpuMeter()


def test_every_card_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver(cards=2)
    gpus = meter(monkeypatch, driver)
    expected = (
        GpuReading("Card 0", 24, 11, 61.0, uuid="GPU-00-x"),
        GpuReading("Card 1", 24, 12, 61.0, uuid="GPU-11-x"),
    )
    assert gpus.read() == expected
    assert gpus.read() == expected
    assert driver.opened == 1


def test_a_card_without_a_load_counter_still_has_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    (reading,) = meter(monkeypatch, Driver(broken="load")).read()
    assert (reading.memory_used, reading.load) == (11, None)


def test_a_close_look_tells_of_heat_power_and_owners(monkeypatch: pytest.MonkeyPatch) -> None:
    (reading,) = meter(monkeypatch, Driver()).read(closely=True)
    assert (reading.temperature, reading.power, reading.power_limit) == (61.0, 212.5, 450.0)
    # Who computes and draws has its memory once.
    assert reading.owners == {7: 5, 8: 0, 9: 1}


@pytest.mark.parametrize("broken", ["temperature", "power", "owners", "load"])
def test_what_a_card_does_not_tell_is_not_known(
    monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    (reading,) = meter(monkeypatch, Driver(broken=broken)).read(closely=True)
    assert getattr(reading, broken) is None
    assert reading.memory_total == 24


def sysfs(folder: Path, files: Mapping[str, object]) -> Path:
    """A card as Linux shows it."""
    for name, value in files.items():
        file = folder / "card1" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{value}\n")
    return folder


AMD = {
    "device/vendor": "0x1002",
    "device/product_name": "Radeon RX 7900 XTX",
    "device/mem_info_vram_total": 24_000,
    "device/mem_info_vram_used": 11_000,
    "device/gpu_busy_percent": 37,
    "device/hwmon/hwmon3/temp1_input": 54_000,
    "device/hwmon/hwmon3/power1_average": 203_000_000,
    "device/hwmon/hwmon3/power1_cap": 355_000_000,
}
INTEL = {"device/vendor": "0x8086", "lmem_total_bytes": 16_000, "lmem_avail_bytes": 9_000}


def test_cards_of_other_makers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", Driver(broken="init"))
    (tmp_path / "card1-HDMI-A-1").mkdir()
    (amd,) = GpuMeter(sysfs(tmp_path, AMD)).read(closely=True)
    assert amd == GpuReading("Radeon RX 7900 XTX", 24_000, 11_000, 37.0, 54.0, 203.0, 355.0)
    (brief,) = GpuMeter(tmp_path).read()
    assert brief == GpuReading("Radeon RX 7900 XTX", 24_000, 11_000, 37.0)
    (intel,) = GpuMeter(sysfs(tmp_path / "i", INTEL)).read(closely=True)
    assert intel == GpuReading("Intel GPU", 16_000, 7_000, None)


def test_a_card_without_memory_of_its_own_and_another_makers_are_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", Driver())
    shared = {"device/vendor": "0x8086"}
    assert len(GpuMeter(sysfs(tmp_path / "a", shared)).read()) == 1
    nvidia = {"device/vendor": "0x10de", "device/mem_info_vram_total": 5}
    assert len(GpuMeter(sysfs(tmp_path / "b", nvidia)).read()) == 1
    assert len(GpuMeter(sysfs(tmp_path / "c", AMD)).read()) == 2


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        (None, ["0", "1", "2", "Radeon RX 7900 XTX"]),
        ("", ["Radeon RX 7900 XTX"]),
        ("1", ["Radeon RX 7900 XTX", "1"]),
        ("2, 0", ["Radeon RX 7900 XTX", "2", "0"]),
        ("0,7,1", ["Radeon RX 7900 XTX", "0"]),
        ("-1", ["Radeon RX 7900 XTX"]),
        ("GPU-22,GPU-1", ["Radeon RX 7900 XTX", "2", "1"]),
        ("GPU-", ["Radeon RX 7900 XTX"]),
        ("NoDevFiles", ["Radeon RX 7900 XTX"]),
    ],
)
def test_cuda_may_be_shown_some_cards_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wanted: str | None, shown: list[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", Driver(cards=3))
    gpus = GpuMeter(sysfs(tmp_path, AMD)).read()
    assert [gpu.name.removeprefix("Card ") for gpu in shown_to_cuda(gpus, wanted)] == shown


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
    closely = sampler.read(closely=True)
    assert closely.load is None or closely.load >= 0
    for traffic in (closely.disk, closely.network):
        assert traffic is None or min(traffic.inward, traffic.outward) >= 0


def test_traffic_is_what_has_gone_through_since_the_last_reading() -> None:
    totals: list[tuple[int, int] | None] = [(100, 10), (300, 10), (100, 50), None, (5, 5)]
    seconds = [0.0, 2.0, 4.0, 5.0, 6.0]
    meter = TrafficMeter(lambda: totals.pop(0), lambda: seconds.pop(0))
    assert meter.read() == Traffic(100.0, 0.0)
    # A card was taken out: its count went with it.
    assert meter.read() == Traffic(0.0, 20.0)
    assert meter.read() is None
    assert meter.read() is None


def test_loopback_is_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def card(count: int) -> Any:
        return SimpleNamespace(bytes_recv=count, bytes_sent=2 * count)

    cards = {"lo": card(1000), "eth0": card(10), "wlan0": card(5)}
    monkeypatch.setattr(psutil, "net_io_counters", lambda pernic: cards)
    assert network_totals() == (15, 30)
    monkeypatch.setattr(psutil, "net_io_counters", lambda pernic: {"lo0": card(7)})
    assert network_totals() is None


def test_readings_cost_no_import_before_they_are_wanted() -> None:
    code = "import sys, dmr_tui.system.gpu; print('pynvml' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
