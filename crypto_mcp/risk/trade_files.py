"""Trades from the CSV files exchanges export: Binance, Coinbase, Kraken, and a plain format of our own.

Every line becomes a trade or an error that names the line; nothing is guessed. Fees taken in the coin that was bought
lower the quantity received and count at the trade's price, so that the cost is what was paid.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Literal

from crypto_mcp.models.money import DECIMAL_PLACES, LARGEST
from crypto_mcp.risk.book import Fill
from crypto_mcp.risk.rounding import ZERO

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Row = Mapping[str, str]

FileFormat = Literal["binance", "coinbase", "kraken", "generic"]

DOLLARS = frozenset({"USD", "USDT", "USDC", "BUSD", "FDUSD", "TUSD", "USDP"})
"""Taken one for one where the portfolio counts in one of them; said in the notes."""

MOST_LINES = 20_000
_SMALLEST = Decimal(1).scaleb(-DECIMAL_PLACES)


@dataclass(frozen=True, slots=True)
class LineError:
    """What is wrong with a line; `line` counts from 1, the header included."""

    line: int
    code: str
    message: str


@dataclass(slots=True)
class TradeFile:
    """What a file holds. `fills` in the order of time, each with its line in `lines`."""

    format: FileFormat
    fills: list[Fill] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    errors: list[LineError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class BadLine(ValueError):
    """A line that is no trade; the first word is its code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class UnreadableFile(ValueError):
    """No header of a known format."""


@dataclass(frozen=True, slots=True)
class _Raw:
    """A trade as a file tells it, before its assets are looked at."""

    base: str
    quote: str
    buys: bool
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    at: datetime
    id: str | None = None
    market: Literal["spot", "perpetual"] = "spot"
    leverage: Decimal | None = None


def read_trades(text: str, currency: str, file_format: FileFormat | None = None) -> TradeFile:
    """The trades of a file, quoted in `currency`.

    Raises:
        UnreadableFile: no header of the format (of any, if None) was found, or there are too many lines.
    """
    rows = _rows(text)
    header, found = _header(rows, file_format)
    names = [_name(cell) for cell in rows[header]]
    out = TradeFile(found)
    taken: list[tuple[Fill, int]] = []
    dollars: set[str] = set()
    unvalued: set[str] = set()
    same: Counter[str] = Counter()
    for number, cells in enumerate(rows[header + 1 :], header + 2):
        if not any(cell.strip() for cell in cells):
            continue
        try:
            raw = _PARSERS[found](dict(zip(names, (cell.strip() for cell in cells), strict=False)))
            taken.append((_named(_fill(raw, currency, dollars, unvalued), found, same), number))
        except BadLine as error:
            out.errors.append(LineError(number, error.code, str(error)))
    taken.sort(key=lambda pair: pair[0].at)
    out.fills, out.lines = [fill for fill, _ in taken], [line for _, line in taken]
    if dollars:
        out.notes.append(f"{', '.join(sorted(dollars))} taken as {currency}, one for one.")
    if unvalued:
        out.notes.append(f"Fees in {', '.join(sorted(unvalued))} are left out: their price then is not in the file.")
    return out


def _name(cell: str) -> str:
    return re.sub(r"[^a-z0-9]+", " ", cell.lower()).strip()


_HEADERS: tuple[tuple[FileFormat, frozenset[str]], ...] = (
    ("binance", frozenset({"date utc", "pair", "side", "price", "executed"})),
    ("binance", frozenset({"date utc", "market", "type", "price", "amount"})),
    ("coinbase", frozenset({"timestamp", "transaction type", "asset", "quantity transacted"})),
    ("coinbase", frozenset({"trade id", "product", "side", "created at", "size", "price"})),
    ("kraken", frozenset({"txid", "pair", "time", "type", "price", "vol"})),
    ("generic", frozenset({"symbol", "side", "quantity", "price", "time"})),
)


def _rows(text: str) -> list[list[str]]:
    plain = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    try:
        rows = list(csv.reader(io.StringIO(plain)))
    except csv.Error as error:
        raise UnreadableFile(f"the file is no CSV: {error}") from None
    if len(rows) > MOST_LINES:
        raise UnreadableFile(f"the file has {len(rows)} lines; at most {MOST_LINES} are read at once")
    return rows


