"""From what an alert's owner wrote to what is watched."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from crypto_mcp.alerts import shortcuts
from crypto_mcp.conditions import ConditionError, parse
from crypto_mcp.conditions.history import within
from crypto_mcp.errors import InvalidRequest
from crypto_mcp.models.money import plain
from crypto_mcp.models.timeframes import Timeframe

if TYPE_CHECKING:
    from crypto_mcp.conditions import Condition
    from crypto_mcp.models.alerts import AlertType, Watch

Side = Literal["above", "below", "either"]

MARKET_METRICS = {
    "funding": "the funding rate for 8 hours",
    "open_interest": "open interest (contracts)",
    "open_interest_change": "the change of open interest over 24 hours",
}
PORTFOLIO_METRICS = {
    "equity": "equity",
    "pnl": "profit and loss",
    "pnl_percent": "profit and loss over contributions",
    "drawdown": "the drawdown from the peak",
    "var_95": "value at risk (95 %, one day) over equity",
    "exposure": "gross exposure over equity",
    "liquidation_distance": "the way to the nearest liquidation",
}
PERCENTAGES = frozenset(
    {"funding", "open_interest_change", "pnl_percent", "drawdown", "var_95", "exposure", "liquidation_distance"}
)
METRICS = MARKET_METRICS | PORTFOLIO_METRICS

_METRIC = re.compile(
    rf"\s*([a-z_0-9]+(?:\s+[a-z]+){{0,2}})\s*(>=|<=|>|<|above|below)\s*(-?)\s*{shortcuts.NUMBER}\s*(%?)\s*",
    re.IGNORECASE,
)
_SPOKEN = {
    "funding_rate": "funding", "oi": "open_interest", "oi_change": "open_interest_change", "profit": "pnl",
    "var": "var_95",
}  # fmt: skip
_SIGNS = {"above": ">", "below": "<"}
_SIGN_WORDS = {">": "is above", ">=": "is at least", "<": "is below", "<=": "is at most"}
_CROSSINGS: tuple[tuple[str, Side], ...] = (
    ("close > {0}", "above"),
    ("{0} < close", "above"),
    ("close >= {0}", "above"),
    ("{0} <= close", "above"),
    ("crosses_above(close, {0})", "above"),
    ("close < {0}", "below"),
    ("{0} > close", "below"),
    ("close <= {0}", "below"),
    ("{0} >= close", "below"),
    ("crosses_below(close, {0})", "below"),
    ("crosses(close, {0})", "either"),
)


class NoSymbol(InvalidRequest):
    """The alert says nothing of which symbol it watches."""

    code = "no_symbol"


@dataclass(frozen=True, slots=True)
class Level:
    """A price and the way it is to be crossed; `inclusive`: reaching it is enough."""

    price: Decimal
    side: Side
    inclusive: bool = False

    def fires_beyond(self) -> float:
        """Above: prices above this fire; below: prices below."""
        price = float(self.price)
        if not self.inclusive:
            return price
        return math.nextafter(price, -math.inf if self.side == "above" else math.inf)

    def released_at(self, hysteresis_percent: float) -> float:
        """Above: at this price or below it can fire again; below: the mirror image."""
        part = hysteresis_percent / 100
        return self.fires_beyond() * (1 - part if self.side == "above" else 1 + part)


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure that no stream tells, and its bound."""

    name: str
    sign: str
    bound: float

    def holds(self, value: float) -> bool:
        """Whether the figure is beyond its bound."""
        return {">": value > self.bound, ">=": value >= self.bound, "<": value < self.bound, "<=": value <= self.bound}[
            self.sign
        ]

    def released(self, value: float, hysteresis_percent: float) -> bool:
        """Whether the figure has come back so far that it may fire again: by so many percent of its bound."""
        back = abs(self.bound) * hysteresis_percent / 100
        return not replace(self, bound=self.bound + (-back if self.sign.startswith(">") else back)).holds(value)


@dataclass(frozen=True, slots=True)
class Definition:
    """What an alert watches.

    Attributes:
        type: what kind of alert it is.
        watch: by what it is looked at.
        condition: canonical text.
        sentence: how it reads.
        symbol, timeframe, portfolio_id: where they apply.
        level: of a price alert.
        from_now: of a price alert whose level lies so many percent from the price at creation.
    """

    type: AlertType
    watch: Watch
    condition: str
    sentence: str
    symbol: str | None = None
    timeframe: Timeframe | None = None
    portfolio_id: str | None = None
    level: Level | None = None
    metric: Metric | None = None
    from_now: float | None = None


def understand(
    text: str,
    *,
    symbol: str | None = None,
    timeframe: Timeframe | None = None,
    intrabar: bool = False,
    portfolio_id: str | None = None,
) -> Definition:
    """What a text means as an alert.

    Raises:
        ConditionError: it is no condition; says at which column.
        NoSymbol: it needs a symbol and none is given.
    """
    if portfolio_id is not None:
        return _of_portfolio(text, portfolio_id)
    written = shortcuts.read(text, named=symbol is not None, words=frozenset(METRICS))
    symbol, timeframe = symbol or written.symbol, written.timeframe or timeframe
    metric, condition = _read(written, text)
    if metric is not None and metric.name in PORTFOLIO_METRICS:
        raise InvalidRequest(
            f"{metric.name} is a figure of a portfolio", hint="Give portfolio_id; `default` is the usual one."
        )
    if symbol is None:
        raise NoSymbol("the alert names no symbol", hint="Write it first, `BTC > 45k`, or give `symbol`.")
    if metric is not None:
        return _of_metric(metric, symbol=symbol)
    if written.from_now is not None:
        return _from_now(written.from_now, symbol)
    assert condition is not None
    level = level_of(condition) if timeframe is None and not intrabar else None
    if level is not None:
        return price_alert(level, symbol)
    return Definition(
        type=_type(condition),
        watch="intrabar" if intrabar else "bars",
        condition=condition.text,
        sentence=condition.sentence,
        symbol=symbol,
        timeframe=timeframe or Timeframe.H1,
    )


