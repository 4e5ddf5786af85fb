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

import numba
import numpy as np

from crypto_mcp.backtest.rules import Method, Reason, Signal, Unit

# One symbol's open position. `quantity` is what is left of `size`; `exit` the reason of an exit decided and not yet
# made; `why` what the stop is at present; `got` adds up what the exits brought; `put_up` is the first margin;
# `was` the side of the position before.
POSITION = np.dtype(
    [
        ("side", "i8"), ("entry_bar", "i8"), ("last_exit", "i8"), ("exit", "i8"), ("why", "i8"), ("filled", "i8"),
        ("quantity", "f8"), ("size", "f8"), ("entry", "f8"), ("margin", "f8"), ("stop", "f8"), ("liquidation", "f8"),
        ("risk", "f8"), ("even_at", "f8"), ("peak", "f8"), ("worst", "f8"), ("best", "f8"), ("fees", "f8"),
        ("funding", "f8"), ("gross", "f8"), ("got", "f8"), ("put_up", "f8"), ("goal", "f8"),
        ("was", "i8"),
    ],
    align=True,
)  # fmt: skip

_ENTRIES = int(Signal.LONG_ENTRY | Signal.SHORT_ENTRY)
_LONG_ENTRY, _LONG_EXIT = int(Signal.LONG_ENTRY), int(Signal.LONG_EXIT)
_SHORT_ENTRY, _SHORT_EXIT = int(Signal.SHORT_ENTRY), int(Signal.SHORT_EXIT)
_ENTRY, _SIGNAL, _REVERSE, _STOP = int(Reason.ENTRY), int(Reason.SIGNAL), int(Reason.REVERSE), int(Reason.STOP)
_TRAILING, _BREAK_EVEN, _TARGET = int(Reason.TRAILING), int(Reason.BREAK_EVEN), int(Reason.TARGET)
_TIME, _LIQUIDATION, _END = int(Reason.TIME), int(Reason.LIQUIDATION), int(Reason.END)
_PERCENT, _ATR, _RISK = int(Unit.PERCENT), int(Unit.ATR), int(Unit.RISK)
_BY_FIXED, _BY_RISK = int(Method.FIXED), int(Method.RISK)
_BY_VOLATILITY, _BY_KELLY = int(Method.VOLATILITY), int(Method.KELLY)
_KELLY_TRADES = 20
_EPSILON = 1e-9


# One symbol's bar as the steps within it see it. `atr`, swings and `volatility` are those of the close before,
# `atr_now` its own; `equity` what there is at its open.
BAR = np.dtype(
    [
        ("open", "f8"), ("high", "f8"), ("low", "f8"), ("close", "f8"), ("volume", "f8"), ("atr", "f8"),
        ("atr_now", "f8"), ("swing_low", "f8"), ("swing_high", "f8"), ("volatility", "f8"), ("equity", "f8"),
        ("symbol", "i8"), ("index", "i8"),
    ],
    align=True,
)  # fmt: skip


def _compiled(function: Any) -> Any:
    return numba.njit(cache=True, nogil=True, error_model="numpy")(function)


def _inlined(function: Any) -> Any:
    """For what every bar runs through: a call would cost more than its body."""
    return numba.njit(cache=True, nogil=True, error_model="numpy", forceinline=True)(function)


@_inlined
def _load(bar: Any, market: Any, s: int, t: int) -> None:
    bar.symbol, bar.index = s, t
    bar.open, bar.high, bar.low = market.open[s, t], market.high[s, t], market.low[s, t]
    bar.close, bar.volume = market.close[s, t], market.volume[s, t]
    if market.atr.shape[1] > 0:
        bar.atr, bar.atr_now = market.atr[s, max(0, t - 1)], market.atr[s, t]


@_inlined
def _load_for_entry(bar: Any, market: Any, s: int, t: int) -> None:
    _load(bar, market, s, t)
    if market.swing_low.shape[1] > 0:
        bar.swing_low, bar.swing_high = market.swing_low[s, t - 1], market.swing_high[s, t - 1]
    if market.volatility.shape[1] > 0:
        bar.volatility = market.volatility[s, t - 1]


@_inlined
def _stepped(quantity: float, step: float) -> float:
    """Down to a whole number of the exchange's steps."""
    return quantity if step <= 0 else np.floor(quantity / step + _EPSILON) * step


