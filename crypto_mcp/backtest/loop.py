"""The bar loop: one pass over all bars and symbols, compiled, without the interpreter's lock.

Order within a bar, the same for every symbol:

1. Funding is paid by who held a position before the bar.
2. At the open: liquidations and stops that price jumped over, then exits decided at the close before.
3. At the open: entries decided at the close before, symbols in the order given.
4. Within the bar: liquidation or stop first, whichever price meets first, then targets. What happened in which order is
   not known, so the worse is taken.
5. At the close: equity is marked, stops are moved, exits are decided.

A bar without volume fills nothing: its orders wait, entries lapse.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from crypto_mcp.backtest.positions import enter, fund, leave, move_stop, seen, take_targets
from crypto_mcp.backtest.rules import ACCOUNT, BAR, POSITION, Market, Reason, Records, Signal, Signals
from crypto_mcp.compiling import compiled_only, inlined
from crypto_mcp.models.candles import Floats

_ENTRIES = int(Signal.LONG_ENTRY | Signal.SHORT_ENTRY)
_LONG_ENTRY, _LONG_EXIT = int(Signal.LONG_ENTRY), int(Signal.LONG_EXIT)
_SHORT_ENTRY, _SHORT_EXIT = int(Signal.SHORT_ENTRY), int(Signal.SHORT_EXIT)
_SIGNAL, _REVERSE, _TIME = int(Reason.SIGNAL), int(Reason.REVERSE), int(Reason.TIME)
_LIQUIDATION, _END = int(Reason.LIQUIDATION), int(Reason.END)


@inlined
def _load(bar: Any, market: Any, s: int, t: int) -> None:
    bar.symbol, bar.index = s, t
    bar.open, bar.high, bar.low = market.open[s, t], market.high[s, t], market.low[s, t]
    bar.close, bar.volume = market.close[s, t], market.volume[s, t]
    if market.atr.shape[1] > 0:
        bar.atr, bar.atr_now = market.atr[s, max(0, t - 1)], market.atr[s, t]


@inlined
def _load_for_entry(bar: Any, market: Any, s: int, t: int) -> None:
    _load(bar, market, s, t)
    if market.swing_low.shape[1] > 0:
        bar.swing_low, bar.swing_high = market.swing_low[s, t - 1], market.swing_high[s, t - 1]
    if market.volatility.shape[1] > 0:
        bar.volatility = market.volatility[s, t - 1]


@inlined
def _due_at_open(p: Any, bar: Any) -> int:
    """Why the position ends at the open; 0 if it does not."""
    if p.side * (bar.open - p.liquidation) <= 0:
        return _LIQUIDATION
    return int(p.why if p.side * (bar.open - p.stop) <= 0 else p.exit)


@inlined
def _due_within(p: Any, bar: Any) -> int:
    """Which of stop and liquidation the bar meets first; 0 for neither."""
    worst = bar.low if p.side > 0 else bar.high
    if p.side * (worst - p.stop) <= 0 and not p.side * (p.liquidation - p.stop) > 0:
        return int(p.why)
    return _LIQUIDATION if p.side * (worst - p.liquidation) <= 0 else 0


@inlined
def _stopped_at(p: Any, bar: Any) -> float:
    """Where a stop fills within the bar: one so near that the entry's own slippage passed it, at the open."""
    return float(min(p.stop, bar.open) if p.side > 0 else max(p.stop, bar.open))


@inlined
def _decide(p: Any, rules: Any, signal: int, t: int) -> None:
    """Exits decided at the close."""
    leave, turn = (_LONG_EXIT, _SHORT_ENTRY) if p.side > 0 else (_SHORT_EXIT, _LONG_ENTRY)
    if p.exit == 0:
        if signal & leave:
            p.exit = _SIGNAL
        elif signal & turn:
            p.exit = _REVERSE
        elif 0 < rules.max_bars <= t - p.entry_bar + 1:
            p.exit = _TIME


@inlined
def _side(signal: int) -> int:
    """The side that a close's signals open, 0 for none: not both, and not one whose exit holds too."""
    entries = signal & _ENTRIES
    if entries == _LONG_ENTRY and not signal & _LONG_EXIT:
        return 1
    return -1 if entries == _SHORT_ENTRY and not signal & _SHORT_EXIT else 0


@inlined
def _rested(p: Any, rules: Any, side: int, t: int) -> bool:
    """Whether the symbol may be entered: at the open at which it was left only to turn."""
    if p.last_exit < 0 or t - p.last_exit > rules.cooldown:
        return True
    return bool(t == p.last_exit and rules.cooldown == 0 and side != p.was)


@inlined
def _equity(positions: Any, account: Any, prices: Any, t: int) -> float:
    total = account.wallet
    for s in range(len(positions)):
        if positions[s].side != 0:
            total += positions[s].side * positions[s].quantity * (prices[s, t] - positions[s].entry)
    return float(total)


@inlined
def _idle(market: Any, signals: Any, account: Any, equity: Any, t: int) -> int:
    """Passes over bars on which one symbol, flat, opens nothing; the first bar on which it may."""
    wallet = account.wallet
    if t == 0:
        equity[t] = wallet
        t = 1
    while t < len(equity) and not signals[0, t - 1] & _ENTRIES:
        equity[t] = wallet
        t += 1
    return t


