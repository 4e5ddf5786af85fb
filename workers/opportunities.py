"""Handler of `detect_opportunities`, on `analysis:queue`."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from crypto_mcp.conditions import parse
from crypto_mcp.errors import NotEnoughData, SourceUnavailable, UnknownSymbol
from crypto_mcp.models.opportunities import Opportunities, OpportunityParams
from crypto_mcp.models.timeframes import Timeframe
from crypto_mcp.scanning.matching import matches
from crypto_mcp.scanning.opportunities import Found, find_opportunities
from crypto_mcp.scanning.scans import Scan, Setup
from workers.analysis import provenance, sample_candles
from workers.scanning import BARS, Selection, board_of, select, told_left_out, unfit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crypto_mcp.market.candles import MarketCandles
    from crypto_mcp.models.analysis import Provenance
    from workers.job import Job

MOST_EXAMINED = 24
"""Symbols of a universe that are looked at on all timeframes: those nearest to a zone with the trend of structure."""

BARS_OF_EACH = 500
_NEVER = datetime.fromtimestamp(0, UTC)
_AT_ONCE = 8

NEAR_A_ZONE = Scan(
    "price in a zone now, or within the last six bars",
    "agreement of zone, trend and place in the range",
    (
        Setup(
            "long",
            'within(in_order_block("demand"), 6) or within(in_fvg("bullish"), 6)',
            'structure_trend() + structure_trend("internal") - 2 * range_position()',
            -4,
            2,
        ),
        Setup(
            "short",
            'within(in_order_block("supply"), 6) or within(in_fvg("bearish"), 6)',
            '2 * range_position() - 2 - structure_trend() - structure_trend("internal")',
            -4,
            2,
        ),
    ),
)


@dataclass(slots=True)
class Search:
    """What was looked at and what was found."""

    looked_at: int
    symbols: list[str]
    source: str = ""
    last_bar: datetime = _NEVER
    left_out: dict[str, str] = field(default_factory=dict)
    found: list[Found] = field(default_factory=list)
    markets: dict[str, list[MarketCandles]] = field(default_factory=dict)


async def detect_opportunities(job: Job, params: OpportunityParams) -> Opportunities:
    """Of the symbols named; of a universe those near a zone, found on one timeframe first."""
    await job.progress(0.02, "choosing symbols")
    search = await _narrowed(job, params)
    gate = asyncio.Semaphore(_AT_ONCE)
    done = 0

    async def examine(symbol: str) -> None:
        nonlocal done
        async with gate:
            await _examine(job, search, symbol, params)
        done += 1
        await job.progress(0.3 + 0.65 * done / len(search.symbols), f"examined {done} of {len(search.symbols)} symbols")

    await asyncio.gather(*(examine(symbol) for symbol in search.symbols))
    if params.symbols and not search.markets:
        reasons = "; ".join(f"{symbol}: {why}" for symbol, why in list(search.left_out.items())[:3])
        raise NotEnoughData(reasons, hint="Choose other symbols, or shorter timeframes.")
    return _answer(search, params)


WORKS_COLD = True


def warm_up() -> None:
    """Once through the engine, so that the first job finds its kernels compiled."""
    candles = sample_candles()
    longer = type(candles)(
        candles.open_time * 4, candles.open, candles.high, candles.low, candles.close, candles.volume, candles.step * 4
    )
    find_opportunities("warm-up", {Timeframe.H1: candles, Timeframe.H4: longer}, OpportunityParams())
    for setup in NEAR_A_ZONE.setups:
        parse(setup.text)


async def _narrowed(job: Job, params: OpportunityParams) -> Search:
    if params.symbols:
        listed = await job.services.rules.read()
        unknown = [name for name in params.symbols if name not in listed]
        if unknown and len(unknown) == len(params.symbols):
            raise await job.services.rules.unknown(unknown[0])
        known = [name for name in dict.fromkeys(params.symbols) if name in listed]
        return Search(len(known), known, left_out=dict.fromkeys(unknown, "not listed"))
    chosen = await select(job, params.universe)
    return await _near_a_zone(job, chosen, params)


async def _near_a_zone(job: Job, chosen: Selection, params: OpportunityParams) -> Search:
    """Those of the universe that are near a zone on the second timeframe."""
    timeframe = params.timeframes[1]

    async def report(fraction: float) -> None:
        await job.progress(0.02 + 0.25 * fraction, f"fetching {len(chosen.symbols)} symbols, {timeframe}")

    universe = await job.services.universe.newest(chosen.symbols, timeframe, BARS, report)
    left_out, symbols = dict(chosen.left_out), []
    for symbol in chosen.symbols:
        why = unfit(symbol, [universe], params.universe.min_volume)
        if why:
            left_out[symbol] = why
        else:
            symbols.append(symbol)
    board = board_of(universe, BARS)
    found = await asyncio.to_thread(lambda: list(matches(NEAR_A_ZONE, [board], symbols, side=params.side)))
    near = sorted((match for match in found if match is not None), key=lambda match: (-match.score, match.symbol))
    closed = datetime.fromtimestamp(universe.close / 1000, UTC)
    return Search(len(symbols), [match.symbol for match in near[:MOST_EXAMINED]], universe.source, closed, left_out)


async def _examine(job: Job, search: Search, symbol: str, params: OpportunityParams) -> None:
    try:
        markets = await asyncio.gather(
            *(job.services.candles.newest(symbol, timeframe, BARS_OF_EACH) for timeframe in params.timeframes)
        )
    except (UnknownSymbol, NotEnoughData) as error:
        search.left_out[symbol] = error.message
        return
    except SourceUnavailable:
        if params.symbols:
            raise
        search.left_out[symbol] = "the exchange did not answer"
        return
    candles = {timeframe: market.candles for timeframe, market in zip(params.timeframes, markets, strict=True)}
    search.markets[symbol] = list(markets)
    closed = datetime.fromtimestamp(int(markets[0].candles.close_time[-1]) / 1000, UTC)
    search.source, search.last_bar = markets[0].source, max(search.last_bar, closed)
    search.found.append(await asyncio.to_thread(find_opportunities, symbol, candles, params))


def _answer(search: Search, params: OpportunityParams) -> Opportunities:
    found = sorted(
        (one for each in search.found for one in each.opportunities), key=lambda one: (-one.quality, one.symbol)
    )
    shown = found[: params.limit]
    rejected: Counter[str] = sum((each.rejected for each in search.found), Counter())
    origins = sorted({market.origin for markets in search.markets.values() for market in markets if market.origin})
    return Opportunities(
        timestamp=_now(),
        timeframes=params.timeframes,
        profile=params.profile,
        data=_data(search, [one.symbol for one in shown], params) if params.detail == "full" else None,
        source=search.source,
        note="; ".join(origins) or None,
        last_bar=search.last_bar,
        looked_at=search.looked_at,
        examined=len(search.markets),
        found=len(found),
        rejected=dict(rejected.most_common()),
        left_out=told_left_out(search.left_out, params.detail),
        opportunities=shown,
    )


def _data(search: Search, symbols: Sequence[str], params: OpportunityParams) -> list[Provenance]:
    pairs: list[tuple[MarketCandles, Timeframe]] = [
        pair
        for symbol in dict.fromkeys(symbols)
        for pair in zip(search.markets[symbol], params.timeframes, strict=True)
    ]
    return [provenance(market, timeframe) for market, timeframe in pairs]


def _now() -> datetime:
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
