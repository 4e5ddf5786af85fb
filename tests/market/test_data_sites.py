"""CoinGecko, CoinMarketCap and alternative.me: what they say, in every shape they say it in, and what is missing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from crypto_mcp.errors import SourceUnavailable
from crypto_mcp.market import coingecko, coinmarketcap
from crypto_mcp.market.alternative import Alternative
from crypto_mcp.market.binance_futures import BinanceFutures
from crypto_mcp.market.candles import BadSourceData
from crypto_mcp.market.coingecko import CoinGecko
from crypto_mcp.market.coinmarketcap import CoinMarketCap
from crypto_mcp.market.outlook import Outlook
from crypto_mcp.market.refusals import Passing, SourceForbidden, SourceRefuses, Stop
from crypto_mcp.settings import MarketSettings
from tests.sandbox_server import SandboxServer

FEAR = "/coinmarketcap/public-api/v3/fear-and-greed/latest"


class Sites:
    """Clients of everything but the spot market, that ask a sandbox."""

    def __init__(self, sandbox: SandboxServer, **settings: Any) -> None:
        known = MarketSettings.model_validate({"binance_url": sandbox.url, "attempts": 1, "timeout": 20, **settings})
        self.futures = BinanceFutures(known)
        self.coingecko = CoinGecko(known)
        self.coinmarketcap = CoinMarketCap(known)
        self.alternative = Alternative(known)
        self.outlook = Outlook(self.futures, self.coingecko, self.coinmarketcap, self.alternative, known.without)

    async def close(self) -> None:
        for each in (self.outlook, self.futures, self.coingecko, self.coinmarketcap, self.alternative):
            await each.close()


@asynccontextmanager
async def sites_of(sandbox: SandboxServer, **settings: Any) -> AsyncIterator[Sites]:
    sites = Sites(sandbox, **settings)
    try:
        yield sites
    finally:
        await sites.close()
        sandbox.mend()


@pytest.fixture
async def sites(sandbox: SandboxServer) -> AsyncIterator[Sites]:
    """With keys, which have larger allowances."""
    async with sites_of(sandbox, coingecko_key="CG-test", coinmarketcap_key="CMC-test") as found:
        yield found


def test_a_sandbox_plays_all_sources_unless_they_are_given() -> None:
    followed = MarketSettings(binance_url="http://127.0.0.1:8081")
    assert followed.coingecko_url == "http://127.0.0.1:8081/coingecko/api/v3"
    assert followed.binance_futures_url == "http://127.0.0.1:8081"
    given = MarketSettings(binance_url="http://127.0.0.1:8081", coingecko_url="https://other.example")
    assert given.coingecko_url == "https://other.example"
    assert MarketSettings().coinmarketcap_url.startswith("https://pro-api.coinmarketcap.com")


async def test_coins_come_ranked_over_pages_and_say_who_said_so(sites: Sites) -> None:
    coins = await sites.coingecko.coins(300)
    assert [coin.rank for coin in coins] == list(range(1, 301))
    assert coins[0].symbol == "BTC"
    assert {coin.source for coin in coins} == {"sandbox"}
    stable = await sites.coingecko.coins(10, category="stablecoins")
    assert {coin.symbol for coin in stable} == {"USDT", "USDC"}


async def test_both_sites_agree_on_the_whole_market(sites: Sites) -> None:
    one, two = await sites.coingecko.whole_market(), await sites.coinmarketcap.whole_market()
    assert one.market_cap == pytest.approx(two.market_cap, rel=0.01)
    assert one.bitcoin_share == pytest.approx(two.bitcoin_share, rel=0.01)
    assert [coin.place for coin in await sites.coingecko.trending()] == list(range(1, 16))


async def test_listings_are_read_in_both_shapes(sites: Sites, sandbox: SandboxServer) -> None:
    newer = await sites.coinmarketcap.coins(50)
    older = await sites.coinmarketcap._listings(coinmarketcap._OLD_LISTINGS, 50)
    assert [coin.id for coin in newer] == [coin.id for coin in older]
    assert all(coin.price and coin.market_cap for coin in (*newer, *older))
    async with sites_of(sandbox) as keyless:
        assert [coin.id for coin in await keyless.coinmarketcap.coins(50)] == [coin.id for coin in newer]


async def test_a_wrong_key_is_a_matter_of_settings(sandbox: SandboxServer) -> None:
    async with sites_of(sandbox, coingecko_key="PRO-x", coinmarketcap_key="nonsense") as sites:
        with pytest.raises(SourceForbidden, match="does not take this key") as caught:
            await sites.coingecko.coins(10)
        assert "COINGECKO_PLAN" in caught.value.hint
        with pytest.raises(SourceForbidden, match="invalid"):
            await sites.coinmarketcap.coins(10)


@pytest.mark.parametrize("kind", ["truncated", "wrong_types", "cut"])
async def test_data_that_cannot_be_is_no_data(sites: Sites, sandbox: SandboxServer, kind: str) -> None:
    sandbox.fault(kind, path="/coin")
    sandbox.fault(kind, path="/alternative")
    asks = (
        *(sites.coingecko.coins, sites.coingecko.whole_market, sites.coingecko.trending),
        *(sites.coinmarketcap.coins, sites.coinmarketcap.whole_market, sites.alternative.fear_and_greed),
    )
    for ask in asks:
        with pytest.raises(SourceUnavailable) as caught:
            await ask()
        assert isinstance(caught.value, BadSourceData) == (kind == "wrong_types")


async def test_fear_and_greed_comes_from_the_second_site_if_the_first_has_none(
    sites: Sites, sandbox: SandboxServer
) -> None:
    sandbox.fault("status", status=503, path="/coinmarketcap")
    found = await sites.outlook.fear_and_greed()
    assert sandbox.requests("/alternative/fng/")
    assert 0 <= found.value <= 100
    sandbox.fault("status", status=503, path="/alternative")
    with pytest.raises(SourceUnavailable, match=r"coinmarketcap: .*; alternative.me: .*does not answer"):
        await sites.outlook.fear_and_greed()


async def test_sentiment_has_what_is_known_and_says_why_the_rest_is_missing(
    sites: Sites, sandbox: SandboxServer
) -> None:
    whole = await sites.outlook.of("BTCUSDT", budget=10)
    assert whole.missing == {}
    assert whole.sources == {"funding": "sandbox", "open_interest": "sandbox", "fear_greed": "sandbox"}
    mark = await sites.futures.mark_price("BTCUSDT")
    assert mark.funding_rate is not None
    assert whole.mood.funding_percent == pytest.approx(mark.funding_rate * 100, abs=1e-3)
    sandbox.fault("status", status=503, path="/futures/data")
    less = await sites.outlook.of("SBX005USDT", budget=10)
    assert less.mood.fear_greed == whole.mood.fear_greed
    assert less.missing["funding"] == "there is no perpetual of SBX005USDT"
    assert "does not answer" in less.missing["open_interest"]


async def test_funding_is_told_for_eight_hours_whatever_the_contracts_interval(sites: Sites) -> None:
    mark = await sites.futures.mark_price("SBX007USDT")
    assert mark.funding_rate is not None
    known = await sites.outlook.of("SBX007USDT", budget=10)
    assert known.mood.funding_percent == pytest.approx(mark.funding_rate * 200, abs=2e-3)


async def test_an_answer_does_not_wait_for_what_it_could_do_without(sites: Sites, sandbox: SandboxServer) -> None:
    """What comes later serves the next one."""
    await sites.outlook.of("ETHUSDT", budget=10)
    sandbox.fault("latency", milliseconds=400, path="/fapi/v1/premiumIndex", times=1)
    late = await sites.outlook.of("SOLUSDT", budget=0.1)
    assert late.missing["funding"] == "no answer within 0.1 s"
    while "funding" in (await sites.outlook.of("SOLUSDT", budget=0.1)).missing:
        await asyncio.sleep(0.05)


async def test_a_source_that_is_switched_off_is_never_asked(sandbox: SandboxServer) -> None:
    before = sandbox.requests("/fapi/v1/premiumIndex"), sandbox.requests(FEAR)
    async with sites_of(sandbox, without=["binance-futures", "coinmarketcap"]) as sites:
        known = await sites.outlook.of("BTCUSDT", budget=10)
    assert known.missing["funding"] == "binance-futures is switched off"
    assert known.mood.fear_greed is not None
    assert (sandbox.requests("/fapi/v1/premiumIndex"), sandbox.requests(FEAR)) == before


async def test_the_overview_is_whole_with_one_site_away(sites: Sites, sandbox: SandboxServer) -> None:
    sandbox.fault("status", status=503, path="/coingecko")
    seen = await sites.outlook.overview()
    assert seen.market.value is not None
    assert seen.fear_greed.value is not None
    assert seen.trending.value is None
    assert "does not answer" in seen.trending.missing


def answer(status: int, body: Any = None, **headers: str) -> httpx2.Response:
    content = {"text": body} if isinstance(body, str) else {"json": body}
    return httpx2.Response(
        status, headers={name.replace("_", "-"): value for name, value in headers.items()}, **content
    )


@pytest.mark.parametrize(
    ("judge", "response", "kind", "least"),
    [
        (coingecko.judge, answer(429, {"status": {"error_code": 429}}, retry_after="119"), SourceUnavailable, 119),
        (coingecko.judge, answer(429, "Throttled", retry_after="0"), SourceUnavailable, 5),
        (coingecko.judge, answer(403, "<html>1020</html>"), SourceUnavailable, 60),
        (coingecko.judge, answer(400, {"error_code": 10011, "status": {}}), SourceForbidden, 300),
        (coingecko.judge, answer(401, {"error": {"status": {"error_code": 10002}}}), SourceForbidden, 300),
        (coinmarketcap.judge, answer(429, {"status": {"error_code": 1008}}), SourceUnavailable, 60),
        (coinmarketcap.judge, answer(429, {"status": {"error_code": "1009"}}), SourceUnavailable, 1),
        (coinmarketcap.judge, answer(402, {"status": {"error_code": 1003}}), SourceForbidden, 300),
    ],
)  # fmt: skip
def test_refusals_keep_everybody_away_for_as_long_as_they_say(
    judge: Callable[..., Any], response: httpx2.Response, kind: type[Exception], least: float
) -> None:
    found = judge(response, "host")
    assert isinstance(found, Stop)
    assert found.kind is kind
    assert found.seconds >= least


@pytest.mark.parametrize(
    ("judge", "response", "kind"),
    [
        (coingecko.judge, answer(503, "x"), Passing),
        (coingecko.judge, answer(404, {"error": "coin not found"}), SourceRefuses),
        (coinmarketcap.judge, answer(500, {"status": {"error_code": 500}}), Passing),
        (coinmarketcap.judge, answer(400, {"status": {"error_code": 400, "error_message": "bad"}}), SourceRefuses),
        (coinmarketcap.judge, answer(403, {"status": {"error_code": 1006}}), SourceRefuses),
    ],
)
def test_what_passes_is_tried_again_and_what_is_wrong_is_not(
    judge: Callable[..., Any], response: httpx2.Response, kind: type[Exception]
) -> None:
    assert isinstance(judge(response, "host"), kind)


async def test_an_error_inside_a_good_answer_is_an_error() -> None:
    with pytest.raises(SourceUnavailable, match="error 1010"):
        coinmarketcap._data({"status": {"error_code": "1010", "error_message": "no credits"}, "data": {}})
