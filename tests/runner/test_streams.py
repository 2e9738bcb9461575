from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import aclosing

import pytest

from dmr_tui.errors import RegistryError
from dmr_tui.runner.streams import follow


async def test_reports_come_in_order_and_all_of_them() -> None:
    def job(report: Callable[[int], None], cancelled: threading.Event) -> None:
        for number in range(1000):
            report(number)

    assert [number async for number in follow(job)] == list(range(1000))


async def test_what_was_reported_before_a_failure_is_seen_first() -> None:
    def job(report: Callable[[str], None], cancelled: threading.Event) -> None:
        report("half")
        raise RegistryError("the registry went away")

    async with aclosing(follow(job)) as items:
        assert await anext(items) == "half"
        with pytest.raises(RegistryError, match="went away"):
            await anext(items)


async def test_leaving_cancels_the_job_and_waits_for_its_end() -> None:
    ended = threading.Event()

    def job(report: Callable[[str], None], cancelled: threading.Event) -> None:
        report("going")
        cancelled.wait()
        ended.set()

    async with aclosing(follow(job)) as items:
        assert await anext(items) == "going"
    assert ended.is_set()


async def test_cancelling_the_consumer_cancels_the_job() -> None:
    ended = threading.Event()
    going = asyncio.Event()

    def job(report: Callable[[str], None], cancelled: threading.Event) -> None:
        report("going")
        cancelled.wait()
        ended.set()

    async def consume() -> None:
        async with aclosing(follow(job)) as items:
            async for _ in items:
                going.set()

    task = asyncio.create_task(consume())
    await going.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
