"""The notification of a firing."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import quote

from crypto_mcp.alerts.firing import LATE_AFTER
from crypto_mcp.alerts.message import duration, filled
from crypto_mcp.models.notifications import Notification


def notification_of(
    alert: dict[str, Any], number: int, at: datetime, now: datetime, *, price: float | None, words: str = ""
) -> Notification:
    """What is sent of an alert's `number`th firing.

    Args:
        alert: the stored document.
        at, now: when it became true, and when that was noticed; by the exchange's clock.
        price: of the symbol, or the figure, then.
        words: more to say of it.
    """
    late = max(0.0, (now - at).total_seconds())
    late_by = round(late, 1) if late > LATE_AFTER else None
    subject = alert.get("symbol") or alert.get("portfolio_id") or "market"
    values = {
        "symbol": subject,
        "price": "" if price is None else figure(price),
        "value": "" if price is None else figure(price),
        "condition": alert["condition"],
        "time": f"{at:%Y-%m-%d %H:%M:%S} UTC",
        "name": alert.get("name") or "",
        "timeframe": alert.get("timeframe") or "",
        "late_by": "" if late_by is None else duration(late_by),
        "firing": str(number),
    }
    template = alert.get("message")
    text = filled(template, values) if template else _usual(alert, values, words)
    if late_by is not None and not (template and "{late_by}" in template):
        text += f"\nLate by {values['late_by']}: it happened at {values['time']}."
    fields = {name: values[name] for name in ("price", "condition", "time", "timeframe", "late_by") if values[name]}
    return Notification(
        notification_id=f"{alert['alert_id']}.{number}",
        owner=alert["user_id"],
        channel=alert.get("channel"),
        priority=alert.get("priority") or "normal",
        title=(alert.get("name") or f"{subject}: {alert['condition']}")[:200],
        text=text[:3000],
        symbol=alert.get("symbol"),
        at=at,
        late_by_s=late_by,
        about=alert["alert_id"],
        fields={name: value[:200] for name, value in fields.items()},
        chart=chart_of(alert),
    )


def chart_of(alert: dict[str, Any]) -> str | None:
    """Where the chart of the alert's symbol is drawn, where its owner wants one."""
    base, symbol = alert.get("charts"), alert.get("symbol")
    if not base or not symbol:
        return None
    return f"{base.rstrip('/')}/v1/chart.png?symbol={quote(symbol)}&timeframe={alert.get('timeframe') or '1h'}"


def figure(value: float) -> str:
    """With as many digits as tell something, never as an exponent."""
    text = f"{value:.10g}"
    return text if "e" not in text else f"{value:.12f}".rstrip("0").rstrip(".")


def _usual(alert: dict[str, Any], values: dict[str, str], words: str) -> str:
    lines = [alert["sentence"]]
    if values["price"]:
        of = f" on bars of {values['timeframe']}" if values["timeframe"] else ""
        lines.append(f"{'Now' if alert['watch'] != 'metric' else 'It is'} {values['price']}{of}, {values['time']}.")
    if words:
        lines.append(words)
    return "\n".join(lines)
