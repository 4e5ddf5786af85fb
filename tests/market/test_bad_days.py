"""Bad days at the exchange: nothing is made up, no ban is provoked, and the error says when to come back."""

from __future__ import annotations

import asyncio

import pytest

from crypto_mcp.errors import SourceUnavailable, UnknownSymbol
from crypto_mcp.market.allowance.asking import Priority, asking_as
from crypto_mcp.market.binance import BinanceSpot
from crypto_mcp.market.binance_klines import as_candles, checked_rows
from crypto_mcp.market.candles import BadSourceData
from crypto_mcp.market.refusals import SourceForbidden
from crypto_mcp.models.timeframes import Timeframe
from crypto_mcp.settings import MarketSettings
from tests.market.binance_client import HOUR, KLINES, TIME, client_of
from tests.sandbox_server import SandboxServer, running_sandbox


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_passing_failure_is_not_noticed(binance: BinanceSpot, sandbox: SandboxServer, status: int) -> None:
    sandbox.fault("status", status=status, path=KLINES, times=1)
    assert len((await binance.candles("ETHUSDT", Timeframe.H1, 10)).candles) == 10


async def test_a_lasting_failure_is_an_error_that_says_so(binance: BinanceSpot, sandbox: SandboxServer) -> None:
    sandbox.fault("status", status=503, path=KLINES)
    with pytest.raises(SourceUnavailable, match="does not answer: HTTP 503") as caught:
        await binance.candles("ETHUSDT", Timeframe.H1, 10)
    assert caught.value.retryable
    assert caught.value.retry_after


@pytest.mark.parametrize("kind", ["cut", "truncated"])
async def test_half_an_answer_is_no_answer(binance: BinanceSpot, sandbox: SandboxServer, kind: str) -> None:
    sandbox.fault(kind, path=KLINES)
    with pytest.raises(SourceUnavailable):
        await binance.candles("ETHUSDT", Timeframe.H1, 10)
    sandbox.mend()
    sandbox.fault(kind, path=KLINES, times=1)
    assert len((await binance.candles("ETHUSDT", Timeframe.H1, 10)).candles) == 10


@pytest.mark.parametrize("kind", ["wrong_types", "impossible_candle", "repeated_candle"])
async def test_data_that_cannot_be_is_refused(binance: BinanceSpot, sandbox: SandboxServer, kind: str) -> None:
    sandbox.fault(kind, path=KLINES)
    with pytest.raises(BadSourceData):
        await binance.candles("ETHUSDT", Timeframe.H1, 10)


@pytest.mark.parametrize(("status", "words"), [(429, "slow down"), (418, "banned"), (403, "forbids")])
async def test_a_refusal_is_respected_without_asking_again(
    binance: BinanceSpot, sandbox: SandboxServer, status: int, words: str
) -> None:
    """No request leaves before the time the exchange named: asking on turns a refusal into a ban."""
    sandbox.fault("status", status=status, retry_after=30, path="/api/")
    with pytest.raises(SourceUnavailable, match=words) as caught:
        await binance.candles("ETHUSDT", Timeframe.H1, 10)
    assert caught.value.retry_after is not None
    assert caught.value.retry_after >= 29
    asked = sandbox.requests(TIME) + sandbox.requests(KLINES)
    for _ in range(5):
        with pytest.raises(SourceUnavailable, match="not asked again"):
            await binance.candles("BTCUSDT", Timeframe.H1, 10)
    assert sandbox.requests(TIME) + sandbox.requests(KLINES) == asked


async def test_a_region_that_is_not_served_is_told_what_to_change(binance: BinanceSpot, sandbox: SandboxServer) -> None:
    """No attempt later would help, so none is made: neither by this client nor by the job's retries."""
    before = sandbox.requests(TIME)
    sandbox.fault("status", status=451)
    for _ in range(3):
        with pytest.raises(SourceForbidden, match="does not serve this location") as caught:
            await binance.candles("ETHUSDT", Timeframe.H1, 10)
        assert "CRYPTO_MCP_MARKET__BINANCE_URL" in caught.value.hint
        assert not caught.value.retryable
    assert sandbox.requests(TIME) == before + 1


async def test_a_symbol_that_ends_between_listing_and_candles_is_unknown(
    binance: BinanceSpot, sandbox: SandboxServer
) -> None:
    """The list still has it; what it cannot be asked for any more is no failure of the exchange, and no number."""
    assert "SBX001USDT" in await binance.symbols()
    sandbox.fault("delisted", symbol="SBX001USDT")
    with pytest.raises(UnknownSymbol, match="SBX001USDT") as caught:
        await binance.candles("SBX001USDT", Timeframe.H1, 10)
    assert not caught.value.retryable
    assert len((await binance.candles("SBX002USDT", Timeframe.H1, 10)).candles) == 10


async def test_a_refusal_is_over_when_the_exchange_said(binance: BinanceSpot, sandbox: SandboxServer) -> None:
    sandbox.fault("status", status=429, retry_after=1, times=1)
    with pytest.raises(SourceUnavailable, match="slow down"):
        await binance.candles("ETHUSDT", Timeframe.H1, 10)
    await answered(binance)


async def answered(source: BinanceSpot) -> None:
    """Waits until candles come again, as a retried job would."""
    async with asyncio.timeout(20):
        while True:
            try:
                await source.candles("ETHUSDT", Timeframe.H1, 10)
            except SourceUnavailable as error:
                await asyncio.sleep(error.retry_after or 0.1)
            else:
                return


