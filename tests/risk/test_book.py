"""The book: what events add up to, whatever they are, and the ledger it can be rebuilt from."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_mcp.errors import InvalidRequest
from crypto_mcp.models.risk import MarketKind
from crypto_mcp.risk.book import Book, CostMethod, Fill, InsufficientCash, InsufficientPosition
from crypto_mcp.risk.ledger import FIRST_SEAL, apply, book_document, book_of, broken_at, fill_document, rebuilt, seal

START = datetime(2026, 1, 1, tzinfo=UTC)
amounts = st.decimals("0.01", "1000", places=2)


@st.composite
def fills(draw: st.DrawFn) -> Fill:
    market: MarketKind = draw(st.sampled_from(["spot", "perpetual"]))
    return Fill(
        draw(st.sampled_from(["BTCUSDT", "ETHUSDT"])),
        market,
        draw(st.booleans()),
        draw(amounts),
        draw(amounts),
        draw(st.decimals("0", "2", places=2)),
        START + timedelta(hours=draw(st.integers(0, 200))),
        None,
        Decimal(draw(st.integers(1, 20))) if market == "perpetual" else None,
    )


def entry(kind: str, **data: Any) -> dict[str, Any]:
    return {"kind": kind, "data": data}


@st.composite
def events(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Entries that may be refused; those that are leave no trace."""
    any_event = st.one_of(
        fills().map(lambda fill: entry("traded", fills=[fill_document(fill)])),
        fills().map(lambda fill: entry("traded", fills=[fill_document(fill)], advance=True)),
        st.decimals("-500", "5000", places=2).map(lambda amount: entry("cash_moved", amount=str(amount))),
        st.tuples(amounts, amounts, st.booleans()).map(
            lambda t: entry(
                "position_added", symbol="SOLUSDT", market="perpetual" if t[2] else "spot", quantity=str(t[0]),
                price=str(t[1]), leverage="5" if t[2] else "1", at=START.isoformat(),
            )
        ),
        st.decimals("-50", "50", places=2).map(
            lambda amount: entry("funded", symbol="BTCUSDT", amount=str(amount), at=START.isoformat())
        ),
        amounts.map(lambda price: entry("position_edited", symbol="SOLUSDT", market="spot", price=str(price))),
    )  # fmt: skip
    return draw(st.lists(any_event, max_size=25))


def accepted(book: Book, tried: list[dict[str, Any]]) -> tuple[Book, list[dict[str, Any]]]:
    kept = []
    for each in tried:
        before = book_document(book)
        try:
            book = apply(book, each)
            kept.append(each)
        except InvalidRequest:
            assert book_document(book) == before, "a refused event left a trace"
    return book, kept


def equity(book: Book, prices: dict[str, Decimal]) -> tuple[Decimal, Decimal]:
    """Equity and unrealised gain at given prices."""
    value, unrealised = book.cash, Decimal(0)
    for position in book.held:
        gain = position.quantity * prices[position.symbol] - position.cost
        unrealised += gain
        value += gain if position.market == "perpetual" else position.quantity * prices[position.symbol]
    return value, unrealised


@given(events(), st.sampled_from(["fifo", "lifo", "average"]), amounts, amounts, amounts)
def test_equity_is_what_was_put_in_and_what_was_gained(
    tried: list[dict[str, Any]], method: CostMethod, btc: Decimal, eth: Decimal, sol: Decimal
) -> None:
    book, _ = accepted(Book(method=method), tried)
    value, unrealised = equity(book, {"BTCUSDT": btc, "ETHUSDT": eth, "SOLUSDT": sol})
    assert abs(value - book.contributions - (book.realised + unrealised - book.fees + book.funding)) < Decimal("1e-15")
    by_day = book.realised - book.fees + book.funding
    assert abs(sum(book.by_day.values(), Decimal(0)) - by_day) < Decimal("1e-15")


