"""The ledger of a portfolio: events one after another, each sealed with the one before it.

An entry is a plain document, amounts as decimal strings, so that the book can be rebuilt from it by anyone. `seal` is
the SHA-256 of the entry's canonical JSON with the seal of the entry before: a changed, missing or inserted entry shows.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from crypto_mcp.models.money import plain
from crypto_mcp.risk.book import Book, Fill, InsufficientPosition, Lot, Position

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Entry = Mapping[str, Any]

SEALED = ("seq", "kind", "data", "at", "recorded_at", "job_id")
FIRST_SEAL = "0" * 64


def seal(entry: Entry, before: str) -> str:
    """The seal of an entry that follows one sealed `before`."""
    body = {name: entry[name] for name in SEALED} | {"before": before}
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":"), default=_text).encode()).hexdigest()


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    raise TypeError(type(value).__name__)


def broken_at(entries: Iterable[Entry], before: str = FIRST_SEAL, seq: int = 0) -> int | None:
    """The number of the first entry that is out of sequence or whose seal does not fit; None if all do."""
    for entry in entries:
        if entry["seq"] != seq + 1 or entry["seal"] != seal(entry, before):
            return seq + 1
        before, seq = entry["seal"], entry["seq"]
    return None


def apply(book: Book, entry: Entry) -> Book:
    """The book after one more entry, the same object changed in place; a new one where the entry creates it."""
    data, kind = entry["data"], entry["kind"]
    match kind:
        case "created":
            return Book(method=data["method"])
        case "cash_moved":
            book.move_cash(Decimal(data["amount"]))
        case "position_added":
            added = book.bring_in(
                data["symbol"],
                data["market"],
                Decimal(data["quantity"]),
                Decimal(data["price"]),
                Decimal(data["leverage"]),
                _moment(data["at"]),
            )
            added.sector = data.get("sector") or added.sector
        case "position_edited":
            _edit(book, data)
        case "funded":
            position = book.position(data["symbol"], "perpetual")
            book.fund(position, Decimal(data["amount"]), data["at"][:10])
        case "traded":
            for fill in data["fills"]:
                book.fill(fill_of(fill), advance=bool(data.get("advance")))
        case "renamed" | "deleted":
            pass
        case _:
            raise ValueError(f"a ledger entry of an unknown kind: {kind}")
    return book


def _edit(book: Book, data: Mapping[str, Any]) -> None:
    position = book.position(data["symbol"], data["market"])
    if "leverage" in data:
        position.leverage = Decimal(data["leverage"])
    if "sector" in data:
        position.sector = data["sector"]
    if "quantity" in data or "price" in data:
        quantity = Decimal(data["quantity"]) if "quantity" in data else position.quantity
        price = Decimal(data["price"]) if "price" in data else position.entry_price
        if quantity == 0:
            raise InsufficientPosition("a position cannot be edited to nothing", hint="Close it with close_position.")
        book.correct(position, quantity, price)


def fill_document(fill: Fill) -> dict[str, Any]:
    """A trade as an entry keeps it."""
    document: dict[str, Any] = {
        "symbol": fill.symbol,
        "market": fill.market,
        "side": "buy" if fill.buys else "sell",
        "quantity": plain(fill.quantity),
        "price": plain(fill.price),
        "fee": plain(fill.fee),
        "at": fill.at.isoformat(),
    }
    if fill.id is not None:
        document["id"] = fill.id
    if fill.leverage is not None:
        document["leverage"] = plain(fill.leverage)
    return document


def fill_of(document: Mapping[str, Any]) -> Fill:
    """A trade from an entry."""
    return Fill(
        symbol=document["symbol"],
        market=document["market"],
        buys=document["side"] == "buy",
        quantity=Decimal(document["quantity"]),
        price=Decimal(document["price"]),
        fee=Decimal(document["fee"]),
        at=_moment(document["at"]),
        id=document.get("id"),
        leverage=Decimal(document["leverage"]) if "leverage" in document else None,
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def rebuilt(entries: Iterable[Entry]) -> Book:
    """The book of a whole ledger, from its first entry."""
    book = Book()
    for entry in entries:
        book = apply(book, entry)
    return book


def results(entries: Iterable[Entry]) -> list[Decimal]:
    """What each trade that closed something gained, its fee deducted, quote asset, in the order of the ledger."""
    book, found = Book(), []
    for entry in entries:
        if entry["kind"] != "traded":
            book = apply(book, entry)
            continue
        for document in entry["data"]["fills"]:
            fill = fill_of(document)
            held = book.positions.get((fill.symbol, fill.market))
            closes = held is not None and held.quantity != 0 and (held.quantity > 0) != fill.buys
            before = book.realised
            book.fill(fill, advance=bool(entry["data"].get("advance")))
            if closes:
                found.append(book.realised - before - fill.fee)
    return found


def book_document(book: Book) -> dict[str, Any]:
    """The book as MongoDB keeps it: positions in the specified shape with what more they need."""
    return {
        "cost_method": book.method,
        "cash": plain(book.cash),
        "contributions": plain(book.contributions),
        "trades": book.trades,
        "by_day": {day: plain(amount) for day, amount in sorted(book.by_day.items())},
        "positions": [_position_document(position) for position in book.positions.values()],
    }


def _position_document(position: Position) -> dict[str, Any]:
    return {
        "symbol": position.symbol,
        "market": position.market,
        "size": plain(position.quantity),
        "entry_price": plain(position.entry_price),
        "leverage": plain(position.leverage),
        "lots": [[plain(lot.quantity), plain(lot.price)] for lot in position.lots],
        "realised": plain(position.realised),
        "fees": plain(position.fees),
        "funding": plain(position.funding),
        "sector": position.sector,
        "opened_at": None if position.opened_at is None else position.opened_at.isoformat(),
    }


def book_of(document: Mapping[str, Any]) -> Book:
    """The book from what MongoDB kept."""
    positions = [_position_of(each) for each in document["positions"]]
    return Book(
        method=document["cost_method"],
        cash=Decimal(document["cash"]),
        contributions=Decimal(document["contributions"]),
        positions={(position.symbol, position.market): position for position in positions},
        by_day=defaultdict(Decimal, {day: Decimal(amount) for day, amount in document["by_day"].items()}),
        trades=document["trades"],
    )


def _position_of(document: Mapping[str, Any]) -> Position:
    return Position(
        symbol=document["symbol"],
        market=document["market"],
        lots=[Lot(Decimal(quantity), Decimal(price)) for quantity, price in document["lots"]],
        leverage=Decimal(document["leverage"]),
        realised=Decimal(document["realised"]),
        fees=Decimal(document["fees"]),
        funding=Decimal(document["funding"]),
        sector=document["sector"],
        opened_at=None if document["opened_at"] is None else _moment(document["opened_at"]),
    )
