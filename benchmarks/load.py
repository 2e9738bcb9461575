"""What clients do to an OpenAI-compatible chat endpoint, and what they see of it.

Every connection is used once: llama.cpp's server closes those that it has streamed on without
saying so. Sampling is each server's own default. The client shares the machine with the servers, so
it does little: a socket, the chunks of HTTP/1.1, and one JSON object for each event.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pydoc_data.topics import topics
from typing import Any
from urllib.parse import urlsplit

from msgspec import json

SYSTEM = "You are a careful assistant for people who write programs. Answer in plain words. " * 2
"""94 tokens of the benchmark's model."""

ANSWER_TOKENS = 64
_SYSTEM_WORDS = 24
"""As many tokens as `SYSTEM`."""
_PROMPT_WORDS = 13
"""About 50 tokens of the benchmark's model."""
_TURN_WORDS = 77
_LONG_WORDS = 1120
_GAPS = 40
_WORDS = sorted({word for text in topics.values() for word in re.findall(r"[a-z]{3,9}", text)})
_fresh = itertools.count(1)

Messages = list[dict[str, str]]


@dataclass
class Reply:
    """One streamed answer."""

    first: float = 0.0
    """Seconds to the first text."""
    times: list[float] = field(default_factory=list)
    """When each piece of text came."""
    tokens: int = 0
    cached: int = 0


@dataclass(frozen=True)
class Burst:
    """Several clients at once."""

    tokens_per_second: float
    decoding: float
    """Tokens per second of one client after its first one, in the middle."""
    first_p50: float
    first_p95: float
    tokens: int


def words(count: int, seed: int | None = None) -> str:
    """Noise that no cache has seen, or the same noise for the same seed."""
    source = random.Random(next(_fresh) * 7919 if seed is None else -seed)
    return " ".join(source.choice(_WORDS) for _ in range(count))


def question(system: str = SYSTEM) -> Messages:
    """A new user's turn below a system prompt."""
    return [
        {"role": "system", "content": system},
        {"role": "user", "content": words(_PROMPT_WORDS)},
    ]


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which such a share of all lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


class Client:
    """Talks to one server."""

    def __init__(self, url: str, model: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname, parts.port
        self._path = f"{parts.path}/chat/completions"
        self._model = model

    async def ask(
        self, messages: Messages, tokens: int = ANSWER_TOKENS, reply: Reply | None = None
    ) -> Reply:
        """One streamed answer; `reply` is filled while it comes."""
        body = {
            "model": self._model,
            "messages": messages,
            "max_tokens": tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        reply, begun = reply or Reply(), time.perf_counter()
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            writer.write(self._request(json.encode(body)))
            status = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1]
            if status != b"200":
                raise RuntimeError(f"{status!r}: {(await reader.read(300))!r}")
            while size := int(await reader.readuntil(b"\r\n"), 16):
                chunk = (await reader.readexactly(size + 2))[:-2]
                for line in chunk.split(b"\n"):
                    if line.startswith(b"data: {"):
                        _take(reply, json.decode(line[6:]), time.perf_counter())
        finally:
            writer.close()
        reply.first = (reply.times[0] if reply.times else time.perf_counter()) - begun
        reply.tokens = reply.tokens or tokens
        return reply

    def _request(self, body: bytes) -> bytes:
        return (
            f"POST {self._path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n"
        ).encode() + body

    async def burst(self, clients: int, each: int = 1, *, known: bool = True) -> Burst:
        """So many clients that ask one question after the other, under one system prompt.

        Args:
            clients: how many at a time.
            each: questions of each.
            known: the prompt of all bursts, which a server may still have of the last one; else one
                that is new.
        """
        system = SYSTEM if known else words(_SYSTEM_WORDS)

        async def one() -> list[Reply]:
            return [await self.ask(question(system)) for _ in range(each)]

        begun = time.perf_counter()
        many = await asyncio.gather(*(one() for _ in range(clients)))
        replies = [reply for few in many for reply in few]
        seconds = time.perf_counter() - begun
        firsts = [reply.first for reply in replies]
        tokens = sum(reply.tokens for reply in replies)
        decoding = [
            (reply.tokens - 1) / (reply.times[-1] - reply.times[0])
            for reply in replies
            if len(reply.times) > 1
        ]
        return Burst(
            tokens / seconds,
            percentile(decoding, 0.5),
            percentile(firsts, 0.5),
            percentile(firsts, 0.95),
            tokens,
        )

    async def two_chats(self, turns: int = 5) -> tuple[float, float]:
        """Two chats of about 1,800 tokens that take turns.

        Returns:
            Seconds to the first text of the last turn, and of the same turn when nothing is known.
        """
        chats: list[Messages] = [
            [{"role": "system", "content": f"{words(1)} {SYSTEM}"}] for _ in range(2)
        ]
        last = 0.0
        for _ in range(turns):
            for chat in chats:
                chat.append({"role": "user", "content": words(_TURN_WORDS)})
                last = (await self.ask(chat, 4)).first
                # Canned, so that all servers see the same prompts.
                chat.append({"role": "assistant", "content": words(_TURN_WORDS // 4)})
        chat = chats[1][:-1]
        chat[0] = {"role": "system", "content": f"{words(2)} {SYSTEM}"}
        return last, (await self.ask(chat, 4)).first

    async def gaps(self, streams: int = 4) -> tuple[float, float, float]:
        """Streams that run while somebody else's prompt of 4,000 tokens is read.

        Returns:
            The 95th percentile of the seconds between two pieces of text, alone and meanwhile, and
            how many seconds the reading took.
        """
        replies = [Reply() for _ in range(streams)]
        tasks = [asyncio.create_task(self.ask(question(), 2000, reply)) for reply in replies]
        while not all(len(reply.times) > _GAPS for reply in replies):
            await asyncio.sleep(0.05)
        begun = time.perf_counter()
        await self.ask([{"role": "user", "content": words(_LONG_WORDS)}], 1)
        ended = time.perf_counter()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        alone = [gap for reply in replies for gap in _gaps(reply.times, 0, begun)]
        meanwhile = [gap for reply in replies for gap in _gaps(reply.times, begun, ended)]
        return percentile(alone[streams:], 0.95), percentile(meanwhile, 0.95), ended - begun


def _gaps(times: Sequence[float], begun: float, ended: float) -> list[float]:
    """Times between pieces that came within a span."""
    inside = [moment for moment in times if begun <= moment <= ended]
    return [later - earlier for earlier, later in itertools.pairwise(inside)]


def _take(reply: Reply, event: dict[str, Any], now: float) -> None:
    if event.get("error"):
        raise RuntimeError(str(event["error"]))
    usage = event.get("usage")
    if usage:
        reply.tokens = usage["completion_tokens"]
        reply.cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
    for choice in event.get("choices") or ():
        if choice.get("delta", {}).get("content"):
            reply.times.append(now)
