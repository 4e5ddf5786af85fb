"""No money appears or vanishes: the equity of any run is what its fills, looked at by themselves, come to."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto_mcp.backtest import Prepared, Run, simulate
from crypto_mcp.backtest.rules import INSTRUMENT, RULES, TARGET, Market, Method, Reason, Unit
from crypto_mcp.models.candles import Floats

HOUR = 3_600_000


def drawn(seed: int, symbols: int, count: int, *, wild: float = 0.02) -> Prepared:
    """Random candles, signals and rules; anything may be on."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, wild, (symbols, count)), axis=1))
    gaps = np.exp(rng.normal(0, wild / 4, (symbols, count)))
    open_ = np.concatenate((close[:, :1], close[:, :-1]), axis=1) * gaps
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0, wild / 2, (symbols, count))))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0, wild / 2, (symbols, count))))
    volume = rng.lognormal(6, 1, (symbols, count)) * (rng.random((symbols, count)) > 0.05)
    bits = sum((rng.random((symbols, count)) < rng.uniform(0.01, 0.2)).astype(np.int8) << bit for bit in range(4))
    market = Market(
        open=open_, high=high, low=low, close=close, volume=volume, atr=close * rng.uniform(0.005, 0.03, close.shape),
        swing_low=np.where(rng.random(close.shape) < 0.2, np.nan, low * 0.98),
        swing_high=np.where(rng.random(close.shape) < 0.2, np.nan, high * 1.02),
        volatility=rng.uniform(0.0, 1.0, close.shape),
        funding=np.where(np.arange(count) % 8 == 0, rng.normal(0, 0.001, close.shape), 0.0),
        allowed=rng.random(count) > 0.1,
    )  # fmt: skip
    return Prepared(
        symbols=tuple(map(str, range(symbols))), open_time=HOUR * np.arange(count), step=HOUR, market=market,
        signals=np.ascontiguousarray(bits, dtype=np.int8), rules=_rules(rng), targets=_targets(rng),
        instruments=np.array([(rng.choice([0, 0.01]), rng.choice([0, 0.001]), 0.0, 5.0)] * symbols, INSTRUMENT),
    )  # fmt: skip


def _rules(rng: np.random.Generator) -> np.ndarray:
    def sometimes(low: float, high: float) -> float:
        return rng.uniform(low, high) if rng.random() < 0.5 else 0.0

    rule = np.zeros(1, RULES)
    rule["capital"], rule["leverage"], rule["maintenance"] = 10_000, rng.choice([1, 1, 3, 20]), 0.005
    rule["maker"], rule["taker"], rule["half_spread"] = sometimes(0, 0.001), sometimes(0, 0.002), sometimes(0, 0.001)
    rule["slippage"], rule["slippage_atr"], rule["impact"] = sometimes(0, 0.002), sometimes(0, 0.1), sometimes(0, 0.02)
    rule["stop_percent"], rule["stop_atr"] = rng.uniform(0.005, 0.05), sometimes(1, 4)
    rule["stop_structure"], rule["has_funding"] = rng.integers(0, 2), rng.integers(0, 2)
    rule["trail_percent"], rule["trail_atr"] = sometimes(0.01, 0.1), sometimes(1, 5)
    rule["even"], rule["even_unit"] = rng.uniform(0.5, 2), rng.choice([Unit.NONE, Unit.RISK, Unit.ATR])
    rule["max_bars"], rule["cooldown"], rule["max_open"] = (
        rng.choice([0, 5, 30]),
        rng.choice([0, 3]),
        rng.choice([1, 9]),
    )
    rule["method"] = rng.choice([int(method) for method in Method])
    rule["amount"] = 2_000.0 if rule["method"][0] == Method.FIXED else rng.uniform(0.01, 1.0)
    return rule


def _targets(rng: np.random.Generator) -> np.ndarray:
    shares = rng.dirichlet(np.ones(3))[: rng.integers(0, 4)]
    return np.array([(rng.uniform(0.5, 4), share, Unit.RISK) for share in shares], TARGET)


