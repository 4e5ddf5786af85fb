"""What Binance lists: which symbols there are, whether they trade, and which one a misspelt name may have meant."""

from __future__ import annotations

import time
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from crypto_mcp.errors import SourceUnavailable, UnknownSymbol
from crypto_mcp.market.candles import bad_data
from crypto_mcp.market.single_flight import SingleFlight

if TYPE_CHECKING:
    from crypto_mcp.market.binance_http import BinanceHttp

_GOOD_FOR = 3600.0
_SUGGESTED = 3


@dataclass(frozen=True, slots=True)
class ListedSymbol:
    """A pair as the exchange lists it; `status` is TRADING, or why it does not trade."""

    name: str
    base: str
    quote: str
    status: str

    @property
    def trades(self) -> bool:
        """Whether it can be traded at present."""
        return self.status == "TRADING"


class Listing:
    """The exchange's list of symbols, read when first needed and kept for an hour (weight 20)."""

    def __init__(self, http: BinanceHttp) -> None:
        self._http = http
        self._symbols: dict[str, ListedSymbol] = {}
        self._until = 0.0
        self._fetch = SingleFlight(self._fetched)

    async def read(self) -> dict[str, ListedSymbol]:
        """All symbols by name. Callers at the same time share one request."""
        if time.monotonic() >= self._until:
            await self._fetch()
        return self._symbols

    async def _fetched(self) -> None:
        reply = await self._http.get("/api/v3/exchangeInfo", {"showPermissionSets": "false"})
        self._symbols = _parsed(reply.body)
        self._until = time.monotonic() + _GOOD_FOR

    async def unknown(self, written: str) -> UnknownSymbol:
        """The error for a name that the exchange does not list, with the nearest names if the list can be read."""
        try:
            near = _nearest(written, [s for s in (await self.read()).values() if s.trades])
        except SourceUnavailable:
            near = []
        hint = f"Did you mean {' or '.join(near)}?" if near else "Give a pair the exchange lists, such as BTCUSDT."
        return UnknownSymbol(f"the exchange lists no symbol {written}", hint=hint)

    async def require_trading(self, name: str) -> None:
        """Raises `UnknownSymbol` if the symbol is listed but does not trade."""
        listed = (await self.read()).get(name)
        if listed is not None and not listed.trades:
            raise UnknownSymbol(
                f"{name} is not traded at present (status {listed.status})", hint="Choose a symbol that trades."
            )


def _parsed(body: object) -> dict[str, ListedSymbol]:
    try:
        rows = body["symbols"]  # type: ignore[index]  # whatever is no such object is refused below
        listed = [ListedSymbol(s["symbol"], s["baseAsset"], s["quoteAsset"], s["status"]) for s in rows]
    except (KeyError, TypeError) as error:
        raise bad_data("no list of symbols") from error
    if not listed:
        raise bad_data("an empty list of symbols")
    return {symbol.name: symbol for symbol in listed}


def _nearest(written: str, symbols: list[ListedSymbol]) -> list[str]:
    """Pairs whose base asset is like the one written, in the same quote asset, then pairs with a like name."""
    quotes = [quote for quote in {s.quote for s in symbols} if written.endswith(quote)]
    quote = max(quotes, key=len, default="")
    pairs = {s.base: s.name for s in symbols if s.quote == quote}
    by_base = [pairs[base] for base in get_close_matches(written.removesuffix(quote), pairs, n=_SUGGESTED, cutoff=0.7)]
    by_name = get_close_matches(written, [s.name for s in symbols], n=_SUGGESTED, cutoff=0.6)
    return list(dict.fromkeys([*by_base, *by_name]))[:_SUGGESTED]
