"""What Binance lists: symbols with their rules, whether they trade, and which one a misspelt name may have meant."""

from __future__ import annotations

import time
from decimal import Decimal
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AliasChoices, BaseModel, Field, ValidationError

from crypto_mcp.errors import SourceUnavailable, UnknownSymbol
from crypto_mcp.market.candles import bad_data
from crypto_mcp.market.provider_http import Question
from crypto_mcp.market.single_flight import SingleFlight
from crypto_mcp.models.markets import SymbolRules

if TYPE_CHECKING:
    from crypto_mcp.market.provider_http import Params, ProviderHttp

_GOOD_FOR, _SHARED_FOR = 3600.0, 600.0
_STANDS_IN_FOR, _AGAIN_AFTER = 86_400.0, 30.0
"""Seconds for which an old list serves while the exchange is away; after which it is asked for again."""

_SUGGESTED = 3

Amount = Annotated[Decimal, Field(ge=0)]


class Listing:
    """The exchange's list of symbols, read when first needed and kept for an hour; with it come its limits."""

    def __init__(self, http: ProviderHttp, path: str, weight: int) -> None:
        self._http = http
        self._path = path
        self._weight = weight
        self._symbols: dict[str, SymbolRules] = {}
        self._until = self._stands_in_until = 0.0
        self._fetch = SingleFlight(self._fetched)

    async def read(self) -> dict[str, SymbolRules]:
        """All symbols by name. Callers at the same time share one request.

        Raises:
            SourceUnavailable: the exchange is away, and was not asked within a day.
        """
        if time.monotonic() >= self._until:
            try:
                await self._fetch()
            except SourceUnavailable:
                if time.monotonic() >= self._stands_in_until:
                    raise
                self._until = time.monotonic() + _AGAIN_AFTER
        return self._symbols

    async def of(self, symbol: str) -> SymbolRules:
        """Rules of one symbol.

        Raises:
            UnknownSymbol: it is not listed (the hint has the nearest names). One that does not trade is returned.
            SourceUnavailable: the list cannot be read.
        """
        found = (await self.read()).get(symbol)
        if found is None:
            raise await self.unknown(symbol)
        return found

    async def _fetched(self) -> None:
        params: Params = {"showPermissionSets": "false"} if self._path.startswith("/api/") else {}
        question = Question(self._path, _checked, params, weight=self._weight, keep=_SHARED_FOR, first=True)
        info = (await self._http.ask(question)).body
        self._symbols = {symbol.symbol: symbol.rules() for symbol in info.symbols}
        self._until = time.monotonic() + _GOOD_FOR
        self._stands_in_until = time.monotonic() + _STANDS_IN_FOR
        for limit in info.limits:
            if (limit.kind, limit.unit, limit.count) == ("REQUEST_WEIGHT", "MINUTE", 1):
                await self._http.learn_limit(self._http.provider.pools[0], limit.limit)

    async def unknown(self, written: str) -> UnknownSymbol:
        """The error for a name the exchange does not know, with the nearest names if the list can be read."""
        try:
            listed = await self.read()
        except SourceUnavailable:
            listed = {}
        if written in listed:  # our list is older than that
            self._until = 0.0
            return UnknownSymbol(
                f"the exchange listed {written} within the hour and no longer answers for it: it was probably delisted",
                hint="Choose a symbol that trades.",
            )
        near = _nearest(written, [s for s in listed.values() if s.trades])
        hint = f"Did you mean {' or '.join(near)}?" if near else "Give a pair the exchange lists, such as BTCUSDT."
        return UnknownSymbol(f"the exchange lists no symbol {written}", hint=hint)

    async def require_trading(self, name: str) -> None:
        """Raises `UnknownSymbol` if the symbol is listed but does not trade."""
        listed = (await self.read()).get(name)
        if listed is not None and not listed.trades:
            raise UnknownSymbol(
                f"{name} is not traded at present (status {listed.status})", hint="Choose a symbol that trades."
            )


class _Filter(BaseModel):
    """One of a symbol's rules; spot and futures name the least notional differently."""

    kind: str = Field(validation_alias="filterType")
    tick_size: Amount = Field(Decimal(0), validation_alias="tickSize")
    step_size: Amount = Field(Decimal(0), validation_alias="stepSize")
    min_quantity: Amount = Field(Decimal(0), validation_alias="minQty")
    max_quantity: Amount = Field(Decimal(0), validation_alias="maxQty")
    min_notional: Amount = Field(Decimal(0), validation_alias=AliasChoices("minNotional", "notional"))


class _Symbol(BaseModel):
    symbol: str
    base: str = Field(validation_alias="baseAsset")
    quote: str = Field(validation_alias="quoteAsset")
    status: str
    contract: str | None = Field(None, validation_alias="contractType")
    filters: list[_Filter] = []

    def rules(self) -> SymbolRules:
        found = {rule.kind: rule for rule in self.filters}
        price, lot = found.get("PRICE_FILTER"), found.get("LOT_SIZE")
        notional = found.get("NOTIONAL") or found.get("MIN_NOTIONAL")
        nothing = Decimal(0)
        return SymbolRules(
            symbol=self.symbol,
            base=self.base,
            quote=self.quote,
            status=self.status,
            tick_size=price.tick_size if price else nothing,
            step_size=lot.step_size if lot else nothing,
            min_quantity=lot.min_quantity if lot else nothing,
            max_quantity=lot.max_quantity if lot else nothing,
            min_notional=notional.min_notional if notional else nothing,
            contract=self.contract,
        )


class _Limit(BaseModel):
    kind: str = Field(validation_alias="rateLimitType")
    unit: str = Field(validation_alias="interval")
    count: int = Field(validation_alias="intervalNum")
    limit: Annotated[int, Field(gt=0)]


class _ExchangeInfo(BaseModel):
    symbols: list[_Symbol] = Field(min_length=1)
    limits: list[_Limit] = Field([], validation_alias="rateLimits")


def _checked(body: Any) -> _ExchangeInfo:
    try:
        return _ExchangeInfo.model_validate(body)
    except ValidationError as error:
        raise bad_data(f"no list of symbols ({error.error_count()} faults)") from error


def _nearest(written: str, symbols: list[SymbolRules]) -> list[str]:
    """Pairs whose base asset is like the one written, in the same quote asset, then pairs with a like name."""
    quotes = [quote for quote in {s.quote for s in symbols} if written.endswith(quote)]
    quote = max(quotes, key=len, default="")
    pairs = {s.base: s.symbol for s in symbols if s.quote == quote}
    by_base = [pairs[base] for base in get_close_matches(written.removesuffix(quote), pairs, n=_SUGGESTED, cutoff=0.7)]
    by_name = get_close_matches(written, [s.symbol for s in symbols], n=_SUGGESTED, cutoff=0.6)
    return list(dict.fromkeys([*by_base, *by_name]))[:_SUGGESTED]