@_inlined
def _ticked(price: float, tick: float, way: int) -> float:
    """To the exchange's price grid: up for a buyer (1), down for a seller (-1)."""
    if tick <= 0:
        return price
    ticks = np.ceil(price / tick - _EPSILON) if way > 0 else np.floor(price / tick + _EPSILON)
    return float(ticks * tick)


@_inlined
def _market_price(bar: Any, rules: Any, tick: float, price: float, way: int, quantity: float) -> float:
    """What a market order pays: half the spread and the slippage, against its owner."""
    worse = rules.half_spread + rules.slippage + rules.slippage_atr * bar.atr / price
    if rules.impact > 0 and bar.volume > 0:
        worse += rules.impact * np.sqrt(quantity / bar.volume)
    return float(_ticked(price * max(0.0, 1 + way * worse), tick, way))


@_compiled
def _note(book: Any, account: Any, bar: Any, way: int, reason: int, price: float, quantity: float, fee: float) -> None:
    fills = book[1]
    account.fees += fee
    account.turnover += price * quantity
    if account.fills < len(fills):
        row = fills[account.fills]
        row.bar, row.symbol, row.side, row.reason = bar.index, bar.symbol, way, reason
        row.price, row.quantity, row.fee = price, quantity, fee
    account.fills += 1


@_compiled
def _reduce(p: Any, account: Any, book: Any, bar: Any, quantity: float, price: float, fee: float, reason: int) -> None:
    """Takes `quantity` off a position at `price`; with the last of it the trade is over."""
    part = quantity / p.quantity
    gross = p.side * quantity * (price - p.entry)
    account.wallet += gross - fee
    account.margin -= p.margin * part
    p.margin -= p.margin * part
    p.gross += gross
    p.fees += fee
    p.got += quantity * price
    _note(book, account, bar, -p.side, reason, price, quantity, fee)
    if quantity < p.quantity:
        p.quantity -= quantity
    else:
        _end(p, account, book, bar.symbol, bar.index, reason)


@_compiled
def _end(p: Any, account: Any, book: Any, s: int, t: int, reason: int) -> None:
    trades, net = book[0], p.gross - p.fees - p.funding
    if net > 0:
        account.wins += 1
        account.won += net
    else:
        account.lost -= net
    if account.trades < len(trades):
        row = trades[account.trades]
        row.symbol, row.side, row.entry_bar, row.exit_bar, row.reason = s, p.side, p.entry_bar, t, reason
        row.entry_price, row.exit_price, row.quantity, row.pnl = p.entry, p.got / p.size, p.size, net
        row.fees, row.funding, row.margin, row.risk = p.fees, p.funding, p.put_up, p.risk
        row.worst, row.best = p.worst, p.best
    account.trades += 1
    account.open -= 1
    if account.open == 0:
        account.margin = 0.0
    if reason == _LIQUIDATION:
        account.liquidations += 1
    p.was, p.side, p.exit, p.quantity, p.last_exit = p.side, 0, 0, 0.0, t


@_inlined
def _seen(p: Any, price: float) -> None:
    """Notes how far price has gone for and against the position."""
    move = p.side * (price - p.entry)
    p.worst = min(p.worst, move)
    p.best = max(p.best, move)


@_compiled
def _leave(p: Any, account: Any, book: Any, bar: Any, rules: Any, tick: float, price: float, reason: int) -> None:
    """Closes a whole position by a market order when price is at `price`; when liquidated, where no margin is left."""
    fee = 0.0
    if reason == _LIQUIDATION:
        price = p.entry - p.side * p.margin / p.quantity
        _seen(p, price)
    else:
        _seen(p, price)
        price = _market_price(bar, rules, tick, price, -p.side, p.quantity)
        fee = price * p.quantity * rules.taker
    _reduce(p, account, book, bar, p.quantity, price, fee, reason)


@_inlined
def _set_liquidation(p: Any, rules: Any) -> None:
    """Price at which margin and unrealised result fall to the maintenance margin."""
    if p.side > 0:
        p.liquidation = (p.entry - p.margin / p.quantity) / (1 - rules.maintenance)
    else:
        p.liquidation = (p.entry + p.margin / p.quantity) / (1 + rules.maintenance)


