"""Scans find what their conditions say, rank it, and say why; the universe leaves out what it is told to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from crypto_mcp.conditions import evaluate, parse
from crypto_mcp.conditions.measure import last_value, parse_number, told
from crypto_mcp.models.candles import Candles
from crypto_mcp.models.scans import ScanType, UniverseParams
from crypto_mcp.models.timeframes import Timeframe
from crypto_mcp.scanning.board import STRUCTURE_EVENTS, Board
from crypto_mcp.scanning.matching import matches
from crypto_mcp.scanning.relations import breaks_on_all, correlation_breaks, funding_extremes
from crypto_mcp.scanning.rows import row_of, spark
from crypto_mcp.scanning.scans import CUSTOM, SCANS
from crypto_mcp.scanning.universe import choose, grouped
from tests.analysis.walks import random_walk

HOUR = 3_600_000


@pytest.fixture(scope="module")
def board() -> Board:
    candles = {f"S{seed:02d}USDT": random_walk(300, seed=seed) for seed in range(40)}
    return Board(Timeframe.H1, 300 * HOUR, 300, candles)


def test_what_is_looked_for_ahead_is_what_a_scan_would_find(board: Board) -> None:
    ahead = Board(Timeframe.H1, 300 * HOUR, 300, board.candles)
    ahead.anticipate("S01USDT")
    for event in STRUCTURE_EVENTS:
        assert np.array_equal(ahead.events["S01USDT"][event], board.bars("S01USDT").event(*event), equal_nan=True)


@pytest.mark.parametrize("name", SCANS)
def test_a_scan_finds_the_symbols_whose_newest_bar_fulfils_its_condition(name: str, board: Board) -> None:
    """As evaluated over all bars, and the same again from what the board has kept."""
    scan = SCANS[name]  # type: ignore[index]  # a name of the table
    symbols = list(board.candles)
    for setup in scan.setups:
        expected = {symbol for symbol in symbols if evaluate(setup.condition, board.candles[symbol])[-1]}
        for _ in range(2):
            found = [match for match in matches(scan, [board], symbols, side=setup.side) if match is not None]
            assert {match.symbol for match in found if match.side == setup.side} == expected
            assert all(0 <= match.score <= 10 and match.why for match in found)


def test_a_score_is_five_at_the_least_that_counts_and_ten_where_the_table_says() -> None:
    setup = SCANS["oversold"].setups[0]
    board = Board(Timeframe.H1, 0, 300, {f"S{seed}": random_walk(300, seed=seed) for seed in range(60)})
    found = [match for match in matches(SCANS["oversold"], [board], list(board.candles)) if match is not None]
    assert found
    for match in found:
        rsi = last_value(parse_number("rsi(14)"), board.bars(match.symbol))
        assert match.score == pytest.approx(min(10, 5 + 5 * (30 - rsi) / setup.high), abs=0.006)
        assert match.why == (f"rsi(14) {rsi:.4g}",)


def test_a_symbol_must_match_on_every_timeframe_and_on_the_callers_condition(board: Board) -> None:
    symbols = list(board.candles)
    other = Board(Timeframe.H4, 0, 300, {symbol: random_walk(300, seed=100 + i) for i, symbol in enumerate(symbols)})
    also = parse("close > ema(20)")
    found = [match.symbol for match in matches(CUSTOM, [board, other], symbols, also=also) if match is not None]
    assert found == [s for s in symbols if all(evaluate(also, b.candles[s])[-1] for b in (board, other))]
    both = [match for match in matches(SCANS["momentum"], [board], symbols, also=also) if match is not None]
    assert all(match.why[-1].startswith("close ") for match in both)


def test_a_custom_condition_scores_by_how_lately_it_became_true() -> None:
    close = np.concatenate([np.full(150, 100.0), np.full(10, 110.0)])
    fresh = np.concatenate([np.full(159, 100.0), np.full(1, 110.0)])
    table = {"OLD": flat(close), "NEW": flat(fresh)}
    found = list(matches(CUSTOM, [Board(Timeframe.H1, 0, 300, table)], ["OLD", "NEW"], also=parse("close > 105")))
    assert found[1] is not None
    assert found[0] is not None
    assert found[1].score == 10
    assert 5 < found[0].score < 8


def test_figures_of_a_condition_are_told_with_their_values(board: Board) -> None:
    bars = board.bars("S01USDT")
    lines = told(parse('change(close, 24) > -100% and rsi(14) < 101 and (in_fvg("bullish") or close > 0)'), bars)
    close = bars.candles.close
    assert lines[0] == f"change(close, 24) {100 * (close[-1] / close[-25] - 1):.4g} %"
    assert lines[1].startswith("rsi(14) ")
    assert lines[2] == '(in_fvg("bullish") or close > 0)'.strip("()")


def test_what_leaves_bitcoin_is_found_and_what_goes_with_it_is_not() -> None:
    random = np.random.default_rng(1)
    moves = random.normal(0, 0.01, 250)
    with_it = moves + random.normal(0, 0.002, 250)
    leaves = with_it.copy()
    leaves[-24:] = 0.01 - 0.5 * moves[-24:]
    apart = random.normal(0, 0.01, 250)
    table = {name: flat(100 * np.exp(np.cumsum(m))) for name, m in (("A", with_it), ("B", leaves), ("C", apart))}
    found = list(correlation_breaks(table, ["A", "B", "C"], flat(100 * np.exp(np.cumsum(moves)))))
    assert [match is not None for match in found] == [False, True, False]
    assert found[1] is not None
    assert found[1].side == "long"


def test_bitcoin_must_be_left_on_every_timeframe_and_the_first_one_ranks() -> None:
    random = np.random.default_rng(2)

    def series(*leaving: str) -> tuple[dict[str, Candles], Candles]:
        moves = random.normal(0, 0.01, 250)
        table = {}
        for name in "AB":
            own = moves + random.normal(0, 0.002, 250)
            if name in leaving:
                own[-24:] = 0.01 - 0.5 * moves[-24:]
            table[name] = flat(100 * np.exp(np.cumsum(own)))
        return table, flat(100 * np.exp(np.cumsum(moves)))

    short, long = series("A", "B"), series("B")
    assert [match.symbol for match in breaks_on_all([short], ["A", "B"])] == ["A", "B"]
    both = breaks_on_all([short, long], ["A", "B"])
    assert both == breaks_on_all([short], ["B"])
    assert breaks_on_all([long, short], ["A"]) == []


def test_who_pays_dearly_for_a_perpetual_is_bet_against() -> None:
    found = list(funding_extremes({"A": 0.12, "B": -0.3, "C": 0.01}, ["A", "B", "C", "D"]))
    assert [match.side if match else None for match in found] == ["short", "long", None, None]


@dataclass(frozen=True)
class Pair:
    symbol: str
    base: str
    quote: str
    trades: bool = True


PAIRS = [
    Pair("BTCUSDT", "BTC", "USDT"), Pair("BTCUPUSDT", "BTCUP", "USDT"), Pair("JUPUSDT", "JUP", "USDT"),
    Pair("USDCUSDT", "USDC", "USDT"), Pair("ETHBTC", "ETH", "BTC"), Pair("LUNAUSDT", "LUNA", "USDT", trades=False),
    Pair("BTC3LUSDT", "BTC3L", "USDT"), Pair("EURUSDT", "EUR", "USDT"), Pair("SYRUPUSDT", "SYRUP", "USDT"),
]  # fmt: skip


def test_stablecoins_and_leveraged_tokens_are_left_out_unless_asked_for() -> None:
    chosen, left_out = choose(PAIRS, UniverseParams())
    assert chosen == ["BTCUSDT", "JUPUSDT", "SYRUPUSDT"]
    assert grouped(left_out) == {
        "leveraged token": ["BTCUPUSDT", "BTC3LUSDT"],
        "stablecoin or fiat": ["USDCUSDT", "EURUSDT"],
        "not traded at present": ["LUNAUSDT"],
    }
    chosen, _ = choose(PAIRS, UniverseParams(stablecoins=True, leveraged=True, exclude=["BTC"]))
    assert chosen == ["BTCUPUSDT", "JUPUSDT", "USDCUSDT", "BTC3LUSDT", "EURUSDT", "SYRUPUSDT"]


def test_a_white_list_is_looked_at_alone_and_what_is_not_listed_is_said() -> None:
    chosen, left_out = choose(PAIRS, UniverseParams(only=["BTC", "ETHBTC", "NOSUCH", "LUNA"]))
    assert chosen == ["BTCUSDT", "ETHBTC"]
    assert left_out == {"NOSUCHUSDT": "not listed", "LUNAUSDT": "not traded at present"}


def test_a_row_is_small_and_its_picture_goes_from_low_to_high(board: Board) -> None:
    found = next(m for m in matches(CUSTOM, [board], ["S01USDT"], also=parse("close > 0")) if m is not None)
    row = row_of(found, board.candles["S01USDT"], "summary")
    assert len(row.model_dump_json()) < 500
    assert row.levels.support is None or row.levels.support < row.price
    assert spark(np.arange(8.0)) == "▁▂▃▄▅▆▇█"
    assert spark(np.ones(3)) == "▄▄▄"


def flat(close: np.ndarray) -> Candles:
    """Bars without wicks."""
    open_ = np.concatenate([close[:1], close[:-1]])
    times = np.arange(len(close), dtype=np.int64) * HOUR
    return Candles(
        times, open_, np.maximum(open_, close), np.minimum(open_, close), close, np.full(len(close), 10.0), HOUR
    )


def test_the_documentation_has_every_scan_as_it_is() -> None:
    page = (Path(__file__).parents[2] / "docs" / "scanner.md").read_text()
    for name in get_args(ScanType):
        assert f"| `{name}` |" in page
    for scan in SCANS.values():
        assert scan.looks_for in page
        assert scan.ranked_by in page
        assert all(f"`{setup.text}`" in page for setup in scan.setups)
