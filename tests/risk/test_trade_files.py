"""CSV files of exchanges: each becomes trades, and each bad line an error that names it."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_mcp.risk.trade_files import TradeFile, UnreadableFile, read_trades

BINANCE = """"Date(UTC)","Pair","Side","Price","Executed","Amount","Fee"
"2026-01-05 10:00:00","BTCUSDT","BUY","40,000.00","0.1000000000BTC","4,000.00000000USDT","0.0001000000BTC"
"2026-01-04 10:00:00","ETHUSDT","SELL","2000","1.5ETH","3000USDT","3USDT"
"2026-01-06 10:00:00","SOLUSDT","BUY","100","2SOL","200USDT","0.0005BNB"
"""
BINANCE_OLD = """Date(UTC),Market,Type,Price,Amount,Total,Fee,Fee Coin
2026-01-05 10:00:00,BTCUSDT,BUY,40000,0.1,4000,4,USDT
"""
COINBASE = """You can use this transaction report to inform your likely tax obligations.

Transactions
User,someone@example.org,1234
ID,Timestamp,Transaction Type,Asset,Quantity Transacted,Price Currency,Price at Transaction,Subtotal,Total (inclusive of fees and/or spread),Fees and/or Spread,Notes
a1,2026-01-05 10:00:00 UTC,Buy,BTC,0.1,USD,$40000.00,$4000,$4020,$20.00,Bought
a2,2026-01-06 10:00:00 UTC,Receive,BTC,0.1,USD,40000,4000,4000,0,Received
a3,2026-01-07 10:00:00 UTC,Advanced Trade Sell,BTC,-0.05,USD,42000,2100,2090,10,Sold
"""  # noqa: E501 - as Coinbase writes it
COINBASE_FILLS = """portfolio,trade id,product,side,created at,size,size unit,price,fee,total,price/fee/total unit
default,77,BTC-USD,BUY,2026-01-05T10:00:00.000Z,0.1,BTC,40000,20,-4020,USD
"""
KRAKEN = """"txid","ordertxid","pair","time","type","ordertype","price","cost","fee","vol","margin","misc","ledgers"
"T1","O1","XXBTZUSD","2026-01-05 10:00:00.1234","buy","limit",40000.0,4000.0,6.4,0.1,0.0,"","L1"
"T2","O2","XDG/USDT","2026-01-06 10:00:00","sell","limit",0.1,100,0.1,1000,0.0,"","L2"
"""
GENERIC = """time,symbol,side,quantity,price,fee,id,market,leverage
1767607200000,BTC/USDT,buy,0.1,40000,4,x1,spot,
2026-01-06T00:00:00+02:00,ETH-USDT,sell,1,2000,2,x2,perpetual,5
"""


def first(text: str, currency: str = "USDT") -> TradeFile:
    found = read_trades(text, currency)
    assert not [error for error in found.errors if error.code != "not_a_trade"]
    return found


def test_binance_fees_in_the_coin_bought_lower_what_was_received() -> None:
    found = first(BINANCE)
    assert [fill.symbol for fill in found.fills] == ["ETHUSDT", "BTCUSDT", "SOLUSDT"]
    bought = found.fills[1]
    assert (bought.quantity, bought.price, bought.fee) == (Decimal("0.0999"), 40000, 4)
    assert bought.quantity * bought.price + bought.fee == 4000
    assert found.fills[0].fee == 3
    assert found.fills[2].fee == 0
    assert "BNB" in found.notes[0]
    assert first(BINANCE_OLD).fills[0].fee == 4


def test_coinbase_reads_trades_behind_its_preamble_and_names_what_is_none() -> None:
    found = first(COINBASE)
    assert [(fill.buys, fill.quantity, fill.fee) for fill in found.fills] == [
        (True, Decimal("0.1"), 20),
        (False, Decimal("0.05"), 10),
    ]
    assert [(error.line, error.code) for error in found.errors] == [(7, "not_a_trade")]
    assert "USD taken as USDT" in found.notes[0]
    fills = first(COINBASE_FILLS).fills
    assert (fills[0].id, fills[0].at) == ("77", datetime(2026, 1, 5, 10, tzinfo=UTC))


def test_trades_without_an_id_have_one_of_what_they_are_so_that_a_file_can_be_taken_twice() -> None:
    """Binance names no trades. Two fills that say the same are two; later exports that overlap name them the same."""
    head, bought, *others = BINANCE.splitlines()
    twice = "\n".join([head, bought, bought, *others])
    ids = [fill.id for fill in first(twice).fills]
    assert len(set(ids)) == 4
    overlapping = f'{head}\n"2026-01-03 10:00:00","ETHUSDT","BUY","1","9ETH","9USDT","0"\n{bought}\n{bought}'
    assert {fill.id for fill in first(overlapping).fills[1:]} < set(ids)
    assert {fill.id for fill in first(BINANCE).fills} < set(ids)
    assert first(twice.replace("40,000.00", "40,000.01")).fills[1].id not in ids


def test_kraken_has_its_own_names_for_coins() -> None:
    found = first(KRAKEN)
    assert [fill.symbol for fill in found.fills] == ["BTCUSDT", "DOGEUSDT"]
    assert [fill.id for fill in found.fills] == ["T1", "T2"]


def test_the_plain_format_reads_milliseconds_zones_and_perpetuals() -> None:
    found = first(GENERIC)
    assert [fill.at for fill in found.fills] == [
        datetime(2026, 1, 5, 10, tzinfo=UTC),
        datetime(2026, 1, 5, 22, tzinfo=UTC),
    ]
    assert (found.fills[1].market, found.fills[1].leverage) == ("perpetual", 5)


BAD_LINES = [
    ("2026-01-05,BTCUSDT,buy,0,40000", "bad_quantity"),
    ("2026-01-05,BTCUSDT,buy,-1,40000", "bad_quantity"),
    ("2026-01-05,BTCUSDT,buy,1,NaN", "bad_price"),
    ("2026-01-05,BTCUSDT,buy,1,1e308", "bad_price"),
    ("2026-01-05,BTCUSDT,hold,1,40000", "bad_side"),
    ("yesterday,BTCUSDT,buy,1,40000", "bad_time"),
    ("99999999999999999999,BTCUSDT,buy,1,40000", "bad_time"),
    ("2026-01-05,???,buy,1,40000", "bad_symbol"),
    ("2026-01-05,ETHBTC,buy,1,0.05", "other_currency"),
    ("2026-01-05", "bad_symbol"),
]


@pytest.mark.parametrize(("line", "code"), BAD_LINES)
def test_a_bad_line_is_named_and_the_others_are_read(line: str, code: str) -> None:
    found = read_trades(f"time,symbol,side,quantity,price\n{line}\n2026-01-06,BTCUSDT,buy,1,40000\n", "USDT")
    assert [(error.line, error.code) for error in found.errors] == [(2, code)]
    assert (len(found.fills), found.lines) == (1, [3])


@pytest.mark.parametrize("text", ["", "hello", "a,b,c\n1,2,3\n", "\x00\x01"])
def test_a_file_without_a_known_header_says_which_columns_it_needs(text: str) -> None:
    with pytest.raises(UnreadableFile, match="quantity"):
        read_trades(text, "USDT")


@given(st.text(max_size=300))
def test_any_text_is_trades_or_errors_never_a_surprise(text: str) -> None:
    for head in ("", "time,symbol,side,quantity,price\n", BINANCE.splitlines()[0] + "\n"):
        with contextlib.suppress(UnreadableFile):
            read_trades(head + text, "USDT")
