"""One run: prepared arrays in, equity and tables out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crypto_mcp.backtest.loop import run_bars
from crypto_mcp.backtest.prepare import Prepared
from crypto_mcp.backtest.rules import FILL, TRADE, Records, Signal
from crypto_mcp.models.candles import Floats

_MOST_TRADES = 4096
"""There is room for at first."""

_ENTRIES = np.int8(Signal.LONG_ENTRY | Signal.SHORT_ENTRY)


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What became of the capital.

    Attributes:
        equity: float64, one a bar: cash and positions at the close, quote asset.
        trades: rows of `TRADE` in the order in which they ended. Positions still open at the last bar are closed there.
        fills: rows of `FILL`, every order as filled.
        account: one row of `ACCOUNT`, what the run added up.
    """

    equity: Floats
    trades: Records
    fills: Records
    account: Records

    @property
    def drawdown(self) -> Floats:
        """Fall of equity from its highest close so far, a fraction from 0 to 1, one a bar."""
        peak = np.maximum.accumulate(self.equity)
        return np.where(peak > 0, 1 - self.equity / np.where(peak > 0, peak, 1.0), 0.0)

    @property
    def returns(self) -> Floats:
        """Simple returns of equity from close to close; one fewer than bars."""
        return np.diff(self.equity) / self.equity[:-1]


def simulate(prepared: Prepared) -> Run:
    """Plays the bars. Without the interpreter's lock, so that threads run beside each other; deterministic."""
    equity = np.empty(len(prepared.open_time))
    # A trade takes an entry that was signalled, and is filled twice where there are no targets.
    trades = min(_MOST_TRADES, int(np.count_nonzero(prepared.signals & _ENTRIES)))
    fills = (2 + len(prepared.targets)) * trades
    while True:
        rows = np.zeros(trades, TRADE), np.zeros(fills, FILL)
        account = run_bars(
            prepared.market, prepared.signals, prepared.rules, prepared.targets, prepared.instruments, equity, *rows
        )
        traded, filled = int(account["trades"][0]), int(account["fills"][0])
        if traded <= trades and filled <= fills:
            return Run(equity, rows[0][:traded], rows[1][:filled], account)
        trades, fills = traded, filled
