"""What becomes of one position: it is sized and opened, charged, its stop moved, and it is closed in parts or whole.

Compiled, for the bar loop. Everywhere `p` is a row of `POSITION`, `account` of `ACCOUNT`, `bar` of `BAR`, `rules` of
`RULES`; `book` the tables of trades and fills; `exits` the targets and their prices, of shape (symbols, targets).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from crypto_mcp.backtest.rules import Method, Reason, Unit
from crypto_mcp.compiling import compiled_only, inlined

_ENTRY, _STOP, _TRAILING = int(Reason.ENTRY), int(Reason.STOP), int(Reason.TRAILING)
_BREAK_EVEN, _TARGET, _LIQUIDATION = int(Reason.BREAK_EVEN), int(Reason.TARGET), int(Reason.LIQUIDATION)
_PERCENT, _ATR = int(Unit.PERCENT), int(Unit.ATR)
_BY_FIXED, _BY_RISK = int(Method.FIXED), int(Method.RISK)
_BY_VOLATILITY, _BY_KELLY = int(Method.VOLATILITY), int(Method.KELLY)
_KELLY_TRADES = 20
_EPSILON = 1e-9


@inlined
def _stepped(quantity: float, step: float) -> float:
    """Down to a whole number of the exchange's steps."""
    return quantity if step <= 0 else np.floor(quantity / step + _EPSILON) * step


@inlined
def _ticked(price: float, tick: float, way: int) -> float:
    """To the exchange's price grid: up for a buyer (1), down for a seller (-1)."""
    if tick <= 0:
        return price
    ticks = np.ceil(price / tick - _EPSILON) if way > 0 else np.floor(price / tick + _EPSILON)
    return float(ticks * tick)


@inlined
def _market_price(bar: Any, rules: Any, tick: float, price: float, way: int, quantity: float) -> float:
    """What a market order pays: half the spread and the slippage, against its owner."""
    worse = rules.half_spread + rules.slippage + rules.slippage_atr * bar.atr / price
    if rules.impact > 0 and bar.volume > 0:
        worse += rules.impact * np.sqrt(quantity / bar.volume)
    return float(_ticked(price * max(0.0, 1 + way * worse), tick, way))


@compiled_only
def _note(book: Any, account: Any, bar: Any, way: int, reason: int, price: float, quantity: float, fee: float) -> None:
    fills = book[1]
    account.fees += fee
    account.turnover += price * quantity
    if account.fills < len(fills):
        row = fills[account.fills]
        row.bar, row.symbol, row.side, row.reason = bar.index, bar.symbol, way, reason
        row.price, row.quantity, row.fee = price, quantity, fee
    account.fills += 1


@compiled_only
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


@compiled_only
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


@inlined
def seen(p: Any, price: float) -> None:
    """Notes how far price has gone for and against the position."""
    move = p.side * (price - p.entry)
    p.worst = min(p.worst, move)
    p.best = max(p.best, move)


@compiled_only
def leave(p: Any, account: Any, book: Any, bar: Any, rules: Any, tick: float, price: float, reason: int) -> None:
    """Closes a whole position by a market order when price is at `price`; when liquidated, where no margin is left."""
    fee = 0.0
    if reason == _LIQUIDATION:
        price = p.entry - p.side * p.margin / p.quantity
        seen(p, price)
    else:
        seen(p, price)
        price = _market_price(bar, rules, tick, price, -p.side, p.quantity)
        fee = price * p.quantity * rules.taker
    _reduce(p, account, book, bar, p.quantity, price, fee, reason)


@inlined
def _set_liquidation(p: Any, rules: Any) -> None:
    """Price at which margin and unrealised result fall to the maintenance margin."""
    if p.side > 0:
        p.liquidation = (p.entry - p.margin / p.quantity) / (1 - rules.maintenance)
    else:
        p.liquidation = (p.entry + p.margin / p.quantity) / (1 + rules.maintenance)


@compiled_only
def fund(p: Any, account: Any, rules: Any, price: float, rate: float) -> None:
    """Pays funding out of the position's margin."""
    paid = p.side * p.quantity * price * rate
    account.wallet -= paid
    account.margin -= paid
    account.funding += paid
    p.margin -= paid
    p.funding += paid
    _set_liquidation(p, rules)


@compiled_only
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


@compiled_only
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


@compiled_only
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


@compiled_only
def enter(p: Any, account: Any, book: Any, bar: Any, rules: Any, exits: Any, instrument: Any, side: int) -> None:
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


@inlined
def _distance(p: Any, atr: float, unit: int, distance: float) -> float:
    return distance * float(p.entry if unit == _PERCENT else atr if unit == _ATR else p.risk)


@compiled_only
def _nearest(p: Any, exits: Any, s: int) -> float:
    """Price of the nearest target that is not filled, NaN for none."""
    targets, goals = exits
    nearest = np.nan
    for k in range(len(targets)):
        if not p.filled & (1 << k) and not p.side * (goals[s, k] - nearest) >= 0:
            nearest = goals[s, k]
    return nearest


@compiled_only
def take_targets(p: Any, account: Any, book: Any, bar: Any, rules: Any, exits: Any, step: float) -> None:
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
            seen(p, goal)
            _reduce(p, account, book, bar, quantity, goal, goal * quantity * rules.maker, _TARGET)
    p.goal = _nearest(p, exits, bar.symbol)


@inlined
def move_stop(p: Any, bar: Any, rules: Any, tick: float) -> None:
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
