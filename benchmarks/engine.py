"""How fast the engine answers beside other servers on the same model: `make bench`.

A model of SmolLM2-135M's shape with random Q8_0 weights is served by `dmr serve`, by `python -m
llama_cpp.server` on the same libraries, and by llama-server of the same build. They take turns in
every round, so that whatever else the machine does meets all of them. Printed are medians over the
rounds and the ratios that matter; the raw figures go to a JSON file. Beside busy processes, where
now and then a stream hardly moves, it is tokens by the time that all rounds took together.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import harmonic_mean, median
from typing import Any

from benchmarks.llama_server import BINARY
from benchmarks.load import Client
from benchmarks.peers import (
    WAITING,
    Server,
    llama_cpp_server,
    llama_server,
    ours,
    prepare_peers,
    xllamacpp_server,
)

_BUILD = Path("build")
_STREAMS = (1, 4, 8, 16)
_PARTS = ("bursts", "chats", "gaps", "contention")
_BURN = "while True: pass"
_BESIDE = "beside busy processes"
_CONTENDED_TOKENS = 16
"""Spinning threads may take seconds for each, beside others."""


class Figures(defaultdict[str, list[float]]):
    """What was measured in each round, by name; told as it comes."""

    def __init__(self) -> None:
        super().__init__(list)

    def note(self, name: str, value: float) -> None:
        """Add one figure."""
        print(f"  {name}: {value:.4g}", file=sys.stderr)
        self[name].append(value)


def main() -> None:
    """Measure as the command line asks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", nargs="+", choices=_PARTS, default=_PARTS)
    parser.add_argument("--alone", action="store_true", help="leave the other servers out")
    parser.add_argument("--json", type=Path, default=_BUILD / "bench-engine.json")
    asked = parser.parse_args()
    figures = measure(asked.threads, asked.rounds, asked.parts, alone=asked.alone)
    medians = {name: _typical(name, values) for name, values in figures.items()}
    print(report(medians))
    facts = {"machine": platform.processor(), "cpus": os.cpu_count(), "threads": asked.threads}
    asked.json.write_text(json.dumps({**facts, "medians": medians, "rounds": figures}, indent=1))


def _typical(name: str, values: list[float]) -> float:
    """The median; of speeds that collapse now and then, the speed of all rounds together."""
    return harmonic_mean(values) if _BESIDE in name else median(values)


def measure(threads: int, rounds: int, parts: Sequence[str], *, alone: bool) -> Figures:
    """All figures of all rounds, by name."""
    model = _model()
    folder = _BUILD / "bench"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    servers = [ours(model, threads, folder.absolute() / "home")]
    if not alone:
        servers += _peers(model, threads)
    figures = Figures()
    with _running(servers, folder):
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
            if "bursts" in parts:
                _bare(model, threads, figures)
                for streams in _STREAMS:
                    for server in servers:
                        asyncio.run(_burst(server, streams, figures))
                for server in servers:
                    asyncio.run(_newcomers(server, figures))
            if "chats" in parts:
                asyncio.run(_chats(servers[0], figures))
            if "gaps" in parts:
                asyncio.run(_gaps(servers[0], figures))
    if "contention" in parts:
        for _ in range(rounds):
            _contention(model, threads, folder, figures)
    return figures


def _peers(model: Path, threads: int) -> list[Server]:
    found = prepare_peers(_BUILD)
    servers = []
    if "llama_cpp.server" in found:
        servers.append(llama_cpp_server(found["llama_cpp.server"], model, threads))
    if BINARY.exists():
        servers.append(llama_server(BINARY, model, threads))
    elif "xllamacpp" in found:
        servers.append(xllamacpp_server(found["xllamacpp"], model, threads))
    return servers


async def _burst(server: Server, streams: int, figures: Figures) -> None:
    client, cpu = Client(server.url, server.model), server.cpu_seconds()
    burst = await client.burst(streams, 2 if streams < 4 else 1)
    cpu = server.cpu_seconds() - cpu
    name = f"{server.name} {streams}"
    figures.note(f"{name} tok/s", burst.tokens_per_second)
    figures.note(f"{name} decoding tok/s", burst.decoding)
    figures.note(f"{name} first p50 ms", burst.first_p50 * 1e3)
    figures.note(f"{name} first p95 ms", burst.first_p95 * 1e3)
    figures.note(f"{name} cpu ms/tok", cpu / burst.tokens * 1e3)


async def _newcomers(server: Server, figures: Figures) -> None:
    """Many clients at once below a system prompt that no server has seen."""
    streams = _STREAMS[-1]
    burst = await Client(server.url, server.model).burst(streams, known=False)
    figures.note(f"{server.name} {streams} new first p50 ms", burst.first_p50 * 1e3)


async def _chats(server: Server, figures: Figures) -> None:
    client = Client(server.url, server.model)
    known, unknown = await client.two_chats()
    figures.note(f"{server.name} 5th turn ms", known * 1e3)
    figures.note(f"{server.name} 5th turn without reuse ms", unknown * 1e3)


