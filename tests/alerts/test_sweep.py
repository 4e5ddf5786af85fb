"""What no stream tells: figures of portfolios, screens, bars in progress, ends and quiet hours, minute by minute."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from crypto_mcp.models.alerts import EvaluateParams, SweepParams
from crypto_mcp.models.timeframes import Timeframe
from scheduler.alerts.sharing import owner_of
from tests.alerts.made import bar_document
from workers.alert_bars import evaluate_alerts
from workers.alert_firing import Contended
from workers.alerts import sweep_alerts
from workers.job import Job
from workers.services import Services

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Ask = Callable[..., Awaitable[dict[str, Any]]]

KIND, BOOK = "alert_manager", "portfolio_monitor"
MINUTE = timedelta(minutes=1)


def job(services: Services) -> Job:
    async def nothing(_: float, __: str) -> None: ...

    return Job("job", "sweep_alerts", 1, 5, "local", "", services, nothing)


class Minutes:
    """The scheduler's minutes, one at a time, as fast as somebody asks."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.at = datetime.now(UTC).replace(second=0, microsecond=0)

    async def next(self, count: int = 1) -> None:
        for _ in range(count):
            self.at += MINUTE
            while True:
                try:
                    await sweep_alerts(job(self._services), SweepParams(at=self.at))
                except Contended:
                    await asyncio.sleep(0.01)
                else:
                    break


@pytest.fixture
def minutes(services: Services) -> Minutes:
    return Minutes(services)


async def _history(ask: Ask, alert_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await ask(KIND, action="history", alert_id=alert_id)).get("history", [])
    return found


async def test_a_figure_fires_when_it_comes_beyond_its_bound_and_again_only_after_it_was_back(
    ask: Ask, minutes: Minutes
) -> None:
    """By as much as `hysteresis_percent` says; a minute that is looked at twice fires once."""
    await ask(BOOK, action="create", portfolio_id="swept")
    made = await ask(
        KIND, action="create", condition="equity > 5k", portfolio_id="swept", repeat=True, hysteresis_percent=10
    )
    alert_id = made["alert"]["alert_id"]
    fired = []
    for change, amount in (
        ("deposit", 6000),
        ("withdraw", 1200),
        ("deposit", 1200),
        ("withdraw", 2000),
        ("deposit", 2000),
    ):
        await ask(BOOK, action=change, portfolio_id="swept", amount=str(amount))
        await minutes.next()
        minutes.at -= MINUTE
        await minutes.next()
        fired.append(len(await _history(ask, alert_id)))
    assert fired == [1, 1, 1, 1, 2]
    await ask(KIND, action="delete", alert_id=alert_id)


async def test_a_screen_tells_symbols_that_were_not_there_before(
    ask: Ask, services: Services, minutes: Minutes
) -> None:
    """When a bar of it closed, and each once; what it screens for is said."""
    scan = {"scan_type": "custom", "condition": "close > 0", "timeframes": ["15m"],
            "universe": {"only": ["BTCUSDT", "ETHUSDT"]}}  # fmt: skip
    made = (await ask(KIND, action="create", scan=scan, repeat=True))["alert"]
    assert "close > 0 on 15m" in made["reads"]
    await minutes.next(16)
    assert await _history(ask, made["alert_id"]) == []
    await services.mongo.alerts.change("local", made["alert_id"], {"seen": ["ETHUSDT"]})
    await minutes.next(31)
    assert len(await _history(ask, made["alert_id"])) == 1
    entry = (await services.mongo.alerts.get("local", made["alert_id"]) or {})["seen"]
    assert sorted(entry) == ["BTCUSDT", "ETHUSDT"]
    both = await ask(KIND, action="test", scan=scan | {"scan_type": "breakout"})
    assert "breakout and (close > 0)" in both["note"]


async def test_an_alert_that_has_ended_still_hears_of_what_was_before_its_end(
    ask: Ask, services: Services, minutes: Minutes
) -> None:
    made = await ask(KIND, action="create", condition="BTC > 900k", expires_at=(minutes.at + 2 * MINUTE).isoformat())
    alert_id = made["alert"]["alert_id"]
    await minutes.next(10)
    assert (await services.mongo.alerts.get("local", alert_id) or {})["status"] == "active"
    await minutes.next(10)
    assert (await services.mongo.alerts.get("local", alert_id) or {})["status"] == "expired"


async def test_bars_in_progress_are_judged_minute_by_minute(services: Services) -> None:
    """As brute force judges them: true as the bar stood at this minute, not as it stood at the one before."""
    step, chance = 60_000, random.Random(3)
    candles = (await services.candles.newest("ETHUSDT", Timeframe.M1, 400)).candles
    hour = int(candles.open_time[-1]) // 3_600_000 * 3_600_000 - 2 * 3_600_000
    place = {int(at): i for i, at in enumerate(candles.open_time)}
    begin = hour + 5 * step
    await services.mongo.alerts.insert(
        bar_document(
            "in_progress", "ETHUSDT", Timeframe.H1, "close > open", owner="eve", repeat=True,
            armed_at=datetime.fromtimestamp(begin / 1000, UTC),
        )
        | {"watch": "intrabar"}
    )  # fmt: skip

    def stands(minute: int) -> bool:
        opened = minute // 3_600_000 * 3_600_000
        return bool(candles.close[place[minute]] > candles.open[place[opened]])

    last = int(candles.open_time[-1])
    expected = [m + step for m in range(begin, last + 1, step) if stands(m) and not stands(m - step)]
    at = begin
    while at <= last:
        until = min(at + chance.randrange(0, 9) * step, last)
        params = EvaluateParams(symbol="ETHUSDT", timeframe=Timeframe.M1, first=at, last=until)
        await evaluate_alerts(job(services), params)
        at = until + step
    fired = await services.mongo.alerts.firings("eve", "in_progress", 1000)
    assert sorted(round(each["at"].timestamp() * 1000) for each in fired) == expected
    assert expected


def test_each_symbol_has_one_watcher_and_only_those_of_one_that_is_gone_move() -> None:
    symbols = [f"S{i}USDT" for i in range(500)]
    three = {symbol: owner_of(symbol, ("a", "b", "c")) for symbol in symbols}
    two = {symbol: owner_of(symbol, ("a", "c")) for symbol in symbols}
    assert all(two[symbol] == owner for symbol, owner in three.items() if owner != "b")
    assert all(100 < list(three.values()).count(name) < 240 for name in "abc")
    assert owner_of("S1USDT", ()) == ""