def price_alert(level: Level, symbol: str) -> Definition:
    """The definition of a price alert."""
    price = plain(level.price)
    sign = {"above": ">=" if level.inclusive else ">", "below": "<=" if level.inclusive else "<"}.get(level.side)
    return Definition(
        type="price",
        watch="price",
        condition=f"price {sign} {price}" if sign else f"crosses(price, {price})",
        sentence={
            "above": f"The price of {symbol} rises {'to' if level.inclusive else 'above'} {price}.",
            "below": f"The price of {symbol} falls {'to' if level.inclusive else 'below'} {price}.",
            "either": f"The price of {symbol} crosses {price}, either way.",
        }[level.side],
        symbol=symbol,
        level=level,
    )


def level_of(condition: Condition) -> Level | None:
    """The level, if the condition is that the price crosses one."""
    numbers = [step.options[0] for step in condition.plan.steps if step.operation == "number"]
    if len(numbers) != 1 or not isinstance(numbers[0], float) or numbers[0] <= 0:
        return None
    written = repr(numbers[0])
    price = plain(Decimal(written))
    for pattern, side in _CROSSINGS:
        if parse(pattern.format(price)).plan == condition.plan:
            return Level(Decimal(price), side, inclusive="=" in pattern)
    return None


def metric_of(text: str) -> Metric | None:
    """The figure and its bound, if that is what the text says. ConditionError where the unit is wrong."""
    found = _METRIC.fullmatch(text)
    if found is None:
        return None
    name = "_".join(found[1].lower().split())
    name = _SPOKEN.get(name, name)
    if name not in METRICS:
        return None
    if name in PERCENTAGES and not found[6]:
        raise ConditionError(
            f"{name} is a percentage", column=found.start(4) + 1, found=found[4], advice=f"Write {found[3]}{found[4]}%."
        )
    if name not in PERCENTAGES and found[6]:
        raise ConditionError(f"{name} is no percentage", column=found.start(6) + 1, found="%", advice="Leave it out.")
    sign = found[2].lower()
    return Metric(name, _SIGNS.get(sign, sign), float(f"{found[3]}{shortcuts.spelled(found[4], found[5])}"))


def _of_portfolio(text: str, portfolio_id: str) -> Definition:
    metric = metric_of(text)
    if metric is None or metric.name not in PORTFOLIO_METRICS:
        raise ConditionError(
            "this is no condition on a portfolio",
            column=1,
            found=text.split(maxsplit=1)[0][:20] if text.strip() else "nothing",
            advice=f"Figures: {', '.join(PORTFOLIO_METRICS)}.",
            example="drawdown > 10%",
        )
    return _of_metric(metric, portfolio_id=portfolio_id)


def _of_metric(metric: Metric, *, symbol: str | None = None, portfolio_id: str | None = None) -> Definition:
    percent = "%" if metric.name in PERCENTAGES else ""
    bound = plain(Decimal(repr(metric.bound)))
    whose = f"of {symbol}" if symbol else f"of portfolio {portfolio_id}"
    words = METRICS[metric.name]
    return Definition(
        type="portfolio" if portfolio_id else "funding",
        watch="metric",
        condition=f"{metric.name} {metric.sign} {bound}{percent}",
        sentence=f"{words[0].upper()}{words[1:]} {whose} {_SIGN_WORDS[metric.sign]} {bound}{percent and ' %'}.",
        symbol=symbol,
        portfolio_id=portfolio_id,
        metric=metric,
    )


def _from_now(percent: float, symbol: str) -> Definition:
    return Definition(
        type="price",
        watch="price",
        condition="",
        sentence=f"The price of {symbol} {'rises' if percent > 0 else 'falls'} {abs(percent):g} % from where it is.",
        symbol=symbol,
        from_now=percent,
    )


def _read(written: shortcuts.Written, text: str) -> tuple[Metric | None, Condition | None]:
    """The figure or the condition; a column of an error is that of what was written, where it stands there."""
    try:
        metric = metric_of(written.condition)
        needless = metric is not None or written.from_now is not None
        return metric, None if needless else parse(written.condition)
    except ConditionError as error:
        raise ConditionError(
            error.message.partition(": ")[2],
            column=_column_in(text, written, error),
            found=error.found,
            nearest=error.nearest,
            advice=error.hint.partition("For example:")[0].strip() if not error.nearest else "",
            example=error.example,
        ) from None


def _column_in(text: str, written: shortcuts.Written, error: ConditionError) -> int:
    at = error.column - 1
    if written.places:
        return written.places[at] + 1 if at < len(written.places) else len(text) + 1
    return max(text.find(error.found), 0) + 1  # a shortcut was put together anew: where the text says what was found


def _type(condition: Condition) -> AlertType:
    """By what the condition looks at."""
    steps = [step for plan in within(condition.plan) for step in plan.steps]
    if any(step.operation == "event" and step.options[0] not in ("pattern", "divergence") for step in steps):
        return "structure"
    if any(step.operation == "column" and step.options[0] == "volume" for step in steps):
        return "volume"
    operations = {step.operation for step in steps}
    if "change" in operations and not operations & {"indicator", "event"}:
        return "percent"
    return "technical"
