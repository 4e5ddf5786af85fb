"""Jobs of crossings, and bars as moves."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from crypto_mcp.alerts.levels import ABOVE, Move
from crypto_mcp.models.alerts import Crossed, FireParams

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from crypto_mcp.alerts.levels import Crossing
    from crypto_mcp.market.live import ClosedBar


def fire_job(symbol: str, move: Move, crossings: Sequence[Crossing], heard: int) -> FireParams:
    """The job of a move and what it crossed; `heard` is the newest that the exchange said, ms."""
    crossed = [Crossed(alert_id=c.alert_id, number=c.number, level=c.level, above=c.side == ABOVE) for c in crossings]
    return FireParams(
        symbol=symbol, low=move.low, high=move.high, price=move.price, at=move.at, noticed_at=heard, crossed=crossed
    )


def still_to_do(params: FireParams, numbers: Mapping[str, int]) -> FireParams | None:
    """The part of a job that has left no trace: the alert is active and its last crossing is an earlier one."""
    crossed = [each for each in params.crossed if numbers.get(each.alert_id, each.number) < each.number]
    return params.model_copy(update={"crossed": crossed}) if crossed else None


def move_of(bar: ClosedBar) -> Move:
    """A closed minute as a move of the price."""
    return Move(bar.low, bar.high, bar.close, bar.open_time, bar.open_time + bar.timeframe.milliseconds)


def moment(ms: int) -> datetime:
    """Of ms since the epoch."""
    return datetime.fromtimestamp(ms / 1000, UTC)
