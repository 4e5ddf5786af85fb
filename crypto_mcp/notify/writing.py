"""Notifications as text: one as it is, several as a digest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crypto_mcp.notify.sending import Message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crypto_mcp.models.notifications import Notification

_LINES_OF_A_DIGEST = 30
_MARKS = {"critical": "Urgent: ", "high": "Important: ", "normal": ""}


def write(message_id: str, notifications: Sequence[Notification]) -> Message:
    """The message that carries these notifications, the oldest first."""
    if len(notifications) == 1:
        return _single(message_id, notifications[0])
    count, newest = len(notifications), max(each.at for each in notifications)
    symbols = list(dict.fromkeys(each.symbol for each in notifications if each.symbol))
    title = f"{count} alerts" + (f": {', '.join(symbols[:4])}" if symbols else "")
    if len(symbols) > 4:
        title += f" and {len(symbols) - 4} more"
    lines = [_line(each) for each in notifications[:_LINES_OF_A_DIGEST]]
    if count > _LINES_OF_A_DIGEST:
        lines.append(f"… and {count - _LINES_OF_A_DIGEST} more; `alert_manager` has them all.")
    return Message(message_id, title, "\n".join(lines), newest)


def _single(message_id: str, told: Notification) -> Message:
    lines = [told.text] if told.text else []
    if told.chart is not None:
        lines.append(str(told.chart))
    data: dict[str, Any] = told.model_dump(mode="json", exclude={"owner", "channel"}, exclude_none=True)
    title = _MARKS[told.priority] + " ".join(told.title.split())
    return Message(message_id, title, "\n".join(lines), told.at, data=data)


def _line(told: Notification) -> str:
    late = _late(told)
    return f"• {told.at:%H:%M:%S} {' '.join(told.title.split())}" + (f" ({late})" if late else "")


def _late(told: Notification) -> str | None:
    if told.late_by_s is None or told.late_by_s < 1:
        return None
    seconds = int(told.late_by_s)
    units = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    size, unit = next((size, unit) for size, unit in units if seconds >= size)
    return f"noticed {seconds // size} {unit} late"