@inlined
def _coast(p: Any, market: Any, signals: Any, rules: Any, account: Any, equity: Any, t: int) -> int:
    """Passes over bars on which the position of one symbol is only marked; the first bar on which more may happen.

    What it leaves out is what it looks for: orders due, signals, funding, the last bar. For rules without stops that
    move and without time stop.
    """
    long, wallet, units = p.side > 0, account.wallet, p.side * p.quantity
    ends = (_LONG_EXIT | _SHORT_ENTRY) if long else (_SHORT_EXIT | _LONG_ENTRY)
    # Of stop and liquidation the one that price meets first; without a stop the former is NaN, which nothing exceeds.
    first = p.stop if p.side * (p.stop - p.liquidation) > 0 else p.liquidation
    low_end = first if long else p.goal
    high_end = p.goal if long else first
    funded = rules.has_funding > 0
    lowest, highest, begin = np.inf, -np.inf, t
    while t < len(equity) - 1:
        low, high = market.low[0, t], market.high[0, t]
        if low <= low_end or high >= high_end or signals[0, t] & ends or (funded and market.funding[0, t] != 0):
            break
        lowest, highest = min(lowest, low), max(highest, high)
        equity[t] = wallet + units * (market.close[0, t] - p.entry)
        t += 1
    if t > begin:
        seen(p, lowest)
        seen(p, highest)
        account.bars_in += t - begin
    return t


def run_bars(
    market: Market, signals: Signals, rules: Records, targets: Records, instruments: Records,
    equity: Floats, trades: Records, fills: Records,
) -> Records:  # fmt: skip
    """Plays `signals` (int8 bits of `Signal`, shape (symbols, bars)) on `market`; a row of `ACCOUNT`.

    Fills in `equity` (float64, one a bar), and as many rows of `trades` and `fills` as there is room for: the counts of
    the account tell how much room it takes.
    """
    symbols, account = len(signals), np.zeros(1, ACCOUNT)
    state = account, np.zeros(symbols, POSITION), np.zeros(symbols, BAR)
    exits = targets, np.zeros((symbols, len(targets)))
    _run_bars(market, signals, rules, exits, instruments, equity, (trades, fills), state)
    return account


@compiled_only
def _run_bars(  # noqa: C901, PLR0912, PLR0915 - one pass in the order above: calls with these arrays cost more than it
    market: Any, signals: Any, rule: Any, exits: Any, instruments: Any, equity: Any, book: Any, state: Any
) -> None:
    accounts, positions, loaded = state
    symbols, bars = market.close.shape
    rules, account = rule[0], accounts[0]
    for s in range(symbols):
        positions[s].last_exit = -1
    account.wallet = rules.capital
    alone = symbols == 1
    steady = alone and not (rules.trail_percent > 0 or rules.trail_atr > 0 or rules.even_unit > 0 or rules.max_bars > 0)
    t = -1
    while t < bars - 1:
        t += 1
        if alone and account.open == 0:
            t = _idle(market, signals, account, equity, t)
        elif steady and positions[0].exit == 0:
            t = _coast(positions[0], market, signals, rules, account, equity, t)
        if t == bars:
            break
        if account.open > 0:
            for s in range(symbols):
                p, bar = positions[s], loaded[s]
                if p.side != 0:
                    _load(bar, market, s, t)
                    if rules.has_funding > 0 and market.funding[s, t] != 0:
                        fund(p, account, rules, bar.open, market.funding[s, t])
                    due = _due_at_open(p, bar)
                    if due > 0 and bar.volume > 0:
                        leave(p, account, book, bar, rules, instruments[s].tick, bar.open, due)
        if t > 0:
            for s in range(symbols):
                signal, p = signals[s, t - 1], positions[s]
                if signal & _ENTRIES and p.side == 0 and market.allowed[t] and market.volume[s, t] > 0:
                    side, bar = _side(signal), loaded[s]
                    if side != 0 and _rested(p, rules, side, t) and account.open < rules.max_open:
                        _load_for_entry(bar, market, s, t)
                        bar.equity = _equity(positions, account, market.open, t)
                        enter(p, account, book, bar, rules, exits, instruments[s], side)
        if account.open == 0:
            equity[t] = account.wallet
            continue
        account.bars_in += 1
        for s in range(symbols):
            p, bar = positions[s], loaded[s]
            if p.side != 0:
                if bar.volume > 0:
                    due = _due_within(p, bar)
                    if due > 0:
                        leave(p, account, book, bar, rules, instruments[s].tick, _stopped_at(p, bar), due)
                    elif p.side * ((bar.high if p.side > 0 else bar.low) - p.goal) >= 0:
                        take_targets(p, account, book, bar, rules, exits, instruments[s].step)
                if p.side != 0:
                    seen(p, bar.low)
                    seen(p, bar.high)
                    move_stop(p, bar, rules, instruments[s].tick)
                    _decide(p, rules, signals[s, t], t)
                    if t == bars - 1:
                        leave(p, account, book, bar, rules, instruments[s].tick, bar.close, _END)
        equity[t] = _equity(positions, account, market.close, t)
