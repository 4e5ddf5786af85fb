"""Every rule of the market on a few bars, against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from crypto_mcp.backtest import simulate
from crypto_mcp.backtest.rules import Method, Unit
from tests.backtest.by_hand import BUY, COVER, FLAT, SELL, SHORT, Bar, entries, exits, played, prepared

approx = pytest.approx


def bars(*given: Bar, length: int = 10) -> list[Bar]:
    """These bars, then quiet ones at the last close."""
    last = given[-1][3]
    return [*given, *[(last, last, last, last)] * (length - len(given))]


def test_signals_at_a_close_fill_at_the_next_open() -> None:
    """Bought at 102, the open after the signal; sold at 111, the open after the exit: 1000 / 102 x 111."""
    run = played(bars(FLAT, (102, 106, 101, 105), (105, 112, 104, 110), (111, 112, 108, 109)), {0: BUY, 2: SELL})
    assert entries(run) == [(1, 102.0, approx(1000 / 102))]
    assert exits(run) == [(3, 111.0, "signal")]
    assert run.equity.tolist() == approx([1000, 1000 / 102 * 105, 1000 / 102 * 110, *[1000 / 102 * 111] * 7])
    trade = run.trades[0]
    assert (trade["pnl"], trade["best"], trade["worst"]) == (approx(1000 / 102 * 9), approx(10), approx(-1))


def test_a_signal_on_the_last_bar_opens_nothing_and_what_is_open_is_closed_at_the_last_close() -> None:
    """There is no next open after the last bar."""
    assert len(played(bars(FLAT), {9: BUY}).fills) == 0
    run = played(bars(FLAT, FLAT, (100, 120, 100, 120)), {0: BUY})
    assert exits(run) == [(9, 120.0, "end")]
    assert run.equity[-1] == approx(1200)


def test_fees_come_out_of_the_same_money() -> None:
    """All of 1000 at 0.1 %: q x 100 x 1.001 = 1000; sold at 110 for another 0.1 %."""
    run = played(bars(FLAT, FLAT, (110, 110, 110, 110)), {0: BUY, 1: SELL}, taker=0.001)
    quantity = 1000 / (100 * 1.001)
    assert run.fills["quantity"].tolist() == approx([quantity, quantity])
    assert run.fills["fee"].tolist() == approx([quantity * 0.1, quantity * 0.11])
    assert run.equity[-1] == approx(quantity * 110 * 0.999)
    assert run.trades[0]["fees"] == approx(quantity * 0.21)


def test_half_the_spread_and_the_slippage_are_paid_each_way() -> None:
    """A spread of 0.2 % and slippage of 0.1 % cost 0.2 % of price on either side."""
    run = played(bars(FLAT), {0: BUY, 3: SELL}, half_spread=0.001, slippage=0.001)
    assert entries(run)[0][1] == approx(100.2)
    assert exits(run) == [(4, approx(99.8), "signal")]


def test_slippage_by_volatility_and_by_share_of_volume() -> None:
    """A tenth of an ATR of 2 is 0.2; a hundredth times the root of a quarter of the volume is 0.5 %."""
    run = played(bars(FLAT), {0: BUY}, slippage_atr=0.1, atr=[2.0] * 10)
    assert entries(run)[0][1] == approx(100.2)
    run = played([(*FLAT, 40.0)] * 10, {0: BUY}, impact=0.01)
    assert entries(run)[0][1] == approx(100.5)


def test_a_stop_inside_the_bar_fills_at_its_price() -> None:
    """3 % under 100 is 97; the bar trades to 95."""
    run = played(bars(FLAT, FLAT, (99, 99, 95, 98)), {0: BUY}, stop_percent=0.03)
    assert exits(run) == [(2, 97.0, "stop")]
    assert run.trades[0]["risk"] == approx(3)
    assert run.equity[-1] == approx(970)


def test_a_gap_through_the_stop_fills_at_the_open() -> None:
    """The bar opens at 90, below the stop at 97."""
    assert exits(played(bars(FLAT, FLAT, (90, 95, 88, 94)), {0: BUY}, stop_percent=0.03)) == [(2, 90.0, "stop")]
    assert exits(played(bars(FLAT, FLAT, (110, 112, 105, 106)), {0: SHORT}, stop_percent=0.03)) == [(2, 110.0, "stop")]


def test_the_bar_of_the_entry_can_stop_it() -> None:
    """The entry at the open of bar 1 is stopped within the same bar."""
    assert exits(played(bars(FLAT, (100, 101, 96, 98)), {0: BUY}, stop_percent=0.03)) == [(1, 97.0, "stop")]


def test_stop_and_target_in_one_bar_are_the_stop() -> None:
    """A bar from 90 to 110 meets the stop at 97 and the target at 105: the worse is taken."""
    run = played(
        bars(FLAT, FLAT, (100, 110, 90, 100)), {0: BUY}, stop_percent=0.03, targets=[(0.05, 1.0, Unit.PERCENT)]
    )
    assert exits(run) == [(2, 97.0, "stop")]


def test_targets_fill_at_their_own_price_with_the_makers_fee() -> None:
    """Half at 105, half at 2 R (106); a bar that opens at 108 brings no more than 106."""
    run = played(
        bars(FLAT, FLAT, (100, 105, 100, 105), (108, 109, 107, 108)), {0: BUY}, stop_percent=0.03, maker=0.001,
        targets=[(0.05, 0.5, Unit.PERCENT), (2.0, 0.5, Unit.RISK)],
    )  # fmt: skip
    assert exits(run) == [(2, 105.0, "target"), (3, 106.0, "target")]
    assert run.fills["fee"].tolist() == approx([0, 0.525, 0.53])
    assert len(run.trades) == 1
    trade = run.trades[0]
    assert (trade["exit_price"], trade["pnl"], trade["exit_bar"]) == (approx(105.5), approx(55 - 1.055), 3)


def test_what_targets_leave_is_stopped() -> None:
    """A third is sold at 105, the rest at the stop."""
    run = played(
        bars(FLAT, FLAT, (100, 106, 100, 104), (104, 104, 90, 92)), {0: BUY}, stop_percent=0.03,
        targets=[(0.05, 0.3, Unit.PERCENT)],
    )  # fmt: skip
    assert exits(run) == [(2, 105.0, "target"), (3, 97.0, "stop")]
    assert run.fills["quantity"].tolist() == approx([10, 3, 7])
    assert run.trades[0]["pnl"] == approx(3 * 5 - 7 * 3)


def test_a_position_between_stop_and_target_of_a_short() -> None:
    """Shorts mirror longs: stop above, target below."""
    run = played(
        bars(FLAT, FLAT, (100, 102, 94, 95)), {0: SHORT}, stop_percent=0.03, targets=[(0.05, 1.0, Unit.PERCENT)]
    )
    assert exits(run) == [(2, 95.0, "target")]
    assert run.equity[-1] == approx(1050)


def test_atr_stops_use_the_atr_of_the_decision() -> None:
    """Twice the ATR of 1.5 known at the close of the signal, not the 9 of the bar it fills in."""
    run = played(bars(FLAT, FLAT, (99, 99, 96, 98)), {0: BUY}, stop_atr=2, atr=[1.5, 9, 9, 9, 9, 9, 9, 9, 9, 9])
    assert exits(run) == [(2, 97.0, "stop")]


def test_structure_stops_lie_at_the_last_swing_and_without_one_there_is_no_entry() -> None:
    """A swing low at 96.5; none known, or one above the price, opens nothing and is counted."""
    low = [96.5] * 10
    run = played(bars(FLAT, FLAT, (99, 99, 96, 98)), {0: BUY}, stop_structure=1, swing_low=low, swing_high=low)
    assert exits(run) == [(2, 96.5, "stop")]
    for absent in (np.nan, 101.0):
        run = played(bars(FLAT), {0: BUY}, stop_structure=1, swing_low=[absent] * 10, swing_high=low)
        assert (len(run.fills), run.account["refused"][0]) == (0, 1)


def test_of_several_stops_the_nearest_counts() -> None:
    """3 % is 97, one ATR of 2 is 98."""
    run = played(bars(FLAT, FLAT, (99, 99, 90, 98)), {0: BUY}, stop_percent=0.03, stop_atr=1, atr=[2.0] * 10)
    assert exits(run) == [(2, 98.0, "stop")]


def test_a_trailing_stop_follows_the_best_price_from_the_next_bar_on() -> None:
    """High 110 in bar 2, whose own low of 99 does not count; from bar 3 on the stop is at 99."""
    run = played(
        bars(FLAT, FLAT, (100, 110, 99.5, 108), (108, 109, 103, 104), (104, 104, 95, 96)), {0: BUY}, trail_percent=0.1
    )
    assert exits(run) == [(4, 99.0, "trailing")]
    run = played(bars(FLAT, FLAT, (100, 100, 90, 91), (91, 101, 91, 96)), {0: SHORT}, trail_percent=0.1)
    assert exits(run) == [(3, 99.0, "trailing")]
    run = played(bars(FLAT, FLAT, (100, 110, 100, 108), (108, 109, 103, 104)), {0: BUY}, trail_atr=3, atr=[2.0] * 10)
    assert exits(run) == [(3, 104.0, "trailing")]


def test_a_break_even_stop_lies_at_the_entry_once_price_has_gone_far_enough() -> None:
    """After 1 R (103) the stop moves from 97 to 100."""
    run = played(
        bars(FLAT, FLAT, (100, 103, 100, 102), (102, 102, 96, 97)),
        {0: BUY},
        stop_percent=0.03,
        even=1,
        even_unit=Unit.RISK,
    )
    assert exits(run) == [(3, 100.0, "break_even")]
    run = played(
        bars(FLAT, FLAT, (100, 102.9, 100, 102), (102, 102, 96, 97)), {0: BUY}, stop_percent=0.03, even=1,
        even_unit=Unit.RISK,
    )  # fmt: skip
    assert exits(run) == [(3, 97.0, "stop")]


def test_a_time_stop_closes_at_the_open_after_so_many_bars() -> None:
    """Entered at the open of bar 1, held for three bars, out at the open of bar 4."""
    assert exits(played(bars(FLAT), {0: BUY}, max_bars=3)) == [(4, 100.0, "time")]


def test_an_opposite_entry_turns_the_position_at_one_open() -> None:
    """Out of the long and into the short at the open of bar 3."""
    run = played(bars(FLAT, FLAT, (100, 110, 100, 110), (110, 110, 99, 99)), {0: BUY, 2: SHORT})
    assert exits(run)[0] == (3, 110.0, "reverse")
    assert [(row["bar"], row["side"]) for row in run.fills] == [(1, 1), (3, -1), (3, -1), (9, 1)]
    assert run.equity[-1] == approx(1100 * (1 + 11 / 110))


def test_contradictory_signals_open_nothing() -> None:
    """Both sides at once, or an entry whose exit holds too."""
    assert len(played(bars(FLAT), {0: BUY | SHORT, 2: BUY | SELL, 4: SHORT | COVER}).fills) == 0


def test_nothing_fills_on_a_bar_without_volume() -> None:
    """An entry lapses; an exit, a stop and a target wait for the next bar that trades."""
    dry = (100, 120, 80, 100, 0)
    assert len(played(bars(FLAT, dry), {0: BUY}).fills) == 0
    run = played(bars(FLAT, FLAT, dry, (101, 101, 101, 101)), {0: BUY, 1: SELL}, stop_percent=0.03)
    assert exits(run) == [(3, 101.0, "signal")]


def test_funding_is_paid_by_who_held_before_the_bar() -> None:
    """1 % on 10 x 105 at the open of bar 2; entering at the open of a funding bar pays nothing; shorts receive."""
    rate = [0, 0.01, 0.01, 0, 0, 0, 0, 0, 0, 0]
    given = bars(FLAT, FLAT, (105, 105, 105, 105))
    run = played(given, {0: BUY}, funding=rate, has_funding=1)
    assert run.account["funding"][0] == approx(10.5)
    assert run.equity[2] == approx(1050 - 10.5)
    short = played(given, {0: SHORT}, funding=rate, has_funding=1)
    assert (short.trades[0]["funding"], short.equity[-1]) == (approx(-10.5), approx(950 + 10.5))


def test_liquidation_takes_the_margin_and_no_more() -> None:
    """At 10 times, 1000 of margin carries 100 x 100; at 0.5 % maintenance it is gone at 90 / 0.995 = 90.45."""
    near = played(bars(FLAT, FLAT, (95, 95, 90.5, 91)), {0: BUY}, leverage=10, maintenance=0.005)
    assert exits(near)[0][2] == "end"
    for low, opened in ((90.4, 95), (70, 75)):  # touched inside the bar, and jumped over at its open
        run = played(bars(FLAT, FLAT, (opened, 95, low, 91)), {0: BUY}, leverage=10, maintenance=0.005)
        assert exits(run) == [(2, approx(90), "liquidation")]
        assert run.equity[-1] == approx(0)
        assert run.account["liquidations"][0] == 1
    run = played(bars(FLAT, FLAT, (100, 109.5, 100, 100)), {0: SHORT}, leverage=10, maintenance=0.005)
    assert exits(run) == [(2, approx(110), "liquidation")]


def test_a_stop_before_the_liquidation_price_fires_first() -> None:
    """The stop at 95 lies nearer than 90.45, though the bar goes through both; a gap beyond both is a liquidation."""
    run = played(bars(FLAT, FLAT, (99, 99, 80, 85)), {0: BUY}, leverage=10, maintenance=0.005, stop_percent=0.05)
    assert exits(run) == [(2, 95.0, "stop")]
    run = played(bars(FLAT, FLAT, (85, 86, 80, 85)), {0: BUY}, leverage=10, maintenance=0.005, stop_percent=0.05)
    assert exits(run)[0][2] == "liquidation"


def test_funding_moves_the_liquidation_price() -> None:
    """Funding of 5 % of 10,000 leaves 500 of the margin: liquidated at (100 - 5) / 0.995 = 95.48 instead of 90.45."""
    rate = [0, 0, 0.05, 0, 0, 0, 0, 0, 0, 0]
    run = played(
        bars(FLAT, FLAT, FLAT, (98, 98, 95.4, 96)),
        {0: BUY},
        leverage=10,
        maintenance=0.005,
        funding=rate,
        has_funding=1,
    )
    assert exits(run) == [(3, approx(95), "liquidation")]
    assert run.equity[-1] == approx(0)


def test_quantities_keep_to_the_steps_of_the_exchange() -> None:
    """1000 / 100.7 = 9.93, down to 9.9; what falls below the least order is not made."""
    open_at = (100.7, 100.7, 100.7, 100.7)
    assert entries(played(bars(open_at), {0: BUY}, step=0.1)) == [(1, 100.7, approx(9.9))]
    assert len(played(bars(open_at), {0: BUY}, step=0.1, least_notional=1000).fills) == 0
    assert len(played(bars(open_at), {0: BUY}, least_quantity=10).fills) == 0


def test_prices_keep_to_the_ticks_of_the_exchange_against_the_trader() -> None:
    """Bought at 100.05 up to 100.1, stopped at 97.097 down to 97.0; a target of 105.105 rests at 105.2."""
    run = played(bars(FLAT, FLAT, (99, 99, 90, 95)), {0: BUY}, tick=0.1, slippage=0.0005, stop_percent=0.03)
    assert entries(run)[0][1] == approx(100.1)
    assert exits(run)[0][1] == approx(96.9)  # 97.0 less 0.0485 of slippage, down
    run = played(
        bars(FLAT, FLAT, (99, 110, 99, 95)), {0: BUY}, tick=0.1, slippage=0.0005, targets=[(0.05, 1, Unit.PERCENT)]
    )
    assert exits(run)[0][1] == approx(105.2)


@pytest.mark.parametrize(
    ("method", "amount", "quantity"),
    [
        (Method.EQUITY, 0.5, 5.0),
        (Method.FIXED, 300.0, 3.0),
        (Method.RISK, 0.01, 10 / 3),  # 10 lost over 3 a unit
        (Method.VOLATILITY, 0.2, 4.0),  # 1000 x 0.2 / 0.5 worth
        (Method.KELLY, 0.25, 2.5),  # the cap, while there are few trades
    ],
)
def test_sizes(method: Method, amount: float, quantity: float) -> None:
    """What each way of sizing buys of something at 100 with 1000, a stop 3 away, and 50 % volatility a year."""
    run = played(bars(FLAT), {0: BUY}, method=method, amount=amount, stop_percent=0.03, volatility=[0.5] * 10)
    assert entries(run) == [(1, 100.0, approx(quantity))]


def test_no_size_exceeds_what_cash_allows() -> None:
    """5 % at risk over 3 % would be 1667; there is 1000."""
    run = played(bars(FLAT), {0: BUY}, method=Method.RISK, amount=0.05, stop_percent=0.03)
    assert entries(run) == [(1, 100.0, approx(10))]


def test_the_kelly_fraction_of_the_trades_so_far() -> None:
    """Ten wins of 10 % and ten losses of 5 %: f = 1/2 - 1/2 / 2 = 1/4; all of 5 %: none, and no entry more."""
    for gain, fraction in ((0.10, 0.25), (0.05, 0.0)):
        rows: list[Bar] = [FLAT]
        signals = {}
        for k in range(21):
            signals[2 * k], signals[2 * k + 1] = int(BUY), int(SELL)
            out = 100 * (1 + gain) if k % 2 == 0 else 95.0
            rows += [FLAT, (out, out, out, out)]
        run = played(rows, signals, method=Method.KELLY, amount=0.5)
        stakes = [q * p / 1000 for _, p, q in entries(run)]
        # With a fixed stake the results are those of the fractions; here it is the account that grows.
        wins, losses = (
            np.array([t["pnl"] for t in run.trades[:20] if (t["pnl"] > 0) == side]) for side in (True, False)
        )
        expected = max(0.0, 0.5 - 0.5 / (wins.mean() / -losses.mean()))
        assert expected == approx(fraction, abs=0.02)
        if expected > 0:
            assert stakes[20] == approx(expected * run.equity[40] / 1000)
        else:
            assert len(stakes) == 20


def test_a_cooldown_keeps_out_for_so_many_bars() -> None:
    """Out in bar 3; with a cooldown of 2 the earliest entry is bar 6."""
    signals = {0: BUY, 2: SELL, 3: BUY, 4: BUY, 5: BUY}
    assert [bar for bar, _, _ in entries(played(bars(FLAT), signals))] == [1, 4]
    assert [bar for bar, _, _ in entries(played(bars(FLAT), signals, cooldown=2))] == [1, 6]


def test_outside_the_session_nothing_is_opened() -> None:
    """The open of bar 1 is outside; bar 3 is inside; exits are made anyway."""
    allowed = [True, False, True, True, False, *[False] * 5]
    run = played(bars(FLAT), {0: BUY, 2: BUY, 3: SELL}, allowed=allowed)
    assert [bar for bar, _, _ in entries(run)] == [3]
    assert exits(run) == [(4, 100.0, "signal")]


def test_symbols_share_the_cash_on_one_clock() -> None:
    """Each of three symbols takes half of the equity; the third finds no cash left."""
    quiet = bars(FLAT)
    rising = bars(FLAT, FLAT, (100, 110, 100, 110))
    run = simulate(prepared([rising, quiet, quiet], [{0: BUY}, {0: BUY}, {0: BUY}], amount=0.5))
    assert [(row["symbol"], row["quantity"]) for row in run.fills[:2]] == [(0, 5.0), (1, 5.0)]
    assert run.account["refused"][0] == 1
    assert run.equity[2] == approx(1050)
    assert run.equity[-1] == approx(1050)


def test_no_more_positions_than_allowed_at_once() -> None:
    """Of two signals at one close the symbol named first is bought, and the second once there is room."""
    quiet = bars(FLAT)
    run = simulate(prepared([quiet, quiet], [{0: BUY, 2: SELL}, {0: BUY, 4: BUY}], amount=0.5, max_open=1))
    assert [(row["symbol"], row["bar"]) for row in run.fills if row["reason"] == 0] == [(0, 1), (1, 5)]


def test_thousands_of_trades_are_all_told_of() -> None:
    """More than there is room for at first."""
    count = 10_000
    run = played([FLAT] * count, {bar: SELL if bar % 2 else BUY for bar in range(count)})
    assert run.account["trades"][0] == len(run.trades) == count // 2
    assert run.account["fills"][0] == len(run.fills) == count
    assert run.trades["entry_bar"].tolist() == list(range(1, count, 2))
