"""Conditions on bars: in whatever batches bars are told, what fires is what brute force says."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from crypto_mcp.conditions import evaluate, parse
from crypto_mcp.models.alerts import EvaluateParams
from crypto_mcp.models.timeframes import Timeframe
from tests.alerts.made import bar_document
from workers.alert_bars import evaluate_alerts
from workers.alert_firing import Contended
from workers.job import Job
from workers.services import Services

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from crypto_mcp.models.candles import Candles

    Ask = Callable[..., Awaitable[dict[str, Any]]]

SYMBOL, BARS = "SOLUSDT", 40
FRAME = Timeframe.H1
CONDITIONS = (
    "close > close[1]",
    "rsi(14) > 55",
    "close > ema(20) and volume > sma(volume, 20)",
    'new_fvg() or bos() or in_order_block("demand")',
    'tf("4h", close > ema(10)) and close < open',
    "within((close < open)[1], 3) and (close > ema(5))",
)
REARMS = (None, "rsi(14) < 45", 'tf("4h", close < close[1])', "close < sma(close, 30)")


async def _candles(services: Services, bars: int) -> Candles:
    return (await services.candles.newest(SYMBOL, FRAME, bars)).candles


def _by_hand(candles: Candles, first: int, condition: str, rearm: str | None, *, repeat: bool) -> list[int]:
    """Close times at which an alert fires, bar by bar over the whole past."""
    true = evaluate(parse(condition), candles)
    held = np.ones(len(candles), bool) if rearm is None else evaluate(parse(rearm), candles)
    fired: list[int] = []
    armed = True
    for i in range(1, len(candles)):
        armed = armed or bool(held[i])
        if candles.open_time[i] >= first and true[i] and not true[i - 1] and armed and (repeat or not fired):
            fired.append(int(candles.close_time[i]))
            armed = rearm is None
    return fired


async def _evaluated(services: Services, first: int, last: int) -> None:
    """As the queue does it: again after what may succeed then."""

    async def nothing(_: float, __: str) -> None: ...

    params = EvaluateParams(symbol=SYMBOL, timeframe=FRAME, first=first, last=last)
    while True:
        try:
            await evaluate_alerts(Job("job", "evaluate_alerts", 1, 5, "", "", services, nothing), params)
        except Contended:
            await asyncio.sleep(0.01)
        else:
            return


async def test_bars_in_any_batches_told_again_and_again_fire_what_brute_force_fires(services: Services) -> None:
    """Every condition with every `rearm`, once and repeated. `rearm` is found however long it is since it held."""
    chance = random.Random(7)
    candles = await _candles(services, 700)
    first = int(candles.open_time[-BARS])
    expected: dict[str, list[int]] = {}
    for i, (condition, rearm, repeat) in enumerate(
        (condition, rearm, repeat) for condition in CONDITIONS for rearm in REARMS for repeat in (True, False)
    ):
        name = f"bars_{i}"
        armed_at = datetime.fromtimestamp(first / 1000, UTC)
        await services.mongo.alerts.insert(
            bar_document(name, SYMBOL, FRAME, condition, owner="ann", repeat=repeat, rearm=rearm, armed_at=armed_at)
        )
        expected[name] = _by_hand(candles, first, condition, rearm, repeat=repeat)
    at = first
    newest = int(candles.open_time[-1])
    while at <= newest:
        last = min(at + chance.randrange(0, 4) * FRAME.milliseconds, newest)
        await _evaluated(services, at, last)
        if chance.random() < 0.3:
            await _evaluated(services, at, last)
        at = last + FRAME.milliseconds
    told: dict[str, list[int]] = {name: [] for name in expected}
    for entry in await services.mongo.alerts.firings("ann", None, 10_000):
        told[entry["alert_id"]].append(round(entry["at"].timestamp() * 1000))
    assert {name: sorted(times) for name, times in told.items()} == expected
    assert sum(len(times) for times in expected.values()) > 60


async def test_what_an_alert_would_not_heed_is_refused(ask: Ask) -> None:
    for condition, option, said in (
        ("BTC > 450k", {"rearm": "rsi > 45"}, "hysteresis_percent"),
        ("btc funding > 1%", {"rearm": "rsi > 45"}, "bars"),
        ("btc rsi > 70", {"hysteresis_percent": 1}, "rearm"),
    ):
        refused = await ask("alert_manager", action="create", condition=condition, repeat=True, **option)
        assert refused["code"] == "invalid_request"
        assert said in refused["hint"] + refused["detail"]
