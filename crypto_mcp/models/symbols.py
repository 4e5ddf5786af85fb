"""Trading pairs as people write them, in the exchange's spelling."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

from crypto_mcp.models.answers import Contract

DEFAULT_QUOTE = "USDT"

# Assets that others are priced in. Stablecoins and fiat end no base asset's name; coins do (WBTC, STETH).
_STABLECOINS = ("FDUSD", "USDT", "USDC", "TUSD", "BUSD", "DAI", "USD1")
_FIAT = ("EUR", "TRY", "BRL", "JPY", "GBP", "ARS", "MXN", "IDR")
_FIRM_QUOTES = _STABLECOINS + _FIAT
_COIN_QUOTES = ("BTC", "ETH", "BNB")
_WRAPPED_BITCOIN = frozenset({"WBTC", "CBBTC", "TBTC", "BBTC", "HBTC", "RENBTC"})
_WRAPPED_ETHER = frozenset({"WETH", "STETH", "WSTETH", "WBETH", "BETH", "RETH", "CBETH", "WEETH"})
_WRAPPED = _WRAPPED_BITCOIN | _WRAPPED_ETHER | {"WBNB"}


def exchange_symbol(written: str) -> str:
    """`BTC`, `btc/usdt`, `BTC-USDT` and ` BTCUSDT ` are all `BTCUSDT`; `ETH/BTC` is `ETHBTC`.

    A lone asset is taken against USDT. Whether the pair exists is not decided here: the exchange's list is.
    """
    name = written.strip().upper()
    parts = [part for part in re.split(r"[/\-_: ]+", name) if part]
    if len(parts) != 1:
        return "".join(parts)
    name = parts[0]
    if any(name.endswith(quote) and len(name) > len(quote) for quote in _FIRM_QUOTES):
        return name
    if name not in _WRAPPED and any(name.endswith(quote) and len(name) > len(quote) + 1 for quote in _COIN_QUOTES):
        return name
    return name + DEFAULT_QUOTE


def _spelled(value: object) -> object:
    return exchange_symbol(value) if isinstance(value, str) and value.strip() else value


SymbolName = Annotated[
    str,
    BeforeValidator(_spelled),
    Field(
        min_length=2,
        max_length=40,
        pattern=r"^[\p{L}\p{N}]+$",
        description="Trading pair in any usual spelling: `BTC`, `btc/usdt`, `BTCUSDT`.",
        examples=["BTCUSDT"],
    ),
]


class SymbolListParams(Contract):
    """What `list_symbols` takes."""

    limit: int = Field(2000, ge=1, le=5000, description="At most so many.")


class SymbolList(Contract):
    """Trading pairs, those most traded first."""

    symbols: list[str]
