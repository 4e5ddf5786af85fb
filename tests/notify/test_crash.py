"""A worker that is killed between handing a message over and knowing it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from crypto_mcp.catalogue import CATALOGUE
from tests.notify.conftest import Telling, until
from tests.server.running import worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from crypto_mcp.settings import Settings

_QUEUE = {"heartbeat_ttl": 1.5, "heartbeat_every": 0.3, "look_every": 0.2, "restart_grace": 0}
_NOTIFY = {"timeout": 0.5, "gather_for": 0}
_OF_NOTIFY = ("encryption_key", "meta_url", "meta_phone_id", "meta_token", "meta_app_secret")
_LISTS = ["notifications:queue"]
_AT_ONCE = 4


@pytest.fixture
def hasty(stores: Settings) -> Settings:
    """Dead workers are found soon, and requests may not take long."""
    queue = stores.queue.model_copy(update=_QUEUE)
    return stores.model_copy(update={"queue": queue, "notify": stores.notify.model_copy(update=_NOTIFY)})


@contextlib.contextmanager
def doomed(settings: Settings, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`crypto-mcp worker notifications:queue` in a process of its own, killed at the latest when the block ends."""
    told = {
        **{f"REDIS__{name}": url for name, url in settings.redis.model_dump().items() if name.endswith("_url")},
        "MONGO__URL": settings.mongo.url,
        "MONGO__DATABASE": settings.mongo.database,
        **{f"QUEUE__{name}": value for name, value in _QUEUE.items()},
        **{f"NOTIFY__{name}": getattr(settings.notify, name) for name in _OF_NOTIFY},
        "NOTIFY__TIMEOUT": 12,
    }
    env = {**os.environ, **{f"CRYPTO_MCP_{name}".upper(): _plain(value) for name, value in told.items()}}
    with log.open("ab") as file:
        command = [sys.executable, "-m", "crypto_mcp.cli", "worker", *_LISTS]
        process = subprocess.Popen(command, env=env, cwd=log.parent, stdout=file, stderr=file)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _plain(value: Any) -> str:
    return value.get_secret_value() if hasattr(value, "get_secret_value") else str(value)


async def test_a_kill_during_a_send_makes_at_most_one_duplicate_each_and_it_is_counted(
    telling_alone: Telling, hasty: Settings, tmp_path: Path
) -> None:
    """Meta has taken the messages and not answered yet when the worker dies; no webhook tells that it took them."""
    telling = telling_alone
    people = [await telling.invited() for _ in range(_AT_ONCE)]
    sandbox = telling.sandbox
    sandbox.fault("latency", path="/graph/messages", milliseconds=20_000, times=_AT_ONCE)
    with doomed(hasty, tmp_path / "worker.log"):
        for who in people:
            await telling.tell(who)
        await until(lambda: _arrived(telling, people, 1))
    async for lane in telling.services.limits.scan_iter("notify:lane:*"):  # they would end by themselves, 16 s later
        await telling.services.limits.delete(lane)
    sandbox.clock.ahead += 60_000  # however long the kill took, Meta lets each person have another message
    async with worker(hasty, CATALOGUE, _LISTS):
        entries = [(await telling.reached(who, "sent"))[0] for who in people]
    for who, entry in zip(people, entries, strict=True):
        message = await telling.services.mongo.notifications.message(entry["message_id"])
        assert message is not None
        assert (message["sends"], message["possible_duplicates"]) == (2, 1)
        assert len(telling.alerts(who)) == 2
    counted = await telling.services.dispatcher.counts.all()
    assert counted["meta", "possible_duplicate"] == _AT_ONCE
    log = (tmp_path / "worker.log").read_text()
    assert log
    assert all(who.number.lstrip("+") not in log for who in people)


async def _arrived(telling: Telling, people: list[Any], count: int) -> bool:
    found = await asyncio.to_thread(lambda: [len(telling.alerts(who)) for who in people])
    return all(each >= count for each in found)


async def test_what_the_provider_told_before_is_not_sent_again(telling: Telling) -> None:
    """The webhook carries our id: a message that was cut off is known to have gone, and there is no duplicate."""
    who = await telling.person()
    telling.sandbox.fault("latency", path="/graph/messages", milliseconds=3200, times=1)
    await telling.tell(who)
    (entry,) = await telling.reached(who, "delivered")
    message = await telling.services.mongo.notifications.message(entry["message_id"])
    assert message is not None
    assert (message["sends"], message["possible_duplicates"]) == (1, 0)
    assert len(telling.alerts(who)) == 1
