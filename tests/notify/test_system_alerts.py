"""System alerts, from a figure beyond its threshold to the operator's phone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from crypto_mcp.errors import StoreUnavailable
from crypto_mcp.jobs import envelope, keys
from crypto_mcp.settings import MonitorSettings
from scheduler.monitoring.monitor import Monitor
from tests.notify.conftest import until

if TYPE_CHECKING:
    from crypto_mcp.settings import Settings
    from tests.notify.conftest import Person, Telling

AT_THE_THRESHOLD = {
    "cpu_percent": 80.0, "memory_percent": 85.0, "calls": 1000, "errors": 50, "p95_ms": 1000.0, "refused": 60,
}  # fmt: skip

ON_THE_PHONE = {
    "cpu": ("Processors are busy", "front end web-1: 80.1 %"),
    "memory": ("Memory is short", "front end web-1: 85.1 %"),
    "errors": ("Calls fail", "front end web-1: 5.1 %"),
    "slow": ("Answers are slow", "front end web-1: 1001 ms"),
    "refused": ("Many calls are refused", "front end web-1: 61 a minute"),
    "away": ("A system does not answer", "mongodb"),
    "dead": ("Jobs failed for good", "backtest:queue: 1"),
}
"""By rule: the title of the message and the row that names what it is about."""


@pytest.fixture
async def operator(telling: Telling) -> Person:
    """Somebody who wrote to us today, so that messages come as they are and not as templates."""
    return await telling.person(opened=True)


@pytest.fixture
async def monitor(telling: Telling, stores: Settings, operator: Person) -> Monitor:
    """A monitor that tells at once; what it says of this machine is not what is tested."""
    settings = stores.model_copy(
        update={"monitor": MonitorSettings(operators=[operator.owner], lasting=0, dead_man_hour=-1)}
    )

    async def mongodb() -> None:
        if await telling.services.queue.exists("test:mongodb-is-away"):
            raise StoreUnavailable("MongoDB does not answer")

    return Monitor(settings, telling.services.jobs, telling.services.queue, {"mongodb": mongodb})


async def test_each_threshold_that_is_passed_comes_to_the_operators_phone_and_so_does_its_end(
    telling: Telling, monitor: Monitor, operator: Person
) -> None:
    """At the threshold nothing is told; just above it each is a message of its own, and another when it is over."""
    redis = telling.services.queue
    await _front_end_says(telling, AT_THE_THRESHOLD)
    assert not [news for news in await monitor.turn() if "front end web-1" in news.subjects]

    above = {"cpu_percent": 80.1, "memory_percent": 85.1, "errors": 51, "p95_ms": 1001.0, "refused": 61}
    await _front_end_says(telling, AT_THE_THRESHOLD | above)
    await redis.set("test:mongodb-is-away", 1)
    letter = envelope.dead_entry(
        b"{}", "backtest:queue", StoreUnavailable("gone"), job_id="one", attempts=1, worker="w", at=0.0
    )
    await redis.rpush(keys.dead("backtest:queue"), letter)  # type: ignore[misc]
    assert {news.rule.name for news in await monitor.turn()} >= ON_THE_PHONE.keys() - {"cpu"}
    await _on_the_phone(telling, operator, {(f"*Urgent: {title}*", row) for title, row in ON_THE_PHONE.values()})

    await redis.delete("test:mongodb-is-away")
    await _front_end_says(telling, dict.fromkeys(AT_THE_THRESHOLD, 0))
    await monitor.turn()
    # This machine's own processors may be busy still.
    over = {title for rule, (title, _) in ON_THE_PHONE.items() if rule != "cpu"}
    await _on_the_phone(telling, operator, {(f"*Urgent: Over: {title}*",) for title in over})


async def _front_end_says(telling: Telling, figures: dict[str, Any]) -> None:
    """As a front end's pulse does, every few seconds."""
    await telling.services.queue.set(f"{keys.FRONT_VITALS}web-1", orjson.dumps(figures))


async def _on_the_phone(telling: Telling, who: Person, wanted: set[tuple[str, ...]]) -> None:
    """Waits until for each of these there is a message that has all its words."""

    async def none_is_missing() -> bool:
        texts = [message["text"] for message in telling.alerts(who)]
        missing = {words for words in wanted if not any(all(word in text for word in words) for text in texts)}
        return not missing

    await until(none_is_missing)
