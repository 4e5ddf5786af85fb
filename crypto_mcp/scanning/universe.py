"""Which of the listed symbols are looked at, and why the others are not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Protocol

from crypto_mcp.models.scans import UniverseParams

STABLE = frozenset((
    "USDT", "USDC", "FDUSD", "TUSD", "BUSD", "DAI", "USDP", "USD1", "USDE", "USDS", "PYUSD", "RLUSD", "GUSD", "SUSD",
    "LUSD", "FRAX", "USTC", "UST", "EURC", "EURI", "AEUR", "XUSD", "BFUSD",
    "EUR", "GBP", "AUD", "TRY", "BRL", "JPY", "ARS", "MXN", "IDR", "PLN", "RON", "CZK", "ZAR", "UAH", "NGN", "RUB",
))  # fmt: skip
"""Stablecoins and fiat money: what moves by nature only by rounding."""

_LEVERAGED = re.compile(r"^(?P<base>[A-Z0-9]{2,}?)(UP|DOWN|BULL|BEAR|[2-5][LS])$")

_MANY = re.compile(r"^(1000|10000|1000000|1M)(?P<base>[A-Z0-9]{2,})$")


class Listed(Protocol):
    """A pair as the exchange lists it."""

    @property
    def symbol(self) -> str:
        """Its name."""
        ...

    @property
    def base(self) -> str:
        """What is traded."""
        ...

    @property
    def quote(self) -> str:
        """What it is priced in."""
        ...

    @property
    def trades(self) -> bool:
        """Whether it can be traded at present."""
        ...


def choose(
    listed: Iterable[Listed], wanted: UniverseParams, coins: frozenset[str] | None = None
) -> tuple[list[str], dict[str, str]]:
    """The symbols to look at, in the order of the list, and the others with the reason.

    Pairs in other quote assets are no part of the question; they are not told.

    Args:
        listed: all pairs.
        wanted: the rules.
        coins: base assets of the rank and category asked for; None where neither was.
    """
    pairs = {pair.symbol: pair for pair in listed}
    bases = {pair.base for pair in pairs.values()}
    chosen, left_out = [], {name: "not listed" for name in wanted.only if name not in pairs}
    for name, pair in pairs.items():
        if wanted.only and name not in wanted.only:
            continue
        if not wanted.only and pair.quote != wanted.quote:
            continue
        why = _against(pair, wanted, bases, coins)
        if why:
            left_out[name] = why
        else:
            chosen.append(name)
    return chosen, left_out


def _against(pair: Listed, wanted: UniverseParams, bases: set[str], coins: frozenset[str] | None) -> str:
    if pair.symbol in wanted.exclude:
        return "on the black list"
    if not pair.trades:
        return "not traded at present"
    if not wanted.stablecoins and pair.base in STABLE:
        return "stablecoin or fiat"
    if not wanted.leveraged and is_leveraged(pair.base, bases):
        return "leveraged token"
    if coins is not None and pair.base not in coins and _of_one(pair.base) not in coins:
        return "not of the rank or category"
    return ""


def _of_one(base: str) -> str:
    """The coin behind a pair that trades many at once: 1000SATS is SATS."""
    found = _MANY.match(base)
    return found["base"] if found else base


def is_leveraged(base: str, bases: set[str]) -> bool:
    """Whether an asset is a leveraged token of another that is listed: BTCUP is, JUP is not."""
    found = _LEVERAGED.match(base)
    return found is not None and found["base"] in bases


def grouped(left_out: Mapping[str, str]) -> dict[str, list[str]]:
    """Symbols by reason, the most first."""
    reasons: dict[str, list[str]] = {}
    for name, why in left_out.items():
        reasons.setdefault(why, []).append(name)
    return dict(sorted(reasons.items(), key=lambda item: -len(item[1])))