def _header(rows: list[list[str]], wanted: FileFormat | None) -> tuple[int, FileFormat]:
    """Index and format of the first line that has a known format's columns; exports may begin with other lines."""
    for index, cells in enumerate(rows[:20]):
        names = {_name(cell) for cell in cells}
        for file_format, needed in _HEADERS:
            if needed <= names and wanted in (None, file_format):
                return index, file_format
    columns = "; ".join(f"{name}: {', '.join(sorted(needed))}" for name, needed in _HEADERS if wanted in (None, name))
    raise UnreadableFile(f"no header line with the columns of a known format ({columns})")


def _fill(raw: _Raw, currency: str, dollars: set[str], unvalued: set[str]) -> Fill:
    quote = raw.quote
    if quote != currency:
        if not {quote, currency} <= DOLLARS:
            raise BadLine("other_currency", f"is priced in {quote}, the portfolio counts in {currency}")
        dollars.add(quote)
    quantity, fee = raw.quantity, raw.fee
    if fee and raw.fee_asset == raw.base:
        if raw.buys:
            quantity -= fee
        fee *= raw.price
    elif fee and raw.fee_asset not in (quote, currency) and not {raw.fee_asset, currency} <= DOLLARS:
        unvalued.add(raw.fee_asset)
        fee = ZERO
    if quantity <= 0:
        raise BadLine("bad_quantity", "the fee takes all of the quantity")
    quantity, fee = (value.quantize(_SMALLEST).normalize() for value in (quantity, fee))
    symbol = raw.base + currency
    return Fill(symbol, raw.market, raw.buys, quantity, raw.price, fee, raw.at, raw.id, raw.leverage)


def _named(fill: Fill, file_format: FileFormat, same: Counter[str]) -> Fill:
    """The trade with an id. Where its exchange gives none, one made of what the line says, and how many lines have said
    the same so far: two equal fills of one order are two trades, and a file that is taken again has the same ids.
    """
    if fill.id is not None:
        return fill
    digest = hashlib.blake2b(repr(fill).encode(), digest_size=12).hexdigest()
    same[digest] += 1
    return fill._replace(id=f"{file_format}:{digest}:{same[digest]}")


def _binance(row: Row) -> _Raw:
    """Spot trade history: the newer export has units inside the numbers, the older a column for the fee's coin."""
    pair = row.get("pair") or row.get("market", "")
    base, quote = _pair(pair)
    side = row.get("side") or row.get("type", "")
    executed, _ = _with_unit(row.get("executed") or row.get("amount", ""), "quantity")
    fee, unit = _with_unit(row.get("fee") or "0", "fee")
    return _Raw(
        base, quote, _buys(side), executed, _positive(row.get("price", ""), "price"), fee,
        unit or row.get("fee coin", quote).upper() or quote, _time(row.get("date utc", "")),
    )  # fmt: skip


def _coinbase(row: Row) -> _Raw:
    if "product" in row:
        base, _, quote = row["product"].upper().partition("-")
        unit = row.get("price fee total unit") or quote
        return _Raw(
            base, quote, _buys(row.get("side", "")), _positive(row.get("size", ""), "quantity"),
            _positive(row.get("price", ""), "price"), _amount(row.get("fee") or "0", "fee"), unit.upper(),
            _time(row.get("created at", "")), row.get("trade id") or None,
        )  # fmt: skip
    words = row.get("transaction type", "").lower()
    if not words.endswith(("buy", "sell")):
        raise BadLine("not_a_trade", f"is a {row.get('transaction type') or 'line without type'}, not a trade")
    quote = (row.get("price currency") or row.get("spot price currency") or "USD").upper()
    price = row.get("price at transaction") or row.get("spot price at transaction") or ""
    fee = row.get("fees and or spread") or row.get("fees") or "0"
    return _Raw(
        row.get("asset", "").upper(), quote, words.endswith("buy"),
        abs(_amount(row.get("quantity transacted", ""), "quantity")), _positive(price, "price"),
        abs(_amount(fee, "fee")), quote, _time(row.get("timestamp", "")), row.get("id") or None,
    )  # fmt: skip


def _kraken(row: Row) -> _Raw:
    base, quote = _kraken_pair(row.get("pair", ""))
    margin = _amount(row.get("margin") or "0", "margin")
    if margin:
        raise BadLine("margin_trade", "is a margin trade; record it as a perpetual by hand")
    return _Raw(
        base, quote, _buys(row.get("type", "")), _positive(row.get("vol", ""), "quantity"),
        _positive(row.get("price", ""), "price"), _amount(row.get("fee") or "0", "fee"), quote,
        _time(row.get("time", "")), row.get("txid") or None,
    )  # fmt: skip


