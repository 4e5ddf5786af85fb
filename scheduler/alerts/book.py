"""What a watcher watches: price levels by symbol, and how many conditions lie on which bars."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from crypto_mcp.alerts.levels import ABOVE, BELOW, Levels, Move, Threshold
from crypto_mcp.models.timeframes import Timeframe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from crypto_mcp.alerts.levels import Arming, Crossing

Series = tuple[str, Timeframe]
_BY_STREAM = frozenset({"price", "bars", "intrabar"})


class AlertBook:
    """The alerts of some symbols. What changed is put again; what is not active any more goes."""

    def __init__(self) -> None:
        self._levels: dict[str, Levels] = {}
        self._conditions: Counter[Series] = Counter()
        self._places: dict[str, Series] = {}
        self._symbols: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._places)

    def put(self, document: Mapping[str, Any]) -> None:
        """An alert as it is kept. Of what this watcher knows itself the newer counts: its firing may be on its way."""
        alert_id = document["alert_id"]
        if document["status"] != "active" or document["watch"] not in _BY_STREAM:
            self.drop(alert_id)
            return
        symbol, watch = document["symbol"], document["watch"]
        series = (symbol, Timeframe(document["timeframe"]) if watch == "bars" else Timeframe.M1)
        if self._places.get(alert_id) != series or watch != "price":
            self.drop(alert_id)
            self._places[alert_id] = series
            self._symbols[symbol] += 1
            if watch != "price":
                self._conditions[series] += 1
        if watch == "price":
            levels = self._levels.setdefault(symbol, Levels())
            levels.put(_newer(threshold_of(document), levels.get(alert_id)))

    def drop(self, alert_id: str) -> None:
        """Watches an alert no more."""
        series = self._places.pop(alert_id, None)
        if series is None:
            return
        symbol = series[0]
        levels = self._levels.get(symbol)
        if levels is not None and levels.get(alert_id) is not None:
            levels.drop(alert_id)
            if not len(levels):
                del self._levels[symbol]
        elif self._conditions[series] > 1:
            self._conditions[series] -= 1
        else:
            del self._conditions[series]
        self._symbols[symbol] -= 1
        if not self._symbols[symbol]:
            del self._symbols[symbol]

    def keep_only(self, symbols: Iterable[str]) -> None:
        """Drops the alerts on all other symbols."""
        wanted = set(symbols)
        for alert_id in [alert_id for alert_id, series in self._places.items() if series[0] not in wanted]:
            self.drop(alert_id)

    def step(self, symbol: str, move: Move) -> tuple[list[Crossing], list[Arming]]:
        """What a move of a price does."""
        levels = self._levels.get(symbol)
        if levels is None:
            return [], []
        crossings, armings = levels.step(move)
        for crossing in crossings:
            if levels.get(crossing.alert_id) is None:
                self._forget(crossing.alert_id, symbol)
        return crossings, armings

    def _forget(self, alert_id: str, symbol: str) -> None:
        """It has fired for the last time."""
        self._places.pop(alert_id, None)
        self._symbols[symbol] -= 1
        if not self._symbols[symbol]:
            del self._symbols[symbol]
            self._levels.pop(symbol, None)

    @property
    def symbols(self) -> set[str]:
        """Those that are watched."""
        return set(self._symbols)

    def has_levels(self, symbol: str) -> bool:
        """Whether prices of it are watched."""
        return symbol in self._levels

    def has_conditions(self, series: Series) -> bool:
        """Whether conditions lie on its bars."""
        return series in self._conditions

    @property
    def wanted(self) -> dict[str, set[Timeframe]]:
        """Timeframes whose closed bars are needed, by symbol: minutes where prices are watched."""
        frames: dict[str, set[Timeframe]] = {symbol: {Timeframe.M1} for symbol in self._levels}
        for symbol, timeframe in self._conditions:
            frames.setdefault(symbol, set()).add(timeframe)
        return frames


def threshold_of(document: Mapping[str, Any]) -> Threshold:
    """A price alert as it is kept."""
    level, number = document["level"], document["number"]
    crossed = document.get("crossed_at")
    return Threshold(
        alert_id=document["alert_id"],
        side=ABOVE if level["side"] == "above" else BELOW,
        level=level["beyond"],
        release=level["release"],
        repeat=document["repeat"],
        flips=level["flips"],
        number=number,
        armed=document["armed_number"] >= number,
        since=max(_ms(document["armed_at"]), 0 if crossed is None else _ms(crossed)),
    )


def _newer(kept: Threshold, known: Threshold | None) -> Threshold:
    """Number and state of the one that knows more: a firing that was sent off is not in the document yet."""
    if known is not None:
        kept.number = max(kept.number, known.number)
        if known.since > kept.since:
            kept.armed, kept.since, kept.side = known.armed, known.since, known.side if kept.flips else kept.side
    return kept


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
