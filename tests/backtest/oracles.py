"""`python -m tests.backtest.oracles`: trade for trade against backtesting.py and vectorbt on recorded prices.

All three are given the same entries and exits, so that what is compared is the engines. Prints the table of
docs/backtesting.md, and fails where a difference is not explained. backtesting.py is told the price of the next open,
of which its stop is a percentage: it takes stops as prices, before the fill is known.
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from importlib.resources import files
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from crypto_mcp.backtest import Prepared, Signal, bound, prepare, simulate
from crypto_mcp.backtest.rules import INSTRUMENT
from crypto_mcp.models.backtest import BacktestParams
from crypto_mcp.models.candles import Candles, Floats
from crypto_mcp.models.strategy import Strategy, Target

FEE = 0.1
UNIT = 1e-8
_BY_SIGNAL, _BY_STOP, _BY_TARGET, _BY_END = 1, 3, 6, 9


@dataclass(frozen=True, slots=True)
class Case:
    """A strategy both engines can play: stop and target as fractions of the entry."""

    name: str
    strategy: Strategy
    stop: float | None = None
    target: float | None = None


CASES = (
    Case(
        "EMA cross, 3 % stop",
        Strategy(
            entry="crosses_above(ema(9), ema(21))", exit="crosses_below(ema(9), ema(21))", stop="3%",
        ),
        stop=0.03,
    ),
    Case("RSI reversal", Strategy(entry="crosses_above(rsi(14), 30)", exit="rsi(14) > 65")),
    Case(
        "Donchian breakout, 4 % stop, 8 % target",
        Strategy(
            entry="close > highest(high, 20)[1]",
            exit="close < lowest(low, 10)[1]",
            stop="4%",
            targets=[Target(at="8%")],
        ),
        stop=0.04,
        target=0.08,
    ),
    Case(
        "MACD long and short",
        Strategy(
            entry="crosses_above(macd(), macd_signal())", exit="crosses_below(macd(), macd_signal())",
            short_entry="crosses_below(macd(), macd_signal())", short_exit="crosses_above(macd(), macd_signal())",
        ),
    ),
    Case(
        "Bollinger reversion, 2 % stop, 3 % target",
        Strategy(entry="close < bb_lower(20, 2)", exit="close > bb_upper(20, 2)", stop="2%", targets=[Target(at="3%")]),
        stop=0.02,
        target=0.03,
    ),
)  # fmt: skip


def recorded() -> Candles:
    """A year of hours of BTCUSDT."""
    raw = (files("crypto_mcp.sandbox.recorded") / "BTCUSDT-1h.parquet").read_bytes()
    frame = pl.read_parquet(BytesIO(raw))
    columns: dict[str, Any] = {
        n: frame[n].cast(pl.Float64).to_numpy(writable=True) for n in ("open", "high", "low", "close", "volume")
    }
    times = frame["open_time"].cast(pl.Int64).to_numpy(writable=True)
    return Candles(open_time=times, step=3_600_000, **columns)


def prepared(case: Case, candles: Candles) -> Prepared:
    """Our arrays: fees as theirs, no slippage, quantities of theirs' unit."""
    market = "perpetual" if case.strategy.short_entry else "spot"
    costs = {"taker_fee": FEE, "maker_fee": FEE, "slippage": 0, "funding": 0}
    params = BacktestParams.model_validate(
        {"symbols": ["BTC"], "strategy": case.strategy, "market": market, "costs": costs}
    )
    instrument = np.array([(0.0, UNIT, 0.0, 0.0)], INSTRUMENT)
    return prepare({"BTC": candles}, bound(case.strategy), params, instruments=instrument)


def ours(arrays: Prepared) -> pd.DataFrame:
    """Our trades, those that were closed only because the data end left out."""
    rows = simulate(arrays).trades
    frame = pd.DataFrame({name: rows[name] for name in rows.dtype.names or ()})
    return frame[frame["reason"] != _BY_END].reset_index(drop=True)


def backtesting_py(case: Case, candles: Candles, arrays: Prepared) -> pd.DataFrame:
    """Its trades, in our columns."""
    from backtesting import Strategy as TheirStrategy
    from backtesting.lib import FractionalBacktest

    signals, following = arrays.signals[0], np.append(candles.open[1:], np.nan)

    class Played(TheirStrategy):  # type: ignore[misc]
        def init(self) -> None:
            pass

        def next(self) -> None:
            bar = len(self.data) - 1
            bits = signals[bar]
            if (self.position.is_long and bits & Signal.LONG_EXIT) or (
                self.position.is_short and bits & Signal.SHORT_EXIT
            ):
                self.position.close()
            enter = bits & (Signal.LONG_ENTRY | Signal.SHORT_ENTRY)
            turning = (self.position.is_long and enter & Signal.SHORT_ENTRY) or (
                self.position.is_short and enter & Signal.LONG_ENTRY
            )
            if not enter or bar + 1 >= len(signals) or (self.position and not turning):
                return
            price, long = following[bar] * UNIT, bool(enter & Signal.LONG_ENTRY)
            way = 1 if long else -1
            how = {
                "size": 1 - np.finfo(float).eps,
                "sl": None if case.stop is None else price * (1 - way * case.stop),
                "tp": None if case.target is None else price * (1 + way * case.target),
            }
            (self.buy if long else self.sell)(**how)

    frame = pd.DataFrame(
        {name.title(): getattr(candles, name) for name in ("open", "high", "low", "close", "volume")},
        index=pd.to_datetime(candles.open_time, unit="ms"),
    )
    test = FractionalBacktest(frame, Played, cash=10_000, commission=FEE / 100, finalize_trades=False)
    trades = test.run()["_trades"]
    return pd.DataFrame(
        {
            "side": np.sign(trades["Size"]), "entry_bar": trades["EntryBar"], "exit_bar": trades["ExitBar"],
            "entry_price": trades["EntryPrice"], "exit_price": trades["ExitPrice"],
            "quantity": trades["Size"].abs(), "pnl": trades["PnL"],
        }
    ).sort_values("entry_bar", ignore_index=True)  # fmt: skip