async def _gaps(server: Server, figures: Figures) -> None:
    client = Client(server.url, server.model)
    alone, meanwhile, reading = await client.gaps()
    figures.note("dmr gap p95 alone ms", alone * 1e3)
    figures.note("dmr gap p95 beside a long prompt ms", meanwhile * 1e3)
    figures.note("dmr long prompt beside answers s", reading)


def _bare(model: Path, threads: int, figures: Figures) -> None:
    decode, steps = (_alone(kind, model, threads, **WAITING) for kind in ("decode", "steps"))
    figures.note("bare 1 tok/s", decode["tokens_per_second"])
    figures.note("bare 1 cpu ms/tok", decode["cpu_ms"])
    for count, step in steps.items():
        figures.note(f"python share of a step {count}", step["share"])
        figures.note(f"python us per step {count}", step["python_us"])


def _alone(kind: str, model: Path, threads: int, *more: object, **waiting: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.bare", kind, str(model), str(threads)]
    command += [str(each) for each in more]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("GOMP_")}
    done = subprocess.run(command, check=True, capture_output=True, env={**plain, **waiting})
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _contention(model: Path, threads: int, folder: Path, figures: Figures) -> None:
    """One stream beside a busy process for each core, and OpenMP as it is if nobody tells it."""
    server = ours(model, threads, folder.absolute() / "home")
    with _running([server], folder):
        asyncio.run(_burst(server, 1, Figures()))
        with _burners():
            seen = Figures()
            asyncio.run(_burst(server, 1, seen))
            spinning = _alone("decode", model, threads, _CONTENDED_TOKENS)
    figures.note(f"dmr 1 {_BESIDE} tok/s", seen["dmr 1 decoding tok/s"][0])
    figures.note(f"bare 1 {_BESIDE} tok/s", spinning["tokens_per_second"])


@contextmanager
def _burners() -> Iterator[None]:
    command = [sys.executable, "-c", _BURN]
    burners = [subprocess.Popen(command) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


@contextmanager
def _running(servers: list[Server], folder: Path) -> Iterator[None]:
    try:
        for server in servers:
            server.start(folder / f"{server.name}.log")
            asyncio.run(_burst(server, 1, Figures()))
        yield
    finally:
        for server in servers:
            server.stop()


def _model() -> Path:
    file = _BUILD / "m135.gguf"
    if not file.exists():
        command = [sys.executable, "-m", "tests.support.gguf_maker", str(file), "--shape", "m135"]
        subprocess.run(command, check=True)
    return file


def report(medians: dict[str, float]) -> str:
    """Tables of the figures and of their ratios."""
    lines = [f"{name:<52} {value:>10.3f}" for name, value in medians.items()]
    lines += ["", f"{'ratio':<72} {'is':>7}  {'bar':>7}"]
    for name, above, below, bar in _RATIOS:
        if above in medians and (below is None or below in medians):
            ratio = medians[above] / (1.0 if below is None else medians[below])
            lines.append(f"{name:<72} {ratio:>7.3f}  {bar:>7}")
    return "\n".join(lines)


_RATIOS: list[tuple[str, str, str | None, str]] = [
    (
        "1 stream, tok/s after the first, to bare llama_decode",
        "dmr 1 decoding tok/s",
        "bare 1 tok/s",
        ">= 0.95",
    ),
    *(
        (
            f"{count} streams, tok/s, to llama_cpp.server",
            f"dmr {count} tok/s",
            f"llama_cpp.server {count} tok/s",
            ">= 3.0",
        )
        for count in (8, 16)
    ),
    *(
        (
            f"{count} streams, CPU per token, to {peer}",
            f"dmr {count} cpu ms/tok",
            f"{peer.split()[0]} {count} cpu ms/tok",
            "<= 1.05",
        )
        for peer in ("llama-server", "xllamacpp (AVX2)")
        for count in (1, 4, 16)
    ),
    *(
        (
            f"16 clients, {prompt} system prompt, first text p50, to {peer}",
            f"dmr 16 {kind}first p50 ms",
            f"{peer.split()[0]} 16 {kind}first p50 ms",
            "<= 0.4",
        )
        for kind, prompt in (("new ", "new"), ("", "known"))
        for peer in ("llama-server", "xllamacpp (AVX2)")
    ),
    (
        "5th turn, first text, to no reuse",
        "dmr 5th turn ms",
        "dmr 5th turn without reuse ms",
        "<= 0.35",
    ),
    (
        "gap p95 beside a 4,000-token prompt, to alone",
        "dmr gap p95 beside a long prompt ms",
        "dmr gap p95 alone ms",
        "<= 2.5",
    ),
    (
        f"1 stream {_BESIDE}, to OpenMP's default spinning",
        f"dmr 1 {_BESIDE} tok/s",
        f"bare 1 {_BESIDE} tok/s",
        ">= 5.0",
    ),
    ("Python's share of a step, 1 sequence", "python share of a step 1", None, "<= 0.01"),
    (
        "Python's share of a step, 16 sequences",
        "python share of a step 16",
        None,
        "<= 0.03",
    ),
]


if __name__ == "__main__":
    main()