@_compiled
def _fund(p: Any, account: Any, rules: Any, price: float, rate: float) -> None:
    """Pays funding out of the position's margin."""
    paid = p.side * p.quantity * price * rate
    account.wallet -= paid
    account.margin -= paid
    account.funding += paid
    p.margin -= paid
    p.funding += paid
    _set_liquidation(p, rules)


@_compiled
def _stop_price(bar: Any, rules: Any, tick: float, side: int, entry: float) -> float:
    """The nearest of the stops asked for; NaN without any, infinite if one cannot be placed."""
    way = np.inf
    if rules.stop_percent > 0:
        way = min(way, entry * rules.stop_percent)
    if rules.stop_atr > 0:
        way = min(way, rules.stop_atr * bar.atr)
    if rules.stop_structure > 0:
        behind = side * (entry - (bar.swing_low if side > 0 else bar.swing_high))
        if not behind > 0:
            return np.inf
        way = min(way, behind)
    if way == np.inf:
        return np.nan
    price = entry - side * way
    return float(_ticked(price, tick, -side)) if price > 0 and way > 0 else np.inf


@_compiled
def _kelly(account: Any, most: float) -> float:
    """Kelly fraction of the trades so far (J. L. Kelly, 1956), `most` until there are enough of them."""
    if account.trades < _KELLY_TRADES:
        return most
    if account.wins == 0:
        return 0.0
    rate = account.wins / account.trades
    losses = account.trades - account.wins
    if losses == 0 or account.lost <= 0:
        return most
    payoff = account.won / account.wins * losses / account.lost
    return float(min(most, max(0.0, rate - (1 - rate) / payoff)))


@_compiled
def _wanted(bar: Any, rules: Any, account: Any, side: int, price: float, stop: float) -> float:
    """Quantity that the sizing asks for, before what can be afforded."""
    amount, equity = rules.amount, bar.equity
    if rules.method == _BY_FIXED:
        return float(amount / price)
    if rules.method == _BY_RISK:
        return float(equity * amount / (side * (price - stop)))
    if rules.method == _BY_VOLATILITY:
        return float(equity * amount / (bar.volatility * price)) if bar.volatility > 0 else 0.0
    if rules.method == _BY_KELLY:
        amount = _kelly(account, amount)
    # Fees come out of the same money, so that all of equity can be put up.
    return float(equity * amount / (price * (1 / rules.leverage + rules.taker)))


@_compiled
def _enter(p: Any, account: Any, book: Any, bar: Any, rules: Any, exits: Any, instrument: Any, side: int) -> None:
    """Opens a position at the open of the bar, or counts it as refused."""
    tick, (targets, goals) = instrument.tick, exits
    price = _market_price(bar, rules, tick, bar.open, side, 0.0)
    stop = _stop_price(bar, rules, tick, side, price)
    account.refused += 1
    if stop == np.inf:
        return
    quantity = _wanted(bar, rules, account, side, price, stop)
    if rules.impact > 0:
        price = _market_price(bar, rules, tick, bar.open, side, quantity)
        stop = _stop_price(bar, rules, tick, side, price)
    free = account.wallet - account.margin
    quantity = min(quantity, free / (price * (1 / rules.leverage + rules.taker)))
    quantity = _stepped(quantity, instrument.step)
    if not quantity > 0 or quantity < instrument.least_quantity or quantity * price < instrument.least_notional:
        return
    account.refused -= 1
    fee = quantity * price * rules.taker
    p.side, p.entry_bar, p.exit, p.filled, p.why = side, bar.index, 0, 0, _STOP
    p.quantity, p.size, p.entry, p.margin = quantity, quantity, price, quantity * price / rules.leverage
    p.stop, p.risk, p.peak, p.put_up = stop, side * (price - stop), price, p.margin
    p.worst, p.best, p.fees, p.funding, p.gross, p.got = 0.0, 0.0, fee, 0.0, 0.0, 0.0
    _set_liquidation(p, rules)
    for k in range(len(targets)):
        way = _distance(p, bar.atr, targets[k].unit, targets[k].distance)
        goals[bar.symbol, k] = _ticked(price + side * way, tick, side)
    p.goal = _nearest(p, exits, bar.symbol)
    p.even_at = price + side * _distance(p, bar.atr, rules.even_unit, rules.even) if rules.even_unit > 0 else np.nan
    account.wallet -= fee
    account.margin += p.margin
    account.open += 1
    _note(book, account, bar, side, _ENTRY, price, quantity, fee)


