"""Damaged model files: an error or a working model every time, and the manager goes on.

A hundred of them by default; `pytest tests/engine/test_fuzz.py --fuzz 2000` tries more.
"""

from __future__ import annotations

import asyncio
import random
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from dmr_tui.engine import spawn
from dmr_tui.engine.files import ModelFiles
from dmr_tui.engine.manager import EngineManager
from dmr_tui.errors import DmrError
from dmr_tui.runner.shapes import read_shape
from dmr_tui.settings import Settings
from tests.engine.asking import ANY, ask, chat, complete
from tests.support.gguf_maker import Shape, write_tiny_llama

MANAGERS = 4
"""Managers that work side by side: each loads one model at a time."""

SECONDS = 60
"""How long one file may take; far more than it does."""

Damage = Callable[[bytearray, random.Random], None]

_TENSORS_AT, _KEYS_AT = 8, 16
_EDGES = (0, 1, 2**16, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1)


def truncate(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


def truncate_header(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(2000) :]


def absurd_counts(data: bytearray, chance: random.Random) -> None:
    at = chance.choice((_TENSORS_AT, _KEYS_AT))
    data[at : at + 8] = struct.pack("<Q", chance.choice(_EDGES))


def wrong_number(data: bytearray, chance: random.Random) -> None:
    """A wrong layer count, width, token id… in place of one of the header's 32-bit numbers."""
    keys = (
        *(b"block_count", b"context_length", b"embedding_length", b"feed_forward_length"),
        *(b"head_count", b"head_count_kv", b"dimension_count", b"vocab_size"),
        *(b"bos_token_id", b"eos_token_id", b"padding_token_id", b"file_type"),
    )
    key = chance.choice(keys)
    at = data.find(key)
    if at < 0:
        raise AssertionError(f"the model has no {key!r}")
    # Behind the key: four bytes of type, then the value.
    value = chance.choice((*(edge & 0xFFFFFFFF for edge in _EDGES), chance.randrange(1 << 12)))
    data[at + len(key) + 4 : at + len(key) + 8] = struct.pack("<I", value)


def flip_header(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 8)):
        data[chance.randrange(2000)] ^= 1 << chance.randrange(8)


def flip_anywhere(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 64)):
        data[chance.randrange(len(data))] = chance.randrange(256)


def flip_tensor_list(data: bytearray, chance: random.Random) -> None:
    start = data.find(b"token_embd.weight")
    for _ in range(chance.randint(1, 4)):
        data[start + chance.randrange(1500)] ^= 1 << chance.randrange(8)


DAMAGES: tuple[Damage, ...] = (
    truncate,
    truncate_header,
    absurd_counts,
    wrong_number,
    flip_header,
    flip_anywhere,
    flip_tensor_list,
)


@pytest.mark.timeout(3600)  # each file has a limit of its own, and there may be thousands
async def test_damaged_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    def limit(pid: int) -> None:
        psutil.Process(pid).rlimit(psutil.RLIMIT_DATA, (4 << 30, 4 << 30))

    # A file may talk a worker into taking whatever it may have.
    monkeypatch.setattr(spawn, "_limit_memory", limit)
    shape = Shape(1, 64, 2, 1, 64, 320, 256)
    whole = write_tiny_llama(tmp_path / "whole.gguf", shape=shape).read_bytes()
    numbers = iter(range(pytestconfig.getoption("--fuzz")))
    outcomes: Counter[str] = Counter()

    async def one(manager: EngineManager, number: int, folder: Path) -> str:
        damage = DAMAGES[number % len(DAMAGES)]
        data = bytearray(whole)
        damage(data, random.Random(number))
        file = folder / f"{number}.gguf"
        file.write_bytes(data)
        files = ModelFiles(f"sha256:{number}", f"{damage.__name__}-{number}", file)
        try:
            async with asyncio.timeout(SECONDS):
                await ask(manager, files, complete("Hello", max_tokens=3))
                await ask(manager, files, chat("Hello", max_tokens=3))
            outcome = "works"
        except TimeoutError:
            pytest.fail(f"{damage.__name__} {number} does not come to an end")
        except DmrError as error:
            outcome = type(error).__name__
        await manager.unload()
        file.unlink()
        return outcome

    async def many(name: str) -> None:
        folder = tmp_path / name
        folder.mkdir()
        manager = EngineManager(
            settings=Settings(threads=1, context_size=256),
            logs=folder / "logs",
            read_shape=read_shape,
        )
        try:
            for number in numbers:
                outcomes[await one(manager, number, folder)] += 1
            # The manager is as good as new.
            sound = folder / "sound.gguf"
            sound.write_bytes(whole)
            files = ModelFiles("sha256:sound", "sound", sound)
            assert (await ask(manager, files, complete("Hello", max_tokens=3), ANY)).events
        finally:
            await manager.close()

    await asyncio.gather(*(many(f"manager-{number}") for number in range(MANAGERS)))
    print(dict(outcomes))
    assert outcomes["EngineError"] > 0
    assert outcomes["works"] > 0
