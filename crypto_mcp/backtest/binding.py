"""From a strategy as people write it to the numbers of the loop: parameters filled in, distances read."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

import numpy as np

from crypto_mcp.backtest.rules import RULES, TARGET, Method, Records, Unit
from crypto_mcp.errors import InvalidRequest
from crypto_mcp.models.backtest import BacktestParams
from crypto_mcp.models.strategy import PLACEHOLDER, Strategy

_UNITS = {"%": Unit.PERCENT, "atr": Unit.ATR, "r": Unit.RISK}
_NO_LIMIT = 2**31


class BadStrategy(InvalidRequest):
    """A strategy whose numbers contradict each other or the market."""

    code = "bad_strategy"


def bound(strategy: Strategy, values: Mapping[str, float] | None = None) -> Strategy:
    """The strategy with numbers for all its parameters: `values`, else its own. BadStrategy for unknown names."""
    known = strategy.parameters | dict(values or {})
    unknown = sorted(known.keys() - strategy.parameters.keys())
    if unknown:
        takes = ", ".join(strategy.parameters) or "none"
        raise BadStrategy(f"{strategy.name} has no parameter {unknown[0]}", hint=f"Its parameters: {takes}.")
    if not strategy.parameters:
        return strategy
    words = {name: written(value) for name, value in known.items()}
    filled = PLACEHOLDER.sub(lambda found: words[found[1]], strategy.model_dump_json(exclude={"parameters"}))
    return Strategy.model_validate_json(filled)


def written(value: float) -> str:
    """A number as it stands in a condition."""
    return np.format_float_positional(value, trim="-")


def distance(text: str) -> tuple[Unit, float]:
    """Unit and size of a distance such as `3%`, `2 atr`, `1.5R`; percent as a fraction."""
    number = text.strip().lower()
    unit = next(word for word in _UNITS if number.endswith(word))
    value = float(number.removesuffix(unit))
    return _UNITS[unit], value / 100 if unit == "%" else value


def rules_of(strategy: Strategy, params: BacktestParams) -> Records:
    """One row of `RULES` for a strategy without open parameters."""
    costs, perpetual = params.costs, params.market == "perpetual"
    row = np.zeros(1, RULES)
    row["capital"], row["leverage"] = params.capital, params.leverage
    row["maintenance"] = costs.maintenance_margin / 100 if perpetual else 0.0
    row["maker"], row["taker"] = costs.maker_fee / 100, costs.taker_fee / 100
    row["half_spread"], row["slippage"] = costs.spread / 200, costs.slippage / 100
    row["slippage_atr"], row["impact"] = costs.slippage_atr / 100, costs.impact / 100
    row["has_funding"] = perpetual and costs.funding != 0
    row["max_open"] = strategy.max_open or _NO_LIMIT
    row["max_bars"] = _whole(strategy.max_bars or 0, "max_bars")
    row["cooldown"] = _whole(strategy.cooldown, "cooldown")
    _set_stops(row, strategy)
    _set_sizing(row, strategy, len(params.symbols))
    _check(row, strategy, params)
    return row


def targets_of(strategy: Strategy) -> Records:
    """A row of `TARGET` for each target."""
    rows = np.zeros(len(strategy.targets), TARGET)
    for row, target in zip(rows, strategy.targets, strict=True):
        row["unit"], row["distance"] = distance(target.at)
        row["share"] = target.share / 100
    return rows


def _set_stops(row: Records, strategy: Strategy) -> None:
    for text in strategy.stops:
        if text.strip() == "structure":
            row["stop_structure"] = 1
            continue
        unit, size = distance(text)
        name = "stop_percent" if unit is Unit.PERCENT else "stop_atr"
        row[name] = min(size, row[name][0] or inf)
    if strategy.trailing is not None:
        unit, size = distance(strategy.trailing)
        row["trail_percent" if unit is Unit.PERCENT else "trail_atr"] = size
    if strategy.break_even is not None:
        row["even_unit"], row["even"] = distance(strategy.break_even)


def _set_sizing(row: Records, strategy: Strategy, symbols: int) -> None:
    method, amount = strategy.sizing.method, strategy.sizing.amount
    if amount is None:
        if method != "equity":
            raise BadStrategy(f"sizing by {method} needs an amount", hint="Give it in sizing.amount.")
        amount = 100 / symbols
    row["method"] = Method[method.upper()]
    row["amount"] = float(amount) / (1 if method == "fixed" else 100)


def _check(row: Records, strategy: Strategy, params: BacktestParams) -> None:
    """Numbers that contradict each other. BadStrategy says which."""
    ways = [*strategy.stops, strategy.trailing, strategy.break_even, *(target.at for target in strategy.targets)]
    for text in ways:
        if text is not None and text.strip() != "structure" and distance(text)[1] <= 0:
            raise BadStrategy(f"a distance of {text} is none", hint="Stops and targets lie away from the entry.")
    stop, trail = row["stop_percent"][0], row["trail_percent"][0]
    if max(stop, trail) >= 1:
        raise BadStrategy("a stop of 100% or more of the price never fires", hint="Give less, such as 3%.")
    goals = [distance(target.at) for target in strategy.targets]
    if strategy.short_entry is not None and any(unit is Unit.PERCENT and way >= 1 for unit, way in goals):
        raise BadStrategy("a short's target lies below zero", hint="Give less than 100%.")
    if row["method"][0] != Method.FIXED and row["method"][0] != Method.VOLATILITY and row["amount"][0] > 1:
        raise BadStrategy("more than 100 percent of equity cannot be put up", hint="Give at most 100 in sizing.amount.")
    if row["amount"][0] <= 0:
        raise BadStrategy("sizing.amount must be above 0", hint="Such as 1 percent at risk.")
    _check_leverage(row, params)


def _check_leverage(row: Records, params: BacktestParams) -> None:
    """A position must not be liquidated where it is opened, nor before its stop."""
    leverage, maintenance = params.leverage, params.costs.maintenance_margin / 100
    if params.market != "perpetual" or leverage <= 1:
        return
    room = (1 / leverage - maintenance) / (1 - maintenance)
    if room <= 0:
        raise BadStrategy(
            f"at {leverage:g} times leverage the margin is no more than the maintenance margin",
            hint=f"Take less than {1 / maintenance:.0f} times.",
        )
    if row["stop_percent"][0] >= room:
        raise BadStrategy(
            f"a stop of {100 * row['stop_percent'][0]:g}% never fires: at {leverage:g} times leverage the position is "
            f"liquidated {100 * room:.2g}% from its entry",
            hint="Take less leverage, or a nearer stop.",
        )


def _whole(value: float | str, name: str) -> int:
    number = float(value)
    if number < 0 or number != int(number) or number >= _NO_LIMIT:
        raise BadStrategy(f"{name} must be a whole number of bars, not {number:g}", hint="Such as 24.")
    return int(number)
