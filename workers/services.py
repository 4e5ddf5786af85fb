"""What handlers use of the world outside, opened once a worker."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from crypto_mcp.jobs.client import JobClient
    from crypto_mcp.market.alternative import Alternative
    from crypto_mcp.market.binance import BinanceSpot
    from crypto_mcp.market.binance_futures import BinanceFutures
    from crypto_mcp.market.binance_listing import Listing
    from crypto_mcp.market.binance_tickers import Tickers
    from crypto_mcp.market.candle_archive import CandleArchive
    from crypto_mcp.market.candle_reader import CandleReader
    from crypto_mcp.market.coingecko import CoinGecko
    from crypto_mcp.market.coinmarketcap import CoinMarketCap
    from crypto_mcp.market.outlook import Outlook
    from crypto_mcp.market.prices import Prices
    from crypto_mcp.market.sharing import Sharing
    from crypto_mcp.market.universe_candles import UniverseCandles
    from crypto_mcp.notify.channels import ChannelBook
    from crypto_mcp.notify.dispatch import Dispatcher
    from crypto_mcp.notify.pacing import Pacing
    from crypto_mcp.notify.senders import Senders
    from crypto_mcp.settings import Settings
    from crypto_mcp.stores.mongo import MongoStore
    from workers.portfolio_ledger import PortfolioLedger
    from workers.portfolio_market import DailyMarket, PortfolioWatch
    from workers.portfolio_valuations import Valuations

_CLOSED_IN_ORDER = (
    "outlook",
    "candles",
    "universe",
    "market",
    "futures",
    "coingecko",
    "coinmarketcap",
    "alternative",
    "senders",
    "valuations",
    "mongo",
)


@dataclass
class Services:
    """Connections by outside system. Each is made when first used: a notifier needs no exchange."""

    settings: Settings

    @cached_property
    def market(self) -> BinanceSpot:
        """Candles and symbols."""
        from crypto_mcp.market.binance import BinanceSpot

        return BinanceSpot(self.settings.market, self.sharing)

    @cached_property
    def futures(self) -> BinanceFutures:
        """Perpetuals: candles, funding, open interest, mark price."""
        from crypto_mcp.market.binance_futures import BinanceFutures

        return BinanceFutures(self.settings.market, self.sharing)

    @cached_property
    def coingecko(self) -> CoinGecko:
        """Coins by market cap, the whole market, what is looked for."""
        from crypto_mcp.market.coingecko import CoinGecko

        return CoinGecko(self.settings.market, self.sharing)

    @cached_property
    def coinmarketcap(self) -> CoinMarketCap:
        """Coins by market cap, the whole market, fear and greed."""
        from crypto_mcp.market.coinmarketcap import CoinMarketCap

        return CoinMarketCap(self.settings.market, self.sharing)

    @cached_property
    def alternative(self) -> Alternative:
        """Fear and greed."""
        from crypto_mcp.market.alternative import Alternative

        return Alternative(self.settings.market, self.sharing)

    @cached_property
    def outlook(self) -> Outlook:
        """Beside the bars: `await outlook.of(symbol)` for sentiment, `await outlook.coins()` for ranks."""
        from crypto_mcp.market.outlook import Outlook

        without = self.settings.market.without
        return Outlook(self.futures, self.coingecko, self.coinmarketcap, self.alternative, without)

    @cached_property
    def sharing(self) -> Sharing:
        """The count of what all workers ask of providers, and requests under way."""
        from crypto_mcp.market.sharing import Sharing

        return Sharing.through(self.limits, self.cache, self.settings.market)

    @cached_property
    def limits(self) -> Redis:
        """Redis db 1: limits."""
        from crypto_mcp.jobs.connection import connect

        return connect(self.settings.redis.session_url, self.settings.redis)

    @property
    def rules(self) -> Listing:
        """Steps, least notionals and status of the symbols: `await rules.of(symbol)`."""
        return self.market.listing

    @property
    def tickers(self) -> Tickers:
        """The last 24 hours of the whole market: `await tickers.all()`."""
        return self.market.tickers

    @cached_property
    def candles(self) -> CandleReader:
        """Closed bars, from the nearest place that has them."""
        from crypto_mcp.market.candle_reader import CandleReader
        from crypto_mcp.market.recent_candles import RecentCandles

        return CandleReader(self.market, RecentCandles(self.cache), self.archive)

    @cached_property
    def universe(self) -> UniverseCandles:
        """The newest bars of many symbols at once."""
        from crypto_mcp.market.universe_candles import UniverseCandles

        return UniverseCandles(self.market, self.cache, self.archive)

    @cached_property
    def archive(self) -> CandleArchive:
        """Closed bars that are kept for good."""
        from crypto_mcp.market.candle_archive import CandleArchive

        return CandleArchive(self.mongo.candles, self.market)

    @cached_property
    def cache(self) -> Redis:
        """Redis db 0: answers and market data."""
        from crypto_mcp.jobs.connection import connect

        return connect(self.settings.redis.cache_url, self.settings.redis)

    @cached_property
    def prices(self) -> Prices:
        """Last prices: the live feed's, else the exchange's."""
        from crypto_mcp.market.prices import Prices

        return Prices(self.cache, self.market)

    @cached_property
    def jobs(self) -> JobClient:
        """The queue, for jobs that make jobs."""
        from crypto_mcp.jobs.client import JobClient

        return JobClient(self.queue, self.settings.queue)

    @cached_property
    def queue(self) -> Redis:
        """Redis db 2: queues."""
        from crypto_mcp.jobs.connection import connect

        return connect(self.settings.redis.queue_url, self.settings.redis)

    @cached_property
    def mongo(self) -> MongoStore:
        """Results."""
        from crypto_mcp.stores.mongo import MongoStore

        return MongoStore(self.settings.mongo)

    @cached_property
    def senders(self) -> Senders:
        """Who carries messages: WhatsApp, webhooks, the console."""
        from crypto_mcp.notify.senders import Senders

        return Senders(self.settings.notify)

    @cached_property
    def pacing(self) -> Pacing:
        """Whose turn it is to be told."""
        from crypto_mcp.notify.pacing import Pacing

        return Pacing(self.limits, self.settings.notify)

    @cached_property
    def channels(self) -> ChannelBook:
        """Owners' ways to be told."""
        from crypto_mcp.notify.channels import ChannelBook

        return ChannelBook(self.mongo.channels, self.senders, self.limits, self.settings.notify)

    @cached_property
    def dispatcher(self) -> Dispatcher:
        """Brings notifications to people."""
        from crypto_mcp.notify.counts import Counts
        from crypto_mcp.notify.dispatch import Dispatcher
        from crypto_mcp.notify.linking import Linking

        counts = Counts(self.limits)
        ledger = self.mongo.notifications
        linking = Linking(self.settings, self.mongo.chart_links.mark_of)
        return Dispatcher(ledger, self.channels, self.senders, self.pacing, counts, self.settings.notify, linking)

    @cached_property
    def daily_market(self) -> DailyMarket:
        """Daily bars with the returns made of them."""
        from workers.portfolio_market import DailyMarket

        return DailyMarket(self.candles)

    @cached_property
    def portfolio_watch(self) -> PortfolioWatch:
        """Has the prices of portfolios that are looked at watched."""
        from workers.portfolio_market import PortfolioWatch

        return PortfolioWatch(self.queue)

    @cached_property
    def valuations(self) -> Valuations:
        """Brings what portfolios are worth into their documents."""
        from workers.portfolio_valuations import Valuations

        return Valuations(self.mongo.portfolios)

    @cached_property
    def portfolios(self) -> PortfolioLedger:
        """Portfolios and their ledgers."""
        from workers.portfolio_ledger import PortfolioLedger

        return PortfolioLedger(self.mongo.portfolios)

    async def close(self) -> None:
        """Closes what was opened."""
        for name in _CLOSED_IN_ORDER:
            if name in self.__dict__:
                with contextlib.suppress(OSError):
                    await self.__dict__.pop(name).close()
        for name in ("cache", "limits", "queue"):
            if name in self.__dict__:
                await self.__dict__.pop(name).aclose()
