"""The servers that are compared: ours, llama-cpp-python's, and llama.cpp's own.

llama-cpp-python's server lives in a virtual environment below `build/`, made on first use with
`python -m pip`, and runs on the very libraries that ours runs on. llama-server is built from the
source that these were built from, with the same options: `make bench-llama-server`, about five
minutes on two cores. Without it the one in the xllamacpp wheel stands in, which brings its own
build of llama.cpp, for AVX2.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

CONTEXT = 16384
SLOTS = 16

_NEEDS = ("fastapi", "uvicorn", "sse-starlette", "starlette-context", "pydantic-settings")
_OPTIONAL = ("xllamacpp",)
WAITING = {"GOMP_SPINCOUNT": "1000"}
"""Our worker's way to wait for other threads, given to all: else a busy machine would favour us."""

_XLLAMACPP = f"""
import sys, time, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, threads, params.port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
params.n_ctx, params.n_parallel, params.kv_unified = {CONTEXT}, {SLOTS}, True
server = xllamacpp.Server(params)
while True:
    time.sleep(60)
"""


@dataclass
class Server:
    """One process, and all that it has started."""

    name: str
    url: str
    model: str
    command: list[str]
    environment: Mapping[str, str] = field(default_factory=lambda: WAITING)
    process: subprocess.Popen[bytes] | None = None

    def start(self, log: Path) -> None:
        """Start and wait until it answers; raises RuntimeError when it does not."""
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                self.command, stdout=out, stderr=out, env={**os.environ, **self.environment}
            )
        limit = time.monotonic() + 120
        while time.monotonic() < limit and self.process.poll() is None:
            try:
                if httpx.get(f"{self.url}/models", trust_env=False).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.2)
        raise RuntimeError(f"{self.name} does not answer; see {log}")

    def cpu_seconds(self) -> float:
        """User and system time of the process and its children so far."""
        assert self.process is not None
        parent = psutil.Process(self.process.pid)
        times = [each.cpu_times() for each in (parent, *parent.children(recursive=True))]
        return sum(each.user + each.system for each in times)

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()  # uvicorn waits for the streams of clients that have left
                self.process.wait()


def prepare_peers(build: Path) -> dict[str, Path]:
    """The interpreters of the peers that can be had, by package."""
    python = build / "peers" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", build / "peers"], check=True)
    site = next((build / "peers").glob("lib/python*/site-packages"))
    # The engine's libraries are the ones of this environment; the peer's own packages come first.
    (site / "engine.pth").write_text(sysconfig.get_path("purelib"))
    found = {}
    for module, needs in (("llama_cpp.server", _NEEDS), ("xllamacpp", _OPTIONAL)):
        if not _imports(python, module):
            subprocess.run([python, "-m", "pip", "install", "--quiet", *needs], check=False)
        if _imports(python, module):
            found[module] = python
        else:
            print(f"without {module}: {python} -m pip install {' '.join(needs)}", file=sys.stderr)
    return found


def ours(model: Path, threads: int, home: Path, **environment: str) -> Server:
    """`dmr serve` with a store of its own that holds the model."""
    port = _free_port()
    dmr = str(Path(sys.executable).with_name("dmr"))
    variables = {
        "HOME": str(home),
        "MODELS_PATH": str(home / "models"),
        "DMR_THREADS": str(threads),
        "DMR_CONTEXT_SIZE": str(CONTEXT),
        "DMR_KEEP_ALIVE": "-1",
        **environment,
    }
    if not (home / "models").exists():
        command = [dmr, "package", "--gguf", str(model), "bench"]
        subprocess.run(command, check=True, env={**os.environ, **variables}, capture_output=True)
    return Server(
        "dmr",
        f"http://127.0.0.1:{port}/v1",
        "bench",
        [dmr, "serve", "--port", str(port)],
        variables,
    )


def llama_cpp_server(python: Path, model: Path, threads: int) -> Server:
    """`python -m llama_cpp.server`: one sequence; told not to cut running streams off."""
    port = _free_port()
    options = {
        "model": model,
        "n_ctx": 8192,
        "n_threads": threads,
        "n_threads_batch": threads,
        "port": port,
        "interrupt_requests": False,
    }
    command = [str(python), "-m", "llama_cpp.server"]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    return Server("llama_cpp.server", f"http://127.0.0.1:{port}/v1", "bench", command)


def llama_server(binary: Path, model: Path, threads: int) -> Server:
    """llama-server of the same build, 16 slots in one KV memory."""
    port = _free_port()
    options = {"-m": model, "-c": CONTEXT, "-np": SLOTS, "-t": threads, "-tb": threads}
    command = [str(binary), "--kv-unified", "--no-ui", "--host", "127.0.0.1", "--port", str(port)]
    for name, value in options.items():
        command += [name, str(value)]
    return Server("llama-server", f"http://127.0.0.1:{port}/v1", "bench", command)


def xllamacpp_server(python: Path, model: Path, threads: int) -> Server:
    """llama-server's code in the xllamacpp wheel, 16 slots in one KV memory."""
    port = _free_port()
    command = [str(python), "-c", _XLLAMACPP, str(model), str(threads), str(port)]
    return Server("xllamacpp", f"http://127.0.0.1:{port}/v1", "bench", command)


def _imports(python: Path, module: str) -> bool:
    entry = f"{module}.app" if module.endswith(".server") else module
    return (
        subprocess.run([str(python), "-c", f"import {entry}"], capture_output=True).returncode == 0
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
