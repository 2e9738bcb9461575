"""What the screens hear of requests and events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import cast

import pytest

from dmr_tui.errors import UnavailableError
from dmr_tui.runner.activity.records import Activity
from dmr_tui.runner.base import Runner
from dmr_tui.screens import feed as feed_module
from dmr_tui.screens.feed import Feed
from tests.tui.stage import StageRunner


def arrive(runner: StageRunner) -> str:
    exchange = runner.journal.prepare(client="curl/8.5", protocol="chat")
    runner.journal.open(exchange)
    runner.journal.close(exchange, 200)
    return exchange.id


async def until(feed: Feed, count: int) -> None:
    async with asyncio.timeout(10):
        while len(feed.requests) != count:
            await asyncio.sleep(0.01)


async def test_nothing_is_heard_before_somebody_listens() -> None:
    runner, feed = StageRunner(), Feed()
    arrive(runner)
    await feed.follow(cast("Runner", runner))
    await asyncio.sleep(0.02)
    assert not feed.requests
    heard: list[Activity] = []
    feed.listen(heard.append)
    feed.listen(heard.append)
    await until(feed, 1)
    arrive(runner)
    runner.journal.tell("load", "m", "loaded")
    await until(feed, 2)
    assert [event.text for event in feed.events] == ["loaded"]
    assert [len(change.requests) for change in heard] == [1, 1]
    runner.journal.clear()
    runner.journal.keeps_bodies = False
    await until(feed, 0)
    assert not feed.bodies
    await feed.close()


async def test_another_runner_replaces_what_was_heard() -> None:
    first, second, feed = StageRunner(), StageRunner(), Feed()
    arrive(first)
    feed.listen(lambda change: None)
    await feed.follow(cast("Runner", first))
    await until(feed, 1)
    arrive(second)
    wanted = arrive(second)
    await feed.follow(cast("Runner", second))
    await until(feed, 2)
    assert list(feed.requests)[-1] == wanted
    await feed.close()


async def test_a_lost_connection_keeps_what_was_heard_and_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed_module, "_RETRY_SECONDS", 0.01)
    losses = [UnavailableError("gone")]

    class Losing(StageRunner):
        async def activity(self) -> AsyncGenerator[Activity, None]:
            async for change in self.journal.watch():
                yield change
                if losses:
                    raise losses.pop()

    runner, feed = Losing(), Feed()
    failures = []
    feed.listen(lambda change: failures.append(feed.failure))
    arrive(runner)
    await feed.follow(cast("Runner", runner))
    await until(feed, 1)
    async with asyncio.timeout(10):
        while len(failures) < 3:
            await asyncio.sleep(0.01)
    assert [bool(each) for each in failures] == [False, True, False]
    assert len(feed.requests) == 1
    await feed.close()
