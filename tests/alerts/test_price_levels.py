"""The engine of price alerts against brute force: every alert looked at on every price."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from crypto_mcp.alerts.levels import ABOVE, BELOW, Levels, Move, Threshold

MINUTE = 60_000


@dataclass
class ByHand:
    """One alert as a person would follow it."""

    side: int
    level: float
    release: float
    repeat: bool
    flips: bool
    armed: bool
    fired: int = 0
    over: bool = False

    def price(self, price: float) -> bool:
        """Whether it fires at this price."""
        if self.over:
            return False
        beyond = price > self.level if self.side == ABOVE else price < self.level
        back = price <= self.release if self.side == ABOVE else price >= self.release
        if not self.armed and back:
            self.armed = True
        if not (self.armed and beyond):
            return False
        self.fired += 1
        self.over, self.armed = not self.repeat, False
        if self.flips:
            self.side, self.armed = -self.side, True
        return True


class Tick(NamedTuple):
    """A price and when it was paid."""

    at: int
    price: float


@st.composite
def alerts(draw: st.DrawFn, *, all_armed: bool = False) -> dict[str, Threshold]:
    """Some alerts on a grid of prices, so that levels, releases and prices often coincide."""
    found = {}
    for number in range(draw(st.integers(1, 12))):
        side, level = draw(st.sampled_from([ABOVE, BELOW])), float(draw(st.integers(95, 105)))
        flips = draw(st.booleans())
        back = 0 if flips else draw(st.sampled_from([0, 0, 1, 3]))
        name = f"a{number}"
        found[name] = Threshold(
            name,
            side,
            level,
            level - side * back,
            repeat=draw(st.booleans()),
            flips=flips,
            armed=all_armed or draw(st.booleans()),
            since=0,
        )
    return found


PRICES = st.lists(st.integers(93, 107).map(float), min_size=1, max_size=60)


def followed(threshold: Threshold) -> ByHand:
    return ByHand(
        threshold.side, threshold.level, threshold.release, threshold.repeat, threshold.flips, threshold.armed
    )


def watched(some: dict[str, Threshold]) -> Levels:
    levels = Levels()
    for threshold in some.values():
        levels.put(replace(threshold))
    return levels


@given(alerts(), PRICES)
@settings(max_examples=150, deadline=None)
def test_every_price_fires_what_brute_force_fires(some: dict[str, Threshold], prices: list[float]) -> None:
    """Alert by alert, number by number, price by price."""
    levels, by_hand = watched(some), {name: followed(threshold) for name, threshold in some.items()}
    for at, price in enumerate(prices, start=1):
        crossings, _ = levels.step(Move(price, price, price, at, at))
        expected = {(name, each.fired) for name, each in by_hand.items() if each.price(price)}
        expected = {(name, by_hand[name].fired) for name, _ in expected}
        assert {(c.alert_id, c.number) for c in crossings} == expected
        assert len(crossings) == len(expected)


@given(alerts(all_armed=True), st.lists(PRICES, min_size=1, max_size=6), st.data())
@settings(max_examples=120, deadline=None)
def test_lost_prices_are_made_up_for_by_late_bars(
    some: dict[str, Threshold], minutes: list[list[float]], data: st.DataObject
) -> None:
    """Prices come conflated, or are lost; each minute's bar comes, at times twice, at times minutes later.

    What fires once fires if and only if it fires when every price is seen; what repeats fires at least once then, and
    never more often.
    """
    levels, by_hand = watched(some), {name: followed(threshold) for name, threshold in some.items()}
    fired = dict.fromkeys(some, 0)
    waiting: list[Move] = []
    for number, prices in enumerate(minutes, start=1):
        ticks = [Tick(number * MINUTE + 1000 * i + 1, price) for i, price in enumerate(prices)]
        for tick in ticks:
            for each in by_hand.values():
                each.price(tick.price)
        moves = [move for move in conflated(ticks, data) if data.draw(st.booleans())]
        waiting.append(Move(min(prices), max(prices), prices[-1], number * MINUTE, (number + 1) * MINUTE))
        if data.draw(st.booleans()) or number == len(minutes):
            moves, waiting = moves + waiting, waiting[-1:] if data.draw(st.booleans()) else []
        for move in moves:
            for crossing in levels.step(move)[0]:
                fired[crossing.alert_id] += 1
    for move in waiting:
        assert not levels.step(move)[0], "a bar that is told again does nothing again"
    for name, each in by_hand.items():
        assert (fired[name] > 0) == (each.fired > 0), (some[name], minutes)
        assert fired[name] <= each.fired, (some[name], minutes)


def conflated(ticks: list[Tick], data: st.DataObject) -> list[Move]:
    """Runs of prices as the feed tells them: extremes, the last price, and since when."""
    moves = []
    while ticks:
        size = data.draw(st.integers(1, len(ticks)))
        run, ticks = ticks[:size], ticks[size:]
        prices = [tick.price for tick in run]
        moves.append(Move(min(prices), max(prices), prices[-1], run[0].at, run[-1].at))
    return moves


def test_a_move_touches_only_what_fires() -> None:
    """Ten thousand alerts that do not fire are not looked at: the heap's top answers for all of them."""
    levels = Levels()
    for number in range(10_000):
        levels.put(Threshold(f"a{number}", ABOVE, 200.0 + number, 200.0 + number))
    looked_at = []

    class Counting(float):
        def __lt__(self, other: object) -> bool:
            looked_at.append(self)
            return float.__lt__(self, other)  # type: ignore[operator]

    heap = levels._heaps[ABOVE, True]
    heap[:] = [(Counting(key), entry, threshold) for key, entry, threshold in heap]
    assert not levels.step(Move(100.0, 150.0, 120.0, 1, 2))[0]
    assert len(looked_at) == 1
    crossings, _ = levels.step(Move(100.0, 201.5, 120.0, 3, 4))
    assert {c.alert_id for c in crossings} == {"a0", "a1"}
    assert len(looked_at) < 100


def test_what_is_dropped_or_changed_does_not_fire_as_it_was() -> None:
    levels = Levels()
    levels.put(Threshold("gone", ABOVE, 100.0, 100.0))
    levels.put(Threshold("moved", ABOVE, 100.0, 100.0))
    levels.drop("gone")
    levels.put(Threshold("moved", BELOW, 90.0, 90.0))
    assert levels.step(Move(99.0, 110.0, 105.0, 1, 2))[0] == []
    assert [c.alert_id for c in levels.step(Move(80.0, 105.0, 85.0, 3, 4))[0]] == ["moved"]


def test_what_was_before_an_alert_says_nothing_of_it() -> None:
    """An alert made at :30 does not fire for the minute's high of :10, nor for an older bar that comes late."""
    levels = Levels()
    levels.put(Threshold("new", ABOVE, 100.0, 100.0, since=30_000))
    assert not levels.step(Move(95.0, 105.0, 99.0, 0, 60_000))[0]
    assert not levels.step(Move(95.0, 105.0, 104.0, -60_000, 0))[0]
    assert levels.step(Move(95.0, 105.0, 101.0, 0, 60_000))[0]
