"""The exchange's time as its events tell it."""

from __future__ import annotations

import time

_BUCKET_MS = 60_000.0


class HeardTime:
    """Events are never from the future: the latest of them, and what has passed since, is the best that is known.

    What was heard longer than two minutes ago no longer counts, so one wrong event does no lasting harm. Until the
    first event it is this machine's time.
    """

    def __init__(self) -> None:
        self._began = _monotonic()
        self._ahead: float | None = None
        self._ahead_before: float | None = None

    def heard(self, at: int) -> None:
        """An event told that it was made at `at`, ms since the epoch."""
        now = _monotonic()
        if now - self._began > _BUCKET_MS:
            self._began, self._ahead_before, self._ahead = now, self._ahead, None
        ahead = at - now
        self._ahead = ahead if self._ahead is None else max(self._ahead, ahead)

    def now(self) -> int:
        """The exchange's time in ms since the epoch."""
        known = [ahead for ahead in (self._ahead, self._ahead_before) if ahead is not None]
        return int(_monotonic() + max(known)) if known else time.time_ns() // 1_000_000


def _monotonic() -> float:
    return time.monotonic() * 1000
