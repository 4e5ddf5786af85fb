"""Bars in order, each once, whatever the streams do."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crypto_mcp.market.live import ClosedBar
from crypto_mcp.models.timeframes import Timeframe
from scheduler.feed.series import Series

MINUTE = 60_000
COUNT = 12

events = st.lists(
    st.one_of(
        st.tuples(st.just("stream"), st.integers(1, COUNT)),
        st.tuples(st.just("answer"), st.integers(0, COUNT)),
    ),
    max_size=40,
)


def bar(number: int) -> ClosedBar:
    return ClosedBar("BTCUSDT", Timeframe.M1, number * MINUTE, 1, 1, 1, 1, number, "test")


@given(events=events, holes=st.sets(st.integers(1, COUNT - 1)))
def test_every_bar_is_handed_on_once_and_in_order(events: list[tuple[str, int]], holes: set[int]) -> None:
    """Streams repeat, lose and mix bars; answers know the bars up to some moment; some bars do not exist."""
    series = Series("BTCUSDT", Timeframe.M1, last=0)
    exist = [number for number in range(1, COUNT + 1) if number not in holes]
    handed: list[ClosedBar] = []
    for kind, number in events:
        if kind == "stream" and number in exist:
            handed += series.heard(bar(number))
        elif kind == "answer":
            handed += series.filled([bar(n) for n in exist if n <= number], number * MINUTE + MINUTE)
        assert handed == [bar(n) for n in exist[: len(handed)]]
    handed += series.filled([bar(n) for n in exist], COUNT * MINUTE + MINUTE)
    assert handed == [bar(n) for n in exist]
    assert series.missing(COUNT * MINUTE + MINUTE) == 0


def test_what_misses_is_counted_in_closed_bars() -> None:
    """A series that never had one misses one; the bar in progress is not missing."""
    assert Series("BTCUSDT", Timeframe.M1).missing(10 * MINUTE) == 1
    series = Series("BTCUSDT", Timeframe.M1, last=5 * MINUTE)
    assert [series.missing(now * MINUTE - 1) for now in (6, 7, 8)] == [0, 0, 1]
    assert series.missing(8 * MINUTE) == 2


def test_an_answer_without_news_is_asked_for_later_and_later() -> None:
    """Up to five minutes; news ends that."""
    series = Series("BTCUSDT", Timeframe.M1, last=0)
    pauses = []
    for _ in range(12):
        series.told(100.0, news=False)
        pauses.append(series.ask_after - 100)
    assert pauses == sorted(pauses)
    assert pauses[0] <= 5
    assert pauses[-1] == 300
    series.told(100.0, news=True)
    assert series.ask_after == 100


def test_after_a_rewind_everything_comes_again() -> None:
    """Redis forgot the newest bars: they are handed on once more."""
    series = Series("BTCUSDT", Timeframe.M1, last=0)
    assert series.heard(bar(1)) + series.heard(bar(2)) == [bar(1), bar(2)]
    series.rewind(0)
    assert series.filled([bar(1), bar(2)], 3 * MINUTE) == [bar(1), bar(2)]