def _generic(row: Row) -> _Raw:
    base, quote = _pair(row.get("symbol", ""))
    market = (row.get("market") or "spot").lower()
    if market not in ("spot", "perpetual"):
        raise BadLine("bad_market", f"market is {market[:20]!r}, not spot or perpetual")
    leverage = row.get("leverage")
    return _Raw(
        base, quote, _buys(row.get("side", "")), _positive(row.get("quantity", ""), "quantity"),
        _positive(row.get("price", ""), "price"), _amount(row.get("fee") or "0", "fee"),
        (row.get("fee asset") or quote).upper(), _time(row.get("time", "")), row.get("id") or None,
        "spot" if market == "spot" else "perpetual", _leverage(leverage) if leverage else None,
    )  # fmt: skip


_PARSERS: dict[FileFormat, Callable[[Row], _Raw]] = {
    "binance": _binance,
    "coinbase": _coinbase,
    "kraken": _kraken,
    "generic": _generic,
}

_QUOTES = (*sorted(DOLLARS, key=len, reverse=True), "EUR", "GBP", "TRY", "BTC", "ETH", "BNB")


def _pair(written: str) -> tuple[str, str]:
    name = written.upper()
    parts = [part for part in re.split(r"[/\-_ ]", name) if part]
    if len(parts) == 2:
        return parts[0], parts[1]
    for quote in _QUOTES:
        if name.endswith(quote) and len(name) > len(quote):
            return name[: -len(quote)], quote
    raise BadLine("bad_symbol", f"{written[:20]!r} is no trading pair")


_KRAKEN_NAMES = {"XBT": "BTC", "XDG": "DOGE"}


def _kraken_pair(written: str) -> tuple[str, str]:
    """Kraken writes XXBTZUSD, XBTUSDT or XBT/USD: old assets carry an X, old currencies a Z before them."""
    name = written.upper()
    if re.fullmatch(r"X[A-Z]{3}Z[A-Z]{3}", name) or re.fullmatch(r"X[A-Z]{3}X[A-Z]{3}", name):
        name = f"{name[1:4]}/{name[5:]}"
    base, quote = _pair(name)
    return _KRAKEN_NAMES.get(base, base), _KRAKEN_NAMES.get(quote, quote)


def _buys(side: str) -> bool:
    match side.strip().lower():
        case "buy" | "b":
            return True
        case "sell" | "s":
            return False
    raise BadLine("bad_side", f"side is {side[:20]!r}, not buy or sell")


def _with_unit(text: str, what: str) -> tuple[Decimal, str]:
    """`0.001BTC` as number and unit."""
    found = re.fullmatch(r"([+-]?[\d.,]+(?:[eE][+-]?\d+)?)\s*([A-Za-z0-9]*)", text.strip())
    if found is None:
        raise BadLine(f"bad_{what}", f"{what} is {text[:20]!r}, no number")
    return _amount(found[1], what), found[2].upper()


def _amount(text: str, what: str) -> Decimal:
    try:
        value = Decimal(text.replace(",", "").replace("$", "").replace("€", ""))
    except InvalidOperation:
        raise BadLine(f"bad_{what}", f"{what} is {text[:20]!r}, no number") from None
    if not value.is_finite() or abs(value) >= LARGEST:
        raise BadLine(f"bad_{what}", f"{what} is {text[:20]!r}, which cannot be")
    return value


def _positive(text: str, what: str) -> Decimal:
    value = _amount(text, what)
    if value <= 0 or value < _SMALLEST:
        raise BadLine(f"bad_{what}", f"{what} is {text[:20]!r}, not above zero")
    return value


def _leverage(text: str) -> Decimal:
    value = _positive(text, "leverage")
    if not 1 <= value <= 125:
        raise BadLine("bad_leverage", f"leverage is {text[:20]!r}, not 1 to 125")
    return value


def _time(text: str) -> datetime:
    """ISO 8601, `2026-01-31 12:00:00` in UTC, or milliseconds since 1970."""
    written = text.strip().removesuffix(" UTC")
    try:
        if written.isdigit():
            return datetime.fromtimestamp(int(written) / 1000, UTC)
        moment = datetime.fromisoformat(written)
    except (ValueError, OverflowError, OSError):
        raise BadLine("bad_time", f"time is {text[:30]!r}, which cannot be read") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
