"""What is known of a market beside its bars, from several sources at once; what is missing says why.

Nothing here is needed for an answer: a source that is away, switched off or slow leaves a gap with its reason.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

import structlog
from cachetools import TTLCache

from crypto_mcp.errors import CryptoMcpError, NotEnoughData
from crypto_mcp.market.binance_futures import USUAL_FUNDING_HOURS
from crypto_mcp.market.refusals import SourceMissing
from crypto_mcp.models.analysis import MarketMood

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping

    from crypto_mcp.market.alternative import Alternative
    from crypto_mcp.market.binance_futures import BinanceFutures
    from crypto_mcp.market.coingecko import CoinGecko
    from crypto_mcp.market.coinmarketcap import CoinMarketCap
    from crypto_mcp.models.coins import Coin, FearGreed, GlobalMarket, TrendingCoin
    from crypto_mcp.models.markets import MarkPrice

log = structlog.get_logger(__name__)

T = TypeVar("T")

BUDGET = 0.3
"""Seconds an answer waits for what it could do without; what comes later serves the next one."""

_NOT_WAITED_FOR = 10.0
"""Seconds for which nobody waits for a part that came too late: a slow source slows down one answer, not all."""

_GLANCE = 0.02
"""Seconds that even such a part has: by now it may be known."""

_KEPT, _KEPT_SYMBOLS = 20.0, 1000


@dataclass(frozen=True, slots=True)
class Known(Generic[T]):
    """A value, or why there is none."""

    value: T | None = None
    missing: str = ""


@dataclass(frozen=True, slots=True)
class SentimentInputs:
    """What `analyze_crypto` adds to price and volume.

    Attributes:
        mood: funding and open interest of the symbol's perpetual, fear and greed of the whole market.
        sources: who said each of them, by name of the part.
        missing: why each of the others is missing.
    """

    mood: MarketMood = field(default_factory=MarketMood)
    sources: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Overview:
    """The whole market as the data sites see it."""

    market: Known[GlobalMarket]
    trending: Known[list[TrendingCoin]]
    fear_greed: Known[FearGreed]


class Outlook:
    """One for a process. `without`: sources that are switched off."""

    def __init__(
        self,
        futures: BinanceFutures,
        coingecko: CoinGecko,
        coinmarketcap: CoinMarketCap,
        alternative: Alternative,
        without: Collection[str] = (),
    ) -> None:
        self._futures = futures
        self._coingecko = coingecko
        self._coinmarketcap = coinmarketcap
        self._alternative = alternative
        self._without = without
        self._running: set[asyncio.Task[object]] = set()
        self._late: dict[str, float] = {}
        self._kept: TTLCache[str, SentimentInputs] = TTLCache(_KEPT_SYMBOLS, _KEPT)

    async def of(self, symbol: str, *, budget: float = BUDGET) -> SentimentInputs:
        """What is known of a symbol within `budget` seconds, kept for twenty. Never raises a `CryptoMcpError`."""
        kept = self._kept.get(symbol)
        if kept is not None:
            return kept
        parts: dict[str, Coroutine[None, None, tuple[float, str]]] = {
            "funding": self._funding(symbol),
            "open_interest": self._open_interest(symbol),
            "fear_greed": self._fear_greed_value(),
        }
        inputs = _inputs(await self._all(parts, budget))
        if not self._late:
            self._kept[symbol] = inputs
        return inputs

    async def overview(self, *, budget: float = 5.0) -> Overview:
        """The whole market, each part from the first source that has it. Never raises a `CryptoMcpError`."""
        market = self._first(
            ("coingecko", self._coingecko.whole_market), ("coinmarketcap", self._coinmarketcap.whole_market)
        )
        trending = self._first(("coingecko", self._coingecko.trending))
        one, two, three = await asyncio.gather(
            self._all({"market": market}, budget),
            self._all({"trending": trending}, budget),
            self._all({"fear and greed": self.fear_and_greed()}, budget),
        )
        return Overview(one["market"], two["trending"], three["fear and greed"])

    async def coins(self, count: int = 250, *, category: str | None = None) -> list[Coin]:
        """The largest coins by market cap, of CoinGecko, else of CoinMarketCap; of a category CoinGecko's alone.

        Raises:
            SourceUnavailable: neither has them; the message says why of each.
            SourceRefuses: there is no such category.
        """
        if category is not None:
            return await self._first(("coingecko", lambda: self._coingecko.coins(count, category=category)))
        return await self._first(
            ("coingecko", lambda: self._coingecko.coins(count)),
            ("coinmarketcap", lambda: self._coinmarketcap.coins(count)),
        )

    async def fear_and_greed(self) -> FearGreed:
        """Of CoinMarketCap, else of alternative.me. Raises `SourceUnavailable` if neither has it."""
        return await self._first(
            ("coinmarketcap", self._coinmarketcap.fear_and_greed), ("alternative.me", self._alternative.fear_and_greed)
        )

    async def close(self) -> None:
        """Ends what was still asked for."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _all(self, asked: Mapping[str, Coroutine[None, None, T]], budget: float) -> dict[str, Known[T]]:
        """All at once; those that take longer go on, and what they bring is there for the next who asks."""
        now = time.monotonic()
        tasks = {name: asyncio.create_task(each) for name, each in asked.items()}
        for task in tasks.values():
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            task.add_done_callback(_look_at)
        self._late = {name: until for name, until in self._late.items() if until > now}
        waited_for = [task for name, task in tasks.items() if name not in self._late]
        if waited_for:
            await asyncio.wait(waited_for, timeout=budget)
        await asyncio.wait(tasks.values(), timeout=0 if len(waited_for) == len(tasks) else _GLANCE)
        for name, task in tasks.items():
            if task.done():
                self._late.pop(name, None)
            else:
                self._late.setdefault(name, now + _NOT_WAITED_FOR)
        return {name: _outcome(task, budget) for name, task in tasks.items()}

    async def _first(self, *sources: tuple[str, Callable[[], Awaitable[T]]]) -> T:
        """The first that has it."""
        reasons = []
        for name, ask in sources:
            if name in self._without:
                reasons.append(f"{name} is switched off")
                continue
            try:
                return await ask()
            except CryptoMcpError as error:
                if len(sources) == 1:
                    raise
                reasons.append(f"{name}: {error.message}")
        raise SourceMissing("; ".join(reasons), hint="Try again later, or switch on another source.", retry_after=60)

    def _require_futures(self) -> None:
        if "binance-futures" in self._without:
            raise SourceMissing("binance-futures is switched off")

    async def _funding(self, symbol: str) -> tuple[float, str]:
        """Percent for eight hours, whatever the contract's interval."""
        self._require_futures()
        mark, hours = await asyncio.gather(self._contract(symbol), self._futures.funding_hours())
        if mark.funding_rate is None:
            raise NotEnoughData(f"{symbol} pays no funding")
        every = hours.get(symbol, USUAL_FUNDING_HOURS)
        return mark.funding_rate * 100 * USUAL_FUNDING_HOURS / every, self._futures.told_by

    async def _contract(self, symbol: str) -> MarkPrice:
        if symbol not in await self._futures.listing.read():
            raise NotEnoughData(f"there is no perpetual of {symbol}")
        return await self._futures.mark_price(symbol)

    async def _open_interest(self, symbol: str) -> tuple[float, str]:
        """Percent over the last 24 hours."""
        self._require_futures()
        history = await self._futures.open_interest_history(symbol, "1h", 25)
        if len(history) < 2 or not history[0].quantity:
            raise NotEnoughData(f"no open interest of {symbol} is known")
        return (history[-1].quantity / history[0].quantity - 1) * 100, self._futures.told_by

    async def _fear_greed_value(self) -> tuple[float, str]:
        found = await self.fear_and_greed()
        return float(found.value), found.source


def _inputs(known: Mapping[str, Known[tuple[float, str]]]) -> SentimentInputs:
    found = {name: each.value for name, each in known.items() if each.value is not None}
    values = {name: value for name, (value, _) in found.items()}
    return SentimentInputs(
        MarketMood(
            funding_percent=values.get("funding"),
            open_interest_percent=values.get("open_interest"),
            fear_greed=values.get("fear_greed"),
        ),
        sources={name: source for name, (_, source) in found.items()},
        missing={name: each.missing for name, each in known.items() if each.value is None},
    )


def _outcome(task: asyncio.Task[T], budget: float) -> Known[T]:
    if not task.done():
        return Known(missing=f"no answer within {budget:g} s")
    error = task.exception()
    if error is None:
        return Known(task.result())
    if isinstance(error, CryptoMcpError):
        return Known(missing=error.message)
    raise error


def _look_at(task: asyncio.Task[object]) -> None:
    """A failure that nobody waits for any more is no surprise, unless it is ours."""
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, CryptoMcpError):
        log.error("a source's answer could not be read", error=repr(error))