def ledger(prepared: Prepared, run: Run) -> tuple[Floats, Floats]:
    """Equity at every close from the fills alone, by double entry: cash flows and what is held; and funding paid."""
    symbols, count = prepared.market.close.shape
    cash, held = float(prepared.rules["capital"][0]), np.zeros(symbols)
    equity, funding, fills = np.empty(count), np.zeros(count), list(run.fills)
    for bar in range(count):
        if prepared.rules["has_funding"][0]:
            funding[bar] = (held * prepared.market.open[:, bar] * prepared.market.funding[:, bar]).sum()
            cash -= funding[bar]
        while fills and fills[0]["bar"] == bar:
            row = fills.pop(0)
            held[row["symbol"]] += row["side"] * row["quantity"]
            cash -= row["side"] * row["quantity"] * row["price"] + row["fee"]
        equity[bar] = cash + (held * prepared.market.close[:, bar]).sum()
    return equity, funding


@settings(max_examples=150)
@given(seed=st.integers(0, 2**32 - 1), symbols=st.integers(1, 3), wild=st.sampled_from([0.005, 0.02, 0.08]))
def test_cash_and_positions_are_start_and_results_less_what_was_paid(seed: int, symbols: int, wild: float) -> None:
    """Equity is, to 1e-9 of the capital, what the fills come to; the end is start + trades; fees and funding add up."""
    prepared = drawn(seed, symbols, 300, wild=wild)
    run = simulate(prepared)
    equity, funding = ledger(prepared, run)
    capital = prepared.rules["capital"][0]
    assert np.abs(run.equity - equity).max() <= 1e-9 * capital
    assert abs(run.equity[-1] - capital - run.trades["pnl"].sum()) <= 1e-9 * capital
    assert abs(run.fills["fee"].sum() - run.trades["fees"].sum()) <= 1e-9 * capital
    assert abs(funding.sum() - run.trades["funding"].sum()) <= 1e-9 * capital
    assert abs(run.account["funding"][0] - funding.sum()) <= 1e-9 * capital


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_fill_lies_where_the_bar_traded(seed: int) -> None:
    """Without costs orders fill within their bar, and targets never better than it; none without volume.

    A target that the open jumped over fills at its own price, worse than any of the bar.
    """
    prepared = drawn(seed, 2, 300)
    for cost in ("half_spread", "slippage", "slippage_atr", "impact"):
        prepared.rules[cost] = 0.0
    prepared.instruments["tick"] = 0.0
    run = simulate(prepared)
    fills = run.fills[run.fills["reason"] != Reason.LIQUIDATION]
    place = fills["symbol"], fills["bar"]
    low, high = prepared.market.low[place] * (1 - 1e-12), prepared.market.high[place] * (1 + 1e-12)
    goals, ended = fills["reason"] == Reason.TARGET, fills["reason"] == Reason.END
    assert ((fills["price"] >= low) | (goals & (fills["side"] < 0))).all()
    assert ((fills["price"] <= high) | (goals & (fills["side"] > 0))).all()
    assert (ended | (prepared.market.volume[place] > 0)).all()
    assert (run.trades["exit_bar"] >= run.trades["entry_bar"]).all()


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1))
def test_bars_that_are_passed_over_change_nothing(seed: int) -> None:
    """One symbol alone skips bars on which nothing can happen; beside one that never trades it cannot: same bytes."""
    alone = drawn(seed, 1, 400)
    for rule in ("trail_percent", "trail_atr", "even_unit", "max_bars"):
        alone.rules[rule] = 0
    market = {
        n: np.ascontiguousarray(np.repeat(s, 2, axis=0)) for n, s in alone.market._asdict().items() if n != "allowed"
    }
    signals = np.concatenate((alone.signals, np.zeros_like(alone.signals)))
    beside = Prepared(
        symbols=("0", "1"), open_time=alone.open_time, step=HOUR, market=alone.market._replace(**market),
        signals=signals, rules=alone.rules, targets=alone.targets, instruments=np.repeat(alone.instruments, 2),
    )  # fmt: skip
    one, two = simulate(alone), simulate(beside)
    assert one.equity.tobytes() == two.equity.tobytes()
    assert one.trades.tobytes() == two.trades.tobytes()
    assert one.account.tobytes() == two.account.tobytes()
