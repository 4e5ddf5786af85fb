"""Price alerts as `alert_manager` keeps them, by the hundred thousand."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from crypto_mcp.alerts.definition import Level, Side, price_alert
from crypto_mcp.models.timeframes import Timeframe
from workers.alerts import level_document

_LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def price_document(
    alert_id: str, symbol: str, side: Side, level: Decimal, *, owner: str, price: float | None = None,
    repeat: bool = False, channel: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The document of an alert that has been there for long."""
    definition = price_alert(Level(level, side), symbol)
    kept, armed = level_document(Level(level, side), price, 0.0)
    return {
        "alert_id": alert_id, "user_id": owner, "symbol": symbol, "type": "price", "watch": "price",
        "condition": definition.condition, "sentence": definition.sentence, "status": "active", "level": kept,
        "repeat": repeat, "number": 0, "armed_number": 0 if armed else -1, "armed_at": _LONG_AGO, "version": 1,
        "created_at": _LONG_AGO, "changed_at": _LONG_AGO, "firings": 0, "suppressed": 0, "recent": [], "outbox": [],
        "priority": "normal", "channel": channel,
    }  # fmt: skip


def bar_document(
    alert_id: str, symbol: str, timeframe: Timeframe, condition: str, *, owner: str, armed_at: datetime,
    repeat: bool = False, rearm: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The document of an alert on closed bars that is armed since a time."""
    made = price_document(alert_id, symbol, "above", Decimal(1), owner=owner, repeat=repeat)
    return made | {
        "type": "technical", "watch": "bars", "condition": condition, "sentence": condition, "level": None,
        "timeframe": str(timeframe), "rearm": rearm, "armed_at": armed_at,
    }  # fmt: skip