def played_by_vectorbt(case: Case, candles: Candles, arrays: Prepared) -> Any:
    """Its portfolio: signals a bar later, filled at the open."""
    import vectorbt as vbt

    bits = np.concatenate(([0], arrays.signals[0][:-1]))
    both = case.strategy.short_entry is not None
    return vbt.Portfolio.from_signals(
        candles.close, entries=bits & Signal.LONG_ENTRY > 0, exits=bits & Signal.LONG_EXIT > 0,
        short_entries=bits & Signal.SHORT_ENTRY > 0 if both else None,
        short_exits=bits & Signal.SHORT_EXIT > 0 if both else None,
        open=candles.open, high=candles.high, low=candles.low, price=candles.open,
        sl_stop=case.stop, tp_stop=case.target,
        stop_entry_price="fillprice", fees=FEE / 100, init_cash=10_000, upon_opposite_entry="reverse", freq="1h",
    )  # fmt: skip


def vectorbt(case: Case, candles: Candles, arrays: Prepared) -> pd.DataFrame:
    """Its closed trades, in our columns."""
    rows = played_by_vectorbt(case, candles, arrays).trades.records
    rows = rows[rows["status"] == 1]
    return pd.DataFrame(
        {
            "side": np.where(rows["direction"] == 0, 1, -1),
            "entry_bar": rows["entry_idx"], "exit_bar": rows["exit_idx"],
            "entry_price": rows["entry_price"], "exit_price": rows["exit_price"], "quantity": rows["size"],
            "pnl": rows["pnl"],
        }
    ).sort_values("entry_bar", ignore_index=True)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Compared:
    """How the trades of two engines differ, matched by the bar of their entry.

    Attributes:
        same: trades of both with the same bars and prices.
        differing: the others, with the columns of both; of a trade that only one engine has, the other's are empty.
    """

    same: int
    differing: pd.DataFrame


def compared(mine: pd.DataFrame, theirs: pd.DataFrame, tolerance: float = 1e-6) -> Compared:
    """Trades are the same if their bars are, and their prices to `tolerance`.

    Quantities are left out: one different exit changes the money, and so the size of all that follows.
    """
    both = mine.merge(theirs, on="entry_bar", suffixes=("", "_theirs"), how="outer").sort_values("entry_bar")
    same = both["side"] == both["side_theirs"]
    same &= both["exit_bar"] == both["exit_bar_theirs"]
    for price in ("entry_price", "exit_price"):
        same &= np.isclose(both[price], both[f"{price}_theirs"], rtol=tolerance, atol=0)
    return Compared(int(same.sum()), both[~same])


def unexplained(found: Compared, opens: Floats) -> list[int]:
    """Bars of entries that differ from vectorbt's by none of its two rules, and do not follow from one that does.

    It looks for no stop or target on the bar of an entry, and lets a stop or target that is hit later in a bar go
    before an exit at that bar's open. A trade follows from one that ended otherwise if it began before both had ended.
    """
    reach, strange = -1, []
    for _, trade in found.differing.iterrows():
        if trade["entry_bar"] <= reach or _by_a_rule(trade, opens):
            reach = max(reach, *np.nan_to_num([trade["exit_bar"], trade["exit_bar_theirs"]]))
        else:
            strange.append(int(trade["entry_bar"]))
    return strange


def _by_a_rule(trade: pd.Series, opens: Floats) -> bool:
    """Ours was stopped on the bar of its entry, or left at the open of a bar on which theirs was stopped."""
    if np.isnan([trade["exit_bar"], trade["exit_bar_theirs"]]).any():
        return False
    at_once = trade["entry_bar"] == trade["exit_bar"] and trade["reason"] in (_BY_STOP, _BY_TARGET)
    at_the_open = trade["reason"] == _BY_SIGNAL and np.isclose(trade["exit_price"], opens[int(trade["exit_bar"])])
    return bool(at_once or (at_the_open and trade["exit_bar"] == trade["exit_bar_theirs"]))


def equity_of(trades: pd.DataFrame) -> Floats:
    """Account after each trade."""
    return np.asarray(10_000 + trades["pnl"].cumsum(), dtype=np.float64)


def main() -> None:
    """The table."""
    warnings.simplefilter("ignore")
    candles, strange = recorded(), 0
    print(
        "| strategy | trades | backtesting.py 0.6.6: same / different | vectorbt 1.2.0: same / different "
        "| unexplained |\n|---|---|---|---|---|"
    )
    for case in CASES:
        arrays = prepared(case, candles)
        mine = ours(arrays)
        first, second = (compared(mine, peer(case, candles, arrays)) for peer in (backtesting_py, vectorbt))
        left = len(first.differing) + len(unexplained(second, candles.open))
        cells = [f"{found.same} / {len(found.differing)}" for found in (first, second)]
        print(f"| {case.name} | {len(mine)} | {' | '.join(cells)} | {left} |")
        strange += left
    sys.exit(strange > 0)


if __name__ == "__main__":
    main()
