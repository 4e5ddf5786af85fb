"""A host that does not answer is left alone for a while, longer each time; then one call tries it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

FAILURES_IN_A_ROW = 3
FIRST_BREATHER, LONGEST_BREATHER = 5.0, 60.0


@dataclass(slots=True)
class Breaker:
    """Of one host in one process. Counts calls that failed in all their attempts."""

    failures: int = 0
    _until: float = 0.0
    _breather: float = 0.0
    _answered_at: float | None = None
    _failing_since: float | None = None
    _why: str = ""

    @property
    def open_for(self) -> float:
        """Seconds for which calls fail at once; 0 if they may try."""
        return max(0.0, self._until - time.monotonic())

    @property
    def trying(self) -> bool:
        """Whether the next call is only to find out if the host is back: it tries once."""
        return self.failures >= FAILURES_IN_A_ROW

    def try_one(self) -> None:
        """A call goes out to find out; until it is known what came of it the others fail at once."""
        if self.trying:
            self._until = time.monotonic() + self._breather

    def failed(self, why: str) -> None:
        """A call failed in all its attempts."""
        self.failures += 1
        self._why = why
        self._failing_since = self._failing_since or time.time()
        if self.failures >= FAILURES_IN_A_ROW:
            self._breather = min(2 * self._breather or FIRST_BREATHER, LONGEST_BREATHER)
            self._until = time.monotonic() + self._breather

    def answered(self) -> None:
        """The host answered, with whatever: it is there."""
        self.failures, self._breather, self._until = 0, 0.0, 0.0
        self._answered_at, self._failing_since = time.time(), None

    @property
    def known(self) -> str:
        """What it said last, since when, and when it was last heard of, in words; nothing while it answers."""
        if self._failing_since is None:
            return ""
        heard = f", last heard of at {_clock(self._answered_at)}" if self._answered_at else ""
        return f"{self._why} (since {_clock(self._failing_since)}{heard})"


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S} UTC"
