"""Which builds of the engine to try on a machine, best first.

llama.cpp compiled for the very processor it runs on is two to three times as fast as a portable
build. One trap: gcc's code for AMX tiles loses the tile configuration, and such a build dies with
SIGSEGV at its first decode; on processors with AMX, clang builds it right, and gcc must leave AMX
out.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

NO_AMX = "-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"
PREFETCH = "-fprefetch-loop-arrays"
"""Makes passes of few sequences, which wait for the weights to come from memory, up to a fifth
cheaper with gcc. Compilers that do not know it say so and go on."""


@dataclass(frozen=True)
class Machine:
    """What the choice depends on."""

    architecture: str
    """As `platform.machine()` has it: x86_64, arm64, aarch64."""
    processor: str
    """The processor's features in one line; part of a build's identity."""
    gcc: str = ""
    """Path of g++, or empty."""
    clang: str = ""
    """Path of clang++, or empty."""
    cuda: bool = False
    """An NVIDIA driver answers and nvcc is here."""
    compiler_versions: str = ""

    @property
    def has_amx(self) -> bool:
        """Whether the processor has AMX tiles."""
        return "amx_tile" in self.processor.split()

    @classmethod
    def here(cls) -> Machine:
        """Read this machine."""
        gcc, clang = shutil.which("g++") or "", shutil.which("clang++") or ""
        cuda = bool(shutil.which("nvcc")) and _succeeds("nvidia-smi", "-L")
        versions = " ".join(_first_line(path, "--version") for path in (gcc, clang) if path)
        return cls(platform.machine(), _processor(), gcc, clang, cuda, versions)


@dataclass(frozen=True)
class Flavour:
    """One way to build the engine."""

    name: str
    environment: dict[str, str] = field(default_factory=dict)
    key: str = ""
    """Everything that shapes the result, for naming a kept build."""


def choose_flavours(machine: Machine) -> list[Flavour]:
    """The builds to try in order; empty when there is no compiler."""
    if not (machine.gcc or machine.clang):
        return []
    gcc = _compiler(machine.gcc, PREFETCH)
    without_amx = _compiler(machine.gcc, f"{PREFETCH} {NO_AMX}")
    clang = _compiler(machine.clang)
    plans: list[tuple[str, dict[str, str], str]] = []
    if machine.cuda:
        plans.append(("CUDA", gcc or clang, "-DGGML_CUDA=on -DCMAKE_CUDA_ARCHITECTURES=native"))
    if machine.has_amx and machine.clang:
        plans.append(("native, clang", clang, ""))
    if machine.has_amx and machine.gcc:
        plans.append(("native without AMX", without_amx, ""))
    if not machine.has_amx:
        plans.append(("native", gcc or clang, ""))
    plans.append(("portable", gcc or clang, "-DGGML_NATIVE=off"))
    return [_flavour(machine, name, environment, cmake) for name, environment, cmake in plans]


def _flavour(machine: Machine, name: str, environment: dict[str, str], cmake: str) -> Flavour:
    # What the user asks for comes last and wins.
    merged = dict(environment)
    for variable in ("CFLAGS", "CXXFLAGS", "CMAKE_ARGS"):
        ours = cmake if variable == "CMAKE_ARGS" else environment.get(variable, "")
        value = f"{ours} {os.environ.get(variable, '')}".strip()
        if value:
            merged[variable] = value
    shape = (machine.architecture, machine.processor, machine.compiler_versions, repr(merged))
    return Flavour(name, merged, " | ".join(shape))


def _compiler(cxx: str, flags: str = "") -> dict[str, str]:
    """The environment that has a build use a C++ compiler and its C compiler, if there is one."""
    if not cxx:
        return {}
    chosen = {"CC": _c_compiler(cxx), "CXX": cxx}
    return {**chosen, "CFLAGS": flags, "CXXFLAGS": flags} if flags else chosen


def _c_compiler(cxx: str) -> str:
    """The C compiler that belongs to a C++ compiler."""
    folder, name = os.path.split(cxx)
    return os.path.join(folder, name.replace("clang++", "clang").replace("g++", "gcc"))


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return _first_line("sysctl", "-n", "machdep.cpu.brand_string") or platform.processor()
    for line in text.splitlines():
        if line.startswith(("flags", "Features")):
            return line.partition(":")[2].strip()
    return platform.processor()


def _first_line(*command: str) -> str:
    try:
        run = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return ""
    return run.stdout.partition("\n")[0]


def _succeeds(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False