@_inlined
def _distance(p: Any, atr: float, unit: int, distance: float) -> float:
    return distance * float(p.entry if unit == _PERCENT else atr if unit == _ATR else p.risk)


@_compiled
def _nearest(p: Any, exits: Any, s: int) -> float:
    """Price of the nearest target that is not filled, NaN for none."""
    targets, goals = exits
    nearest = np.nan
    for k in range(len(targets)):
        if not p.filled & (1 << k) and not p.side * (goals[s, k] - nearest) >= 0:
            nearest = goals[s, k]
    return nearest


@_compiled
def _take_targets(p: Any, account: Any, book: Any, bar: Any, rules: Any, exits: Any, step: float) -> None:
    """Fills the limit orders that price went through, at their own price."""
    targets, goals = exits
    best = bar.high if p.side > 0 else bar.low
    left = 1.0
    for k in range(len(targets)):
        left -= targets[k].share
        goal = goals[bar.symbol, k]
        if p.side == 0 or p.filled & (1 << k) or p.side * (best - goal) < 0:
            continue
        p.filled |= 1 << k
        quantity = _stepped(p.size * targets[k].share, step)
        last = left < _EPSILON and p.filled == (1 << len(targets)) - 1
        if last or p.quantity - quantity < max(step, _EPSILON * p.size):
            quantity = p.quantity
        if quantity > 0:
            _seen(p, goal)
            _reduce(p, account, book, bar, quantity, goal, goal * quantity * rules.maker, _TARGET)
    p.goal = _nearest(p, exits, bar.symbol)


@_inlined
def _move_stop(p: Any, bar: Any, rules: Any, tick: float) -> None:
    """Trailing and break-even stops at the close; a stop never moves away from price."""
    best = bar.high if p.side > 0 else bar.low
    if p.side * (best - p.peak) > 0:
        p.peak = best
    if p.side * (p.peak - p.even_at) >= 0 and not p.side * (p.stop - p.entry) >= 0:
        p.stop, p.why = p.entry, _BREAK_EVEN
    if rules.trail_percent > 0 or rules.trail_atr > 0:
        behind = p.peak * rules.trail_percent if rules.trail_percent > 0 else rules.trail_atr * bar.atr_now
        stop = _ticked(p.peak - p.side * behind, tick, -p.side)
        if not p.side * (p.stop - stop) >= 0:
            p.stop, p.why = stop, _TRAILING


@_inlined
def _due_at_open(p: Any, bar: Any) -> int:
    """Why the position ends at the open; 0 if it does not."""
    if p.side * (bar.open - p.liquidation) <= 0:
        return _LIQUIDATION
    return int(p.why if p.side * (bar.open - p.stop) <= 0 else p.exit)


@_inlined
def _due_within(p: Any, bar: Any) -> int:
    """Which of stop and liquidation the bar meets first; 0 for neither."""
    worst = bar.low if p.side > 0 else bar.high
    if p.side * (worst - p.stop) <= 0 and not p.side * (p.liquidation - p.stop) > 0:
        return int(p.why)
    return _LIQUIDATION if p.side * (worst - p.liquidation) <= 0 else 0


@_inlined
def _stopped_at(p: Any, bar: Any) -> float:
    """Where a stop fills within the bar: one so near that the entry's own slippage passed it, at the open."""
    return float(min(p.stop, bar.open) if p.side > 0 else max(p.stop, bar.open))


@_inlined
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


@_inlined
def _side(signal: int) -> int:
    """The side that a close's signals open, 0 for none: not both, and not one whose exit holds too."""
    entries = signal & _ENTRIES
    if entries == _LONG_ENTRY and not signal & _LONG_EXIT:
        return 1
    return -1 if entries == _SHORT_ENTRY and not signal & _SHORT_EXIT else 0


@_inlined
def _rested(p: Any, rules: Any, side: int, t: int) -> bool:
    """Whether the symbol may be entered: at the open at which it was left only to turn."""
    if p.last_exit < 0 or t - p.last_exit > rules.cooldown:
        return True
    return bool(t == p.last_exit and rules.cooldown == 0 and side != p.was)


