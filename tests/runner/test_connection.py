"""What a connection to a runner promises of its sockets."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dmr_tui.runner.connection import Connection

REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize("kind", ["unix", "tcp"])
async def test_no_socket_is_used_twice(tmp_path: Path, kind: str) -> None:
    # llama-server closes one after a stream without a word about it.
    requests: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(0)
        while await reader.readline():
            while (await reader.readline()).strip():
                pass
            requests[-1] += 1
            writer.write(REPLY)
        writer.close()

    if kind == "unix":
        server = await asyncio.start_unix_server(serve, tmp_path / "s.sock")
        url = f"unix://{tmp_path / 's.sock'}"
    else:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    connection = Connection(url)
    for _ in range(3):
        assert await connection.ask("GET", "/") == b"{}"
    await connection.close()
    server.close()
    assert requests == [1, 1, 1]
