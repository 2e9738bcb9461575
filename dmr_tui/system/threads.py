"""The threads that an event loop gives what would block it."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

_MOST = 64


def make_room() -> None:
    """Let the running loop have many threads; they are made as they are needed.

    Python gives it six on two cores. The search for a name's address holds one for as long as the
    resolver tries, which may be half a minute where there is no network: a few of them would hold
    up files, chats and answers.
    """
    threads = ThreadPoolExecutor(_MOST, thread_name_prefix="dmr")
    asyncio.get_running_loop().set_default_executor(threads)
