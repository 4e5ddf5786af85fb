"""Whether a crossing is told, and when: cooldown, quiet hours, how often a day, expiry."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

Verdict = Literal["told", "cooldown", "max_per_day", "expired", "over"]
LATE_AFTER = 2.0
"""Seconds from an event to its being noticed from which a message says how late it is."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a crossing; `not_before` is the end of quiet hours, where it falls into them."""

    verdict: Verdict
    not_before: datetime | None = None

    @property
    def told(self) -> bool:
        """Whether it is told."""
        return self.verdict == "told"


def decide(alert: dict[str, Any], at: datetime, now: datetime) -> Decision:
    """Of a crossing at `at`, noticed at `now`; both with their zone.

    Args:
        alert: the stored document.
    """
    if alert["status"] != "active":
        return Decision("over")
    expires = alert.get("expires_at")
    if expires is not None and at >= expires:
        return Decision("expired")
    last, cooldown = alert.get("last_told_at"), alert.get("cooldown_minutes") or 0
    if last is not None and at < last + timedelta(minutes=cooldown):
        return Decision("cooldown")
    most, day = alert.get("max_per_day"), alert.get("day") or {}
    if most is not None and day.get("date") == day_of(alert, at) and day.get("count", 0) >= most:
        return Decision("max_per_day")
    quiet = alert.get("quiet_hours")
    if quiet and alert.get("priority") != "critical":
        return Decision("told", end_of_quiet(quiet, alert.get("time_zone"), now))
    return Decision("told")


def day_of(alert: dict[str, Any], at: datetime) -> str:
    """The owner's day."""
    return f"{at.astimezone(ZoneInfo(alert.get('time_zone') or 'UTC')):%Y-%m-%d}"


def end_of_quiet(quiet: str, zone: str | None, now: datetime) -> datetime | None:
    """When the quiet hours end in which `now` lies; None if it lies in none. They may go over midnight."""
    begin, end = (time.fromisoformat(part) for part in quiet.split("-"))
    local = now.astimezone(ZoneInfo(zone or "UTC"))
    of_day = local.time().replace(tzinfo=None)
    if begin <= end:
        inside, days = begin <= of_day < end, 0
    else:
        inside, days = of_day >= begin or of_day < end, int(of_day >= begin)
    if not inside:
        return None
    # Of the wall clock: where the clocks change that night it is the hour that the clock on the wall shows, and of an
    # hour that comes twice the one that is still to come.
    over = datetime.combine(local.date() + timedelta(days=days), end, local.tzinfo)
    first, second = (over.replace(fold=fold).astimezone(now.tzinfo) for fold in (0, 1))
    return first if first > now else second
