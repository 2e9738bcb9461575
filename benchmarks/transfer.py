"""How fast `dmr pull` and `dmr push` are beside curl, skopeo and oras-py: `make bench-transfer`.

Everything runs on loopback, against Debian's `docker-registry`: once straight, and once through a
proxy that gives each connection 50 MB/s and a round trip of 50 ms. The programs take turns, so that
whatever else the machine does meets all of them; medians are printed, and the ratios that matter.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import httpx

from benchmarks.slow_proxy import SlowProxy

MIB = 1 << 20
RATE, ROUND_TRIP = 50e6, 0.05  # bytes per second of one connection; seconds

_ORAS = """
import sys
import oras.client
client = oras.client.OrasClient(insecure=True)
client.pull(target=sys.argv[1], outdir=sys.argv[2])
"""
_LISTENING = re.compile(r"listening on 127\.0\.0\.1:(\d+)")


@dataclass(frozen=True)
class Measure:
    """One run of one program."""

    seconds: float
    cpu: float
    """Seconds of processor time, of the program and what it started."""
    peak: float
    """MiB in memory at most."""


@dataclass(frozen=True)
class Model:
    """What is moved."""

    size: int
    """Bytes of its one layer."""
    digest: str


Command = Callable[[int, Path], list[str]]
"""Makes a command line of a registry's port and a folder to write to."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mib", type=int, default=1024, help="size of the model")
    parser.add_argument("--part", choices=["all", "near", "far"], default="all")
    options = parser.parse_args()
    missing = [name for name in ("docker-registry", "skopeo", "curl") if not shutil.which(name)]
    if missing:
        sys.exit(f"not installed: {', '.join(missing)} (Debian packages of these names)")
    with tempfile.TemporaryDirectory(prefix="dmr-bench-") as name:
        folder = Path(name)
        with registry(folder) as port:
            model = publish(port, folder, options.mib * MIB)
            commands = programs(model)
            print(f"{options.mib} MiB, {options.rounds} rounds, load {os.getloadavg()[0]:.1f}\n")
            if options.part != "far":
                judge_near(measure(commands, port, folder, options.rounds), model)
            if options.part != "near":
                proxy = SlowProxy(port, rate=RATE, round_trip=ROUND_TRIP)
                some = {name: commands[name] for name in ("dmr pull", "curl", "skopeo")}
                rounds = max(1, options.rounds // 2)
                judge_far(measure(some, proxy.port, folder, rounds), model)
                judge_kills([killed(commands["dmr pull"], proxy, folder, model) for _ in range(3)])
                proxy.close()
            judge_push(push(port, folder))


def programs(model: Model) -> dict[str, Command]:
    """The programs that are compared."""
    return {
        "dmr pull": lambda port, out: [
            *("env", f"MODELS_PATH={out}", f"HOME={out}"),
            *(sys.executable, "-m", "dmr_tui", "pull", f"127.0.0.1:{port}/ai/bench"),
        ],
        "curl": lambda port, out: [
            *("curl", "-sfo", f"{out}/blob"),
            f"http://127.0.0.1:{port}/v2/ai/bench/blobs/{model.digest}",
        ],
        "curl; sha256sum": lambda port, out: [
            *("sh", "-c", 'curl -sfo "$0" "$1" && sha256sum "$0"', f"{out}/blob"),
            f"http://127.0.0.1:{port}/v2/ai/bench/blobs/{model.digest}",
        ],
        "skopeo": lambda port, out: [
            *("skopeo", "copy", "--quiet", "--src-tls-verify=false"),
            *(f"docker://127.0.0.1:{port}/ai/bench:latest", f"dir:{out}/dir"),
        ],
        "oras-py (unverified)": lambda port, out: [
            *(sys.executable, "-c", _ORAS, f"127.0.0.1:{port}/ai/bench:latest", str(out)),
        ],
    }


def measure(
    commands: dict[str, Command], port: int, folder: Path, rounds: int
) -> dict[str, list[Measure]]:
    """Run all programs in turns."""
    found: dict[str, list[Measure]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            with scratch(folder) as out:
                found[name].append(run(command(port, out)))
    return found


def run(command: list[str]) -> Measure:
    """Run a program to its end."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    with process.stderr as stream:
        said = stream.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)}: exit {process.returncode}\n{said.decode()}")
    return Measure(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def killed(command: Command, proxy: SlowProxy, folder: Path, model: Model) -> int:
    """Kill a pull half way and run it again; returns how many bytes came twice."""
    with scratch(folder) as out:
        before = proxy.sent
        process = subprocess.Popen(
            command(proxy.port, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while proxy.sent - before < model.size // 2:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(1)  # until the proxy has noticed
        run(command(proxy.port, out))
        return proxy.sent - before - model.size


def push(port: int, folder: Path) -> Measure:
    """Pull the model, take its blobs from the registry, and push it."""
    with scratch(folder) as out:
        dmr = ["env", f"MODELS_PATH={out}", f"HOME={out}", sys.executable, "-m", "dmr_tui"]
        name = f"127.0.0.1:{port}/ai/bench"
        run([*dmr, "pull", name])
        shutil.rmtree(folder / "storage" / "docker" / "registry" / "v2" / "blobs")
        shutil.rmtree(folder / "storage" / "docker" / "registry" / "v2" / "repositories")
        return run([*dmr, "push", name])


def show(title: str, found: dict[str, list[Measure]], model: Model) -> None:
    """Print the medians."""
    print(f"{title}\n{'':22}{'MB/s':>8}{'min-max':>12}{'CPU s':>8}{'MiB':>6}")
    for name, runs in found.items():
        speeds = [model.size / one.seconds / 1e6 for one in runs]
        span = f"{min(speeds):.0f}-{max(speeds):.0f}"
        cpu, peak = median(one.cpu for one in runs), max(one.peak for one in runs)
        print(f"{name:22}{median(speeds):8.0f}{span:>12}{cpu:8.2f}{peak:6.0f}")
    print()


def judge_near(found: dict[str, list[Measure]], model: Model) -> None:
    """Print what was measured on loopback."""
    show("loopback", found, model)
    ours, theirs = found["dmr pull"], found["skopeo"]
    faster = seconds(theirs) / seconds(ours)
    cheaper = cpu(ours) / cpu(theirs)
    bar("loopback, MB/s against skopeo", f"{faster:.2f}", ">= 1.6", faster >= 1.6)
    bar("CPU seconds against skopeo", f"{cheaper:.2f}", "<= 0.6", cheaper <= 0.6)
    judge_memory("peak MiB of a pull", ours)


def judge_far(found: dict[str, list[Measure]], model: Model) -> None:
    """Print what was measured through the proxy."""
    show("50 MB/s for each connection, 50 ms", found, model)
    wider = seconds(found["curl"]) / seconds(found["dmr pull"])
    bar("throttled, against one connection", f"{wider:.2f}", ">= 5", wider >= 5)
    judge_memory("peak MiB of a throttled pull", found["dmr pull"])


def judge_kills(again: list[int]) -> None:
    """Print how much came twice."""
    worst = max(again)
    bar("MB fetched again after SIGKILL", f"{worst / 1e6:.2f}", "<= 2", worst <= 2e6)


def judge_push(pushed: Measure) -> None:
    """Print what a push took."""
    judge_memory("peak MiB of a push", [pushed])


def judge_memory(text: str, runs: list[Measure]) -> None:
    """Print how much memory was needed at most."""
    peak = max(one.peak for one in runs)
    bar(text, f"{peak:.0f}", "<= 60", peak <= 60)


def bar(text: str, value: str, limit: str, holds: bool) -> None:
    """Print a figure that must hold, beside its bar."""
    print(f"{text:36}{value:>8}  bar {limit:8}{'holds' if holds else 'DOES NOT HOLD'}", flush=True)


def seconds(runs: list[Measure]) -> float:
    """The median."""
    return median(one.seconds for one in runs)


def cpu(runs: list[Measure]) -> float:
    """The median."""
    return median(one.cpu for one in runs)


@contextmanager
def registry(folder: Path) -> Iterator[int]:
    """Run a registry; yields its port."""
    settings = {
        "version": 0.1,
        "log": {"level": "info", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}},
        "http": {"addr": "127.0.0.1:0"},
    }
    config, log = folder / "registry.yml", folder / "registry.log"
    config.write_text(json.dumps(settings))  # JSON is YAML
    with log.open("wb") as output:
        process = subprocess.Popen(["docker-registry", "serve", str(config)], stderr=output)
    try:
        while (found := _LISTENING.search(log.read_text())) is None:
            if process.poll() is not None:
                sys.exit(f"docker-registry did not start:\n{log.read_text()}")
            time.sleep(0.05)
        yield int(found[1])
    finally:
        process.terminate()
        process.wait()


def publish(port: int, folder: Path, size: int) -> Model:
    """Put a model of random bytes into the registry."""
    path, whole = folder / "weights", hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(size // MIB):
            block = os.urandom(MIB)
            whole.update(block)
            file.write(block)
    digest = "sha256:" + whole.hexdigest()
    config = json.dumps(
        {
            "config": {"format": "gguf"},
            "descriptor": {"created": "2025-01-02T03:04:05Z"},
            "rootfs": {"type": "rootfs", "diff_ids": [digest]},
        }
    ).encode()
    known = "sha256:" + hashlib.sha256(config).hexdigest()
    kind = "application/vnd.docker.ai."
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": f"{kind}model.config.v0.1+json",
            "size": len(config),
            "digest": known,
        },
        "layers": [
            {
                "mediaType": f"{kind}gguf.v3",
                "size": size,
                "digest": digest,
                "annotations": {"org.opencontainers.image.title": "weights.gguf"},
            }
        ],
    }
    base = f"http://127.0.0.1:{port}/v2/ai/bench"
    with httpx.Client(timeout=120) as client:
        upload(client, base, config, known)
        with path.open("rb") as file:
            upload(client, base, iter(lambda: file.read(MIB), b""), digest)
        headers = {"Content-Type": str(manifest["mediaType"])}
        body = json.dumps(manifest).encode()
        client.put(f"{base}/manifests/latest", content=body, headers=headers).raise_for_status()
    path.unlink()
    return Model(size, digest)


def upload(client: httpx.Client, base: str, content: bytes | Iterator[bytes], digest: str) -> None:
    """Send a blob."""
    session = client.post(f"{base}/blobs/uploads/").raise_for_status().headers["Location"]
    client.put(f"{session}&digest={digest}", content=content).raise_for_status()


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A folder that is gone afterwards."""
    out = Path(tempfile.mkdtemp(dir=folder))
    try:
        yield out
    finally:
        shutil.rmtree(out)


if __name__ == "__main__":
    main()