@_inlined
def _equity(positions: Any, account: Any, prices: Any, t: int) -> float:
    total = account.wallet
    for s in range(len(positions)):
        if positions[s].side != 0:
            total += positions[s].side * positions[s].quantity * (prices[s, t] - positions[s].entry)
    return float(total)


@_inlined
def _idle(market: Any, signals: Any, account: Any, equity: Any, t: int) -> int:
    """Passes over bars on which one symbol, flat, opens nothing; the first bar on which it may."""
    while t < len(equity) and (t == 0 or not signals[0, t - 1] & _ENTRIES):
        equity[t] = account.wallet
        t += 1
    return t


@_inlined
def _coast(p: Any, market: Any, signals: Any, rules: Any, account: Any, equity: Any, t: int) -> int:
    """Passes over bars on which the position of one symbol is only marked; the first bar on which more may happen.

    What it leaves out is what it looks for: orders due, signals, funding, the last bar. For rules without stops that
    move and without time stop.
    """
    long, wallet, units = p.side > 0, account.wallet, p.side * p.quantity
    ends = (_LONG_EXIT | _SHORT_ENTRY) if long else (_SHORT_EXIT | _LONG_ENTRY)
    low_end = p.stop if long else p.goal
    high_end = p.goal if long else p.stop
    lowest, highest, begin = np.inf, -np.inf, t
    while t < len(equity) - 1:
        low, high = market.low[0, t], market.high[0, t]
        if low <= low_end or high >= high_end or signals[0, t] & ends:
            break
        if (low if long else -high) <= (p.liquidation if long else -p.liquidation):
            break
        if rules.has_funding > 0 and market.funding[0, t] != 0:
            break
        lowest, highest = min(lowest, low), max(highest, high)
        equity[t] = wallet + units * (market.close[0, t] - p.entry)
        t += 1
    if t > begin:
        _seen(p, lowest)
        _seen(p, highest)
        account.bars_in += t - begin
    return t


@_compiled
def run_bars(  # noqa: C901, PLR0912, PLR0915 - one pass in the order above: calls with these arrays cost more than it
    market: Any, signals: Any, rule: Any, targets: Any, instruments: Any, equity: Any, book: Any, accounts: Any
) -> None:
    """Plays `signals` (int8 bits of `Signal`, shape (symbols, bars)) on `market` under `rule[0]`.

    Fills in `equity` (float64, one a bar), of `book` as many rows of trades and fills as there is room for, and
    `accounts[0]`, whose counts tell how much room it takes.
    """
    symbols, bars = market.close.shape
    rules, account = rule[0], accounts[0]
    positions, loaded = np.zeros(symbols, dtype=POSITION), np.zeros(symbols, dtype=BAR)
    exits = (targets, np.zeros((symbols, max(1, len(targets)))))
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
                        _fund(p, account, rules, bar.open, market.funding[s, t])
                    due = _due_at_open(p, bar)
                    if due > 0 and bar.volume > 0:
                        _leave(p, account, book, bar, rules, instruments[s].tick, bar.open, due)
        if t > 0:
            for s in range(symbols):
                signal, p = signals[s, t - 1], positions[s]
                if signal & _ENTRIES and p.side == 0 and market.allowed[t] and market.volume[s, t] > 0:
                    side, bar = _side(signal), loaded[s]
                    if side != 0 and _rested(p, rules, side, t) and account.open < rules.max_open:
                        _load_for_entry(bar, market, s, t)
                        bar.equity = _equity(positions, account, market.open, t)
                        _enter(p, account, book, bar, rules, exits, instruments[s], side)
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
                        _leave(p, account, book, bar, rules, instruments[s].tick, _stopped_at(p, bar), due)
                    elif p.side * ((bar.high if p.side > 0 else bar.low) - p.goal) >= 0:
                        _take_targets(p, account, book, bar, rules, exits, instruments[s].step)
                if p.side != 0:
                    _seen(p, bar.low)
                    _seen(p, bar.high)
                    _move_stop(p, bar, rules, instruments[s].tick)
                    _decide(p, rules, signals[s, t], t)
                    if t == bars - 1:
                        _leave(p, account, book, bar, rules, instruments[s].tick, bar.close, _END)
        equity[t] = _equity(positions, account, market.close, t)
