"""One symbol's bars of one timeframe as they become known: in order, each once, with what is missing in between."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crypto_mcp.market.live import ClosedBar
    from crypto_mcp.models.timeframes import Timeframe

_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 300.0


@dataclass(slots=True)
class Series:
    """Bars of one symbol and timeframe.

    Attributes:
        last: open time (ms) of the newest bar that was handed on; None before the first.
        filling: whether the exchange is being asked for what is missing.
        ask_after: when it may be asked again, on the caller's clock, in seconds.
    """

    symbol: str
    timeframe: Timeframe
    last: int | None = None
    filling: bool = False
    ask_after: float = 0.0
    _waiting: dict[int, ClosedBar] = field(default_factory=dict)
    _vain: int = 0

    @property
    def name(self) -> str:
        """As the feed's hashes name it."""
        return f"{self.symbol}:{self.timeframe}"

    def heard(self, bar: ClosedBar) -> list[ClosedBar]:
        """A closed bar came. The bars that can be handed on now; one that is known, or leaves a gap, is not."""
        if self.last is None or bar.open_time > self.last:
            self._waiting[bar.open_time] = bar
        return self._in_turn()

    def filled(self, bars: Sequence[ClosedBar], known_until: int) -> list[ClosedBar]:
        """The exchange was asked and said these: up to `known_until` (ms) a bar that is missing does not exist.

        A bar that waits for one which may still come goes on waiting.
        """
        self.filling = False
        new = {bar.open_time: bar for bar in bars if self.last is None or bar.open_time > self.last}
        known = new.keys() | {time for time in self._waiting if time <= known_until}
        self._waiting = new | self._waiting
        return self._hand_on(sorted(known)) + self._in_turn()

    def missing(self, now_ms: int) -> int:
        """Bars that have closed by `now_ms` (the exchange's time) and were not handed on; 1 if none ever was."""
        if self.last is None:
            return 1
        return max(0, (now_ms - self.last) // self.timeframe.milliseconds - 1)

    def told(self, clock: float, *, news: bool) -> None:
        """An answer came: without news the exchange is asked again later and later."""
        self._vain = 0 if news else self._vain + 1
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(self._vain, 10)) if self._vain else 0.0
        self.ask_after = clock + pause

    def rewind(self, last: int | None) -> None:
        """What was handed on did not arrive: everything after `last` has to come again."""
        self.last = last
        self._waiting.clear()
        self.ask_after, self._vain = 0.0, 0

    def _in_turn(self) -> list[ClosedBar]:
        step, bars = self.timeframe.milliseconds, []
        while self.last is not None and (bar := self._waiting.pop(self.last + step, None)):
            self.last = bar.open_time
            bars.append(bar)
        return bars

    def _hand_on(self, times: list[int]) -> list[ClosedBar]:
        bars = [self._waiting.pop(time) for time in times]
        if bars:
            self.last = bars[-1].open_time
        return bars