async def test_a_storm_of_calls_stays_within_the_limit_the_exchange_told() -> None:
    """Those who find no room are told when the next minute begins; not one request is refused."""
    with running_sandbox(weight_limit=60) as sandbox:
        async with client_of(sandbox) as source:
            calls = [source.candles("ETHUSDT", Timeframe.H1, 10) for _ in range(100)]
            with asking_as(Priority.INTERACTIVE, patience=0.2):
                outcomes = await asyncio.gather(*calls, return_exceptions=True)
        refused = sandbox.get("/sandbox/state").json()["refused"]
    assert {type(outcome).__name__ for outcome in outcomes} == {"MarketCandles", "SourceBusy"}
    assert refused == {}


async def test_a_real_ban_is_kept_to_its_end() -> None:
    """One that another program on this address has earned."""
    with running_sandbox(weight_limit=1) as sandbox:
        while sandbox.get("/api/v3/ping").status_code != 418:
            pass
        async with client_of(sandbox) as source:
            with pytest.raises(SourceUnavailable, match="banned") as caught:
                await source.candles("ETHUSDT", Timeframe.H1, 10)
    assert 110 < (caught.value.retry_after or 0) <= 121


async def test_an_exchange_that_stays_away_is_asked_less_and_found_again(
    binance: BinanceSpot, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crypto_mcp.market.breaker.FIRST_BREATHER", 1.0)
    sandbox.fault("status", status=502)
    asked = []
    for _ in range(8):
        with pytest.raises(SourceUnavailable, match="does not answer: HTTP 502"):
            await binance.candles("ETHUSDT", Timeframe.H1, 10)
        asked.append(sandbox.requests(TIME))
    assert asked[:3] == [asked[0], asked[0] + 3, asked[0] + 6]
    assert len(set(asked[2:])) == 1
    sandbox.mend()
    await answered(binance)


async def test_while_the_exchange_is_away_its_clock_and_list_of_old_stand_in(
    binance: BinanceSpot, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the ten minutes and the hour for which they count as new; but not for ever."""
    rules, before = await binance.listing.of("ETHUSDT"), await binance.now()
    monkeypatch.setattr("crypto_mcp.market.binance_clock._TRUSTED_FOR", 0.0)
    monkeypatch.setattr(binance.listing, "_until", 0.0)
    sandbox.fault("status", status=503)
    assert 0 <= await binance.now() - before < 60
    assert await binance.listing.of("ETHUSDT") == rules
    monkeypatch.setattr("crypto_mcp.market.binance_clock._STANDS_IN_FOR", 0.0)
    monkeypatch.setattr(binance.listing, "_until", 0.0)
    monkeypatch.setattr(binance.listing, "_stands_in_until", 0.0)
    for asked in (binance.now, binance.listing.read):
        with pytest.raises(SourceUnavailable):
            await asked()


async def test_a_slow_exchange_is_not_waited_for_longer_than_set(sandbox: SandboxServer) -> None:
    async with client_of(sandbox, timeout=0.2, attempts=2) as source:
        sandbox.fault("latency", milliseconds=1000, path=KLINES)
        with pytest.raises(SourceUnavailable, match="ReadTimeout"):
            await source.candles("ETHUSDT", Timeframe.H1, 10)


async def test_an_exchange_that_is_not_there_is_an_error_never_a_number() -> None:
    source = BinanceSpot(MarketSettings(binance_url="http://127.0.0.1:9", timeout=1))
    try:
        with pytest.raises(SourceUnavailable, match="does not answer"):
            await source.candles("BTCUSDT", Timeframe.H1, 10)
    finally:
        await source.close()


ROW = [0, "1.0", "2.0", "0.5", "1.5", "10", HOUR - 1, "15", 3, "5", "7.5", "0"]


@pytest.mark.parametrize(
    ("place", "value"),
    [(0, "0"), (0, True), (1, 1.0), (2, None), (6, HOUR), (6, -1), (8, "3"), (11, 0)],
)  # fmt: skip
def test_a_field_of_another_type_or_length_is_refused(place: int, value: object) -> None:
    assert checked_rows([ROW], HOUR) == [ROW]
    with pytest.raises(BadSourceData):
        checked_rows([[*ROW[:place], value, *ROW[place + 1 :]]], HOUR)


@pytest.mark.parametrize("body", [{}, None, "rows", [[]], [{}], [ROW[:11]], [[*ROW, "0"]]])
def test_an_answer_of_another_shape_is_refused(body: object) -> None:
    with pytest.raises(BadSourceData):
        checked_rows(body, HOUR)


@pytest.mark.parametrize(
    ("place", "text"),
    [
        *((1, "nan"), (2, "inf"), (4, "much"), (4, ""), (3, "0"), (3, "-1"), (5, "-1"), (1, "3")),
        *((4, "true"), (4, "null"), (4, "1.5,1"), (4, "[1.5]"), (4, "1_5"), (4, '"1.5"')),
    ],
)
def test_a_number_that_cannot_be_is_refused(place: int, text: str) -> None:
    with pytest.raises(BadSourceData):
        as_candles([[*ROW[:place], text, *ROW[place + 1 :]]], HOUR)