@given(events(), st.sampled_from(["fifo", "lifo", "average"]))
def test_a_ledger_replays_to_the_same_book(tried: list[dict[str, Any]], method: CostMethod) -> None:
    """From its entries, and from the stored document."""
    created = entry("created", method=method)
    book, kept = accepted(apply(Book(), created), tried)
    assert book_document(rebuilt([created, *kept])) == book_document(book)
    assert book_document(book_of(book_document(book))) == book_document(book)


@given(events())
def test_lots_of_a_position_have_one_sign_and_spot_is_never_short(tried: list[dict[str, Any]]) -> None:
    book, _ = accepted(Book(), tried)
    for position in book.held:
        assert len({lot.quantity > 0 for lot in position.lots}) == 1
        assert position.market == "perpetual" or position.quantity > 0
        assert all(lot.quantity for lot in position.lots)


def bought(*lots: tuple[str, str], method: CostMethod = "fifo") -> Book:
    book = Book(method=method)
    book.move_cash(Decimal(10_000))
    for quantity, price in lots:
        book.fill(Fill("BTCUSDT", "spot", True, Decimal(quantity), Decimal(price), Decimal(0), START))
    return book


@pytest.mark.parametrize(("method", "gain", "left"), [("fifo", 350, 200), ("lifo", 250, 100), ("average", 300, 150)])
def test_the_cost_method_decides_what_was_sold(method: CostMethod, gain: int, left: int) -> None:
    """Bought 2 at 100 and 2 at 200, sold 3 at 250: by hand."""
    book = bought(("2", "100"), ("2", "200"), method=method)
    book.fill(Fill("BTCUSDT", "spot", False, Decimal(3), Decimal(250), Decimal(0), START))
    position = book.position("BTCUSDT", "spot")
    assert (position.realised, position.entry_price, position.quantity) == (gain, left, 1)


def test_a_perpetual_that_sells_more_than_it_holds_turns_short() -> None:
    book = Book()
    book.move_cash(Decimal(1000))
    ten = Decimal(10)
    book.fill(Fill("ETHUSDT", "perpetual", True, Decimal(2), Decimal(100), Decimal(1), START, None, ten))
    book.fill(Fill("ETHUSDT", "perpetual", False, Decimal(5), Decimal(110), Decimal(1), START, None, ten))
    position = book.position("ETHUSDT", "perpetual")
    assert (position.quantity, position.entry_price, position.realised) == (-3, 110, 20)
    assert book.cash == 1000 + 20 - 2
    assert book.free_cash == 1018 - 33


def test_what_cannot_be_paid_or_delivered_is_refused() -> None:
    book = bought(("1", "100"))
    with pytest.raises(InsufficientPosition):
        book.fill(Fill("BTCUSDT", "spot", False, Decimal(2), Decimal(100), Decimal(0), START))
    with pytest.raises(InsufficientPosition):
        book.fill(Fill("ETHUSDT", "spot", False, Decimal(2), Decimal(100), Decimal(0), START))
    with pytest.raises(InsufficientCash):
        book.fill(Fill("BTCUSDT", "spot", True, Decimal(200), Decimal(100), Decimal(0), START))
    with pytest.raises(InsufficientCash):
        book.move_cash(Decimal(-9901))
    assert [position.symbol for position in book.positions.values()] == ["BTCUSDT"]


def test_a_seal_shows_every_change_to_the_past() -> None:
    """A changed amount, a missing entry and two entries that swapped places are each found where they begin."""
    entries: list[dict[str, Any]] = []
    before = FIRST_SEAL
    for seq in range(1, 6):
        made = entry("cash_moved", amount=str(seq)) | {
            "seq": seq,
            "at": START,
            "recorded_at": START,
            "job_id": f"j{seq}",
        }
        made["seal"] = before = seal(made, before)
        entries.append(made)
    assert broken_at(entries) is None
    forged = copy.deepcopy(entries)
    forged[2]["data"]["amount"] = "3000"
    assert broken_at(forged) == 3
    assert broken_at(entries[:1] + entries[2:]) == 2
    assert broken_at([entries[0], entries[2], entries[1]]) == 2
