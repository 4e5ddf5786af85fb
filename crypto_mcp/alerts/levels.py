"""Price alerts of one symbol or of hundreds: a move of a price costs O(log n + fired), whatever is watched.

Each alert is armed or waits to be armed again. An armed `above` alert fires when the price is above its level, and is
armed again when the price has come back to its release or below. `below` is the mirror image: prices are multiplied
by -1. So there are four heaps a symbol: of either side, what is armed by its level and what is not by its release.
What is removed or changed stays in its heap until it comes to the top, and is passed over there.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import NamedTuple

ABOVE, BELOW = 1, -1


class Move(NamedTuple):
    """Where a price went between two times (ms since the epoch): extremes since `since`, and the last price at `at`."""

    low: float
    high: float
    price: float
    since: int
    at: int


@dataclass(slots=True)
class Threshold:
    """A price alert as it is watched.

    Attributes:
        alert_id: whose.
        side: `ABOVE` or `BELOW`.
        level: beyond it, not at it, the alert fires.
        release: at it or on its other side a disarmed alert is armed.
        repeat: whether it goes on after it has fired.
        flips: whether it turns to the other side after it has fired, armed at once.
        number: of the last crossing.
        armed: whether it can fire.
        since: since when it is so, ms since the epoch: extremes of before say nothing.
    """

    alert_id: str
    side: int
    level: float
    release: float
    repeat: bool = False
    flips: bool = False
    number: int = 0
    armed: bool = True
    since: int = 0
    entry: int = 0


class Crossing(NamedTuple):
    """An alert that fires: its number, and the price that says so."""

    alert_id: str
    number: int
    level: float
    side: int


class Arming(NamedTuple):
    """An alert that can fire again: after which crossing, and since when."""

    alert_id: str
    number: int
    at: int


_Heap = list[tuple[float, int, Threshold]]


class Levels:
    """The price alerts of one symbol."""

    def __init__(self) -> None:
        self._heaps: dict[tuple[int, bool], _Heap] = {
            (side, armed): [] for side in (ABOVE, BELOW) for armed in (True, False)
        }
        self._known: dict[str, Threshold] = {}
        self._entries = 0

    def __len__(self) -> int:
        return len(self._known)

    def get(self, alert_id: str) -> Threshold | None:
        """The alert as it stands."""
        return self._known.get(alert_id)

    def put(self, threshold: Threshold) -> None:
        """Watches an alert, from now on as it stands here."""
        self.drop(threshold.alert_id)
        self._known[threshold.alert_id] = threshold
        self._place(threshold)

    def drop(self, alert_id: str) -> None:
        """Watches an alert no more."""
        known = self._known.pop(alert_id, None)
        if known is not None:
            known.entry = 0

    def step(self, move: Move) -> tuple[list[Crossing], list[Arming]]:
        """What a move does. An alert fires at most once in it.

        Extremes count for alerts that stood as they stand before the move began, the last price for those that came to
        stand so within it; a move from before says nothing. So a move that is told again does nothing again.
        """
        crossings: list[Crossing] = []
        armings: list[Arming] = []
        aside: list[Threshold] = []
        for side in (ABOVE, BELOW):
            most, least = (move.high, move.low) if side == ABOVE else (-move.low, -move.high)
            last = side * move.price
            fired = self._fire(side, most, last, move, aside, crossings)
            self._arm(side, least, last, move, aside, armings, crossings)
            aside += fired
        for threshold in aside:
            self._place(threshold)
        for threshold in (found for c in crossings if (found := self._known.get(c.alert_id)) is not None):
            self._after(threshold, move, armings)
        return crossings, armings

    def _fire(
        self, side: int, most: float, last: float, move: Move, aside: list[Threshold], crossings: list[Crossing]
    ) -> list[Threshold]:
        """Those armed below `most` that fire; those that stay go aside."""
        fired = []
        heap = self._heaps[side, True]
        while heap and heap[0][0] < most:
            _, entry, threshold = heapq.heappop(heap)
            if threshold.entry != entry:
                continue
            if _counts(threshold, move, beyond=side * threshold.level < last):
                fired.append(threshold)
                self._cross(threshold, move, crossings)
            else:
                aside.append(threshold)
        return [threshold for threshold in fired if threshold.alert_id in self._known]

    def _arm(
        self, side: int, least: float, last: float, move: Move, aside: list[Threshold], armings: list[Arming],
        crossings: list[Crossing],
    ) -> None:  # fmt: skip
        """Those that wait and are armed by the move; one whose last price is beyond the level again fires."""
        heap = self._heaps[side, False]
        while heap and -heap[0][0] >= least:
            _, entry, threshold = heapq.heappop(heap)
            if threshold.entry != entry:
                continue
            aside.append(threshold)
            if not _counts(threshold, move, beyond=last <= side * threshold.release):
                continue
            threshold.armed, threshold.since = True, move.at
            armings.append(Arming(threshold.alert_id, threshold.number, move.at))
            if side * threshold.level < last:
                self._cross(threshold, move, crossings)

    def _cross(self, threshold: Threshold, move: Move, crossings: list[Crossing]) -> None:
        threshold.number += 1
        crossings.append(Crossing(threshold.alert_id, threshold.number, threshold.level, threshold.side))
        threshold.since = move.at
        if not threshold.repeat:
            self.drop(threshold.alert_id)
        elif threshold.flips:
            threshold.side, threshold.armed = -threshold.side, True
        else:
            threshold.armed = False

    def _after(self, threshold: Threshold, move: Move, armings: list[Arming]) -> None:
        """One that fired at an extreme may end the move on the other side: it is armed again already."""
        side = threshold.side
        if not threshold.armed and side * move.price <= side * threshold.release:
            threshold.armed, threshold.since = True, move.at
            armings.append(Arming(threshold.alert_id, threshold.number, move.at))
            self._place(threshold)

    def _place(self, threshold: Threshold) -> None:
        """A new entry in the heap it belongs to; older ones count no more."""
        if self._known.get(threshold.alert_id) is not threshold:
            return
        self._entries += 1
        threshold.entry = self._entries
        key = threshold.side * threshold.level if threshold.armed else -threshold.side * threshold.release
        heapq.heappush(self._heaps[threshold.side, threshold.armed], (key, threshold.entry, threshold))


def _counts(threshold: Threshold, move: Move, *, beyond: bool) -> bool:
    """Whether a move says something of an alert: its extremes do, or its last price, which is `beyond`."""
    return threshold.since <= move.since or (beyond and threshold.since < move.at)
