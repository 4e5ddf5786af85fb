"""A worker that is killed between handing a message over and knowing it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from crypto_mcp.settings import Settings
from tests.notify.conftest import Telling, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_QUEUE = {"HEARTBEAT_TTL": "1.5", "HEARTBEAT_EVERY": "0.3", "LOOK_EVERY": "0.2", "RESTART_GRACE": "0"}
_TIMEOUT = 1.0
_AT_ONCE = 4


class Workers:
    """`crypto-mcp worker notifications:queue`, in processes of their own."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self.log = log
        redis, notify = settings.redis, settings.notify
        told = {
            **{f"REDIS__{name.upper()}": url for name, url in redis.model_dump().items() if name.endswith("_url")},
            "MONGO__URL": settings.mongo.url,
            "MONGO__DATABASE": settings.mongo.database,
            **{f"QUEUE__{name}": value for name, value in _QUEUE.items()},
            **{f"NOTIFY__{name}".upper(): getattr(notify, name) for name in _OF_NOTIFY},
            "NOTIFY__TIMEOUT": _TIMEOUT,
            "NOTIFY__GATHER_FOR": 0,
        }
        self._env = {**os.environ, **{f"CRYPTO_MCP_{name}": _plain(value) for name, value in told.items()}}
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "crypto_mcp.cli", "worker", "notifications:queue"]
        with self.log.open("ab") as log:
            process = subprocess.Popen(command, env=self._env, cwd=self.log.parent, stdout=log, stderr=log)
        self._running.append(process)
        return process

    def end(self) -> None:
        for process in self._running:
            process.kill()
            process.wait()


_OF_NOTIFY = ("encryption_key", "meta_url", "meta_phone_id", "meta_token", "meta_app_secret")


def _plain(value: Any) -> str:
    return value.get_secret_value() if hasattr(value, "get_secret_value") else str(value)


@pytest.fixture
def workers(stores: Settings, tmp_path: Path) -> Iterator[Workers]:
    found = Workers(stores, tmp_path / "workers.log")
    yield found
    found.end()


async def test_a_kill_during_a_send_makes_at_most_one_duplicate_each_and_it_is_counted(
    telling_alone: Telling, workers: Workers
) -> None:
    """Meta has taken the messages and not answered yet when the worker dies; no webhook tells that it took them."""
    telling = telling_alone
    people = [await telling.invited() for _ in range(_AT_ONCE)]
    sandbox = telling.sandbox
    sandbox.fault("latency", path="/graph/messages", milliseconds=20_000, times=_AT_ONCE)
    doomed = workers.start()
    for who in people:
        await telling.tell(who)
    await until(lambda: _arrived(telling, people, 1))
    doomed.kill()
    doomed.wait()
    workers.start()
    for who in people:
        (entry,) = await telling.reached(who, "sent")
        message = await telling.services.mongo.notifications.message(entry["message_id"])
        assert message is not None
        assert (message["sends"], message["possible_duplicates"]) == (2, 1)
        assert len(telling.alerts(who)) == 2
    counted = await telling.services.dispatcher.counts.all()
    assert counted["meta", "possible_duplicate"] == _AT_ONCE
    log = workers.log.read_text()
    assert all(who.number.lstrip("+") not in log for who in people)


async def _arrived(telling: Telling, people: list[Any], count: int) -> bool:
    found = await asyncio.to_thread(lambda: [len(telling.alerts(who)) for who in people])
    return all(each >= count for each in found)


async def test_what_the_provider_told_before_is_not_sent_again(telling: Telling) -> None:
    """The webhook carries our id: a message that was cut off is known to have gone, and there is no duplicate."""
    who = await telling.person()
    telling.sandbox.fault("latency", path="/graph/messages", milliseconds=4000, times=1)
    await telling.tell(who)
    (entry,) = await telling.reached(who, "delivered")
    message = await telling.services.mongo.notifications.message(entry["message_id"])
    assert message is not None
    assert (message["sends"], message["possible_duplicates"]) == (1, 0)
    assert len(telling.alerts(who)) == 1
