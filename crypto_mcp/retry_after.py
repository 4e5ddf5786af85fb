"""The header `Retry-After` (RFC 9110, section 10.2.3), whoever sends it."""

from __future__ import annotations

import math
import time
from email.utils import parsedate_to_datetime


def asked_pause(value: str | None) -> float | None:
    """Seconds that a header's value asks for, given as a number or as a date; None where it asks for nothing."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
