"""Funding: what was paid where it is known, the usual rate elsewhere, at the open of the bar after."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from crypto_mcp.backtest import STRATEGIES, prepare, simulate
from crypto_mcp.backtest.funding import PaidFunding, charged
from crypto_mcp.models.backtest import BacktestParams
from tests.analysis.walks import random_walk

if TYPE_CHECKING:
    from crypto_mcp.models.candles import Floats, Ints

HOUR = 3_600_000
EIGHT = 8 * HOUR
approx = pytest.approx


def paid(hours: list[int], rates: list[float], late: int = 0) -> PaidFunding:
    return PaidFunding(np.array(hours, dtype=np.int64) * HOUR + late, np.array(rates))


def rows(times: Ints, known: dict[str, PaidFunding], percent: float | None = None) -> Floats:
    return charged(times, ["A"], percent, known)[0]


def test_each_funding_is_charged_once_at_the_open_of_its_hour() -> None:
    """Also one that the exchange stamps some milliseconds late; four-hourly ones as they come."""
    times = np.arange(1, 25, dtype=np.int64) * HOUR
    found = rows(times, {"A": paid([4, 8, 12, 16, 20, 24], [0.001, 0.002, -0.003, 0.004, 0.005, 0.006], late=7)})
    assert {int(t // HOUR): float(rate) for t, rate in zip(times, found, strict=True) if rate} == approx(
        {4: 0.001, 8: 0.002, 12: -0.003, 16: 0.004, 20: 0.005, 24: 0.006}
    )


def test_a_bar_longer_than_an_interval_is_charged_all_of_it() -> None:
    times = np.arange(3, dtype=np.int64) * 24 * HOUR
    hours = list(range(0, 56, 8))
    assert rows(times, {"A": paid(hours, [0.001] * len(hours))}).tolist() == approx([0, 0.003, 0.003])


def test_before_and_after_what_is_known_the_usual_rate_counts() -> None:
    times = np.arange(0, 49, dtype=np.int64) * HOUR
    found = rows(times, {"A": paid([16, 24], [0.002, 0.003])})
    assert {int(t // HOUR): float(rate) for t, rate in zip(times, found, strict=True) if rate} == approx(
        {8: 0.0001, 16: 0.002, 24: 0.003, 32: 0.0001, 40: 0.0001, 48: 0.0001}
    )
    constant = rows(times, {})
    assert constant[8] == approx(0.0001)
    assert rows(times, {"A": paid([16], [0.5])}, percent=0.02)[16] == approx(0.0002)


def test_a_short_is_paid_what_longs_pay() -> None:
    """The same bars held long and short: one pays what the other gets."""
    candles = random_walk(500, seed=8)
    known = {"A": PaidFunding(candles.open_time[::8], np.full(len(candles.open_time[::8]), 0.0005))}
    costs = {"taker_fee": 0, "maker_fee": 0, "slippage": 0}
    strategy = STRATEGIES["buy_and_hold"].model_copy(update={"entry": None, "short_entry": "close > 0"})
    long, short = (
        simulate(
            prepare(
                {"A": candles}, chosen, BacktestParams(symbols=["A"], market="perpetual", strategy=chosen, costs=costs),
                funding=known,
            )
        )
        for chosen in (STRATEGIES["buy_and_hold"], strategy)
    )  # fmt: skip
    assert long.account["funding"][0] > 0
    assert short.account["funding"][0] == approx(-long.account["funding"][0], rel=1e-9)
