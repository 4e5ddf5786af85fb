"""Handler of `market_scanner`, on `analysis:queue`."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from crypto_mcp.compiling import Kernel
from crypto_mcp.conditions import Condition, lookback, parse
from crypto_mcp.errors import InvalidRequest
from crypto_mcp.market.refusals import SourceRefuses
from crypto_mcp.market.watching import want
from crypto_mcp.models.analysis import Detail
from crypto_mcp.models.scans import LeftOut, MarketScan, ScanData, ScanParams, UniverseParams
from crypto_mcp.models.timeframes import Timeframe
from crypto_mcp.scanning.board import STRUCTURE_EVENTS, Board
from crypto_mcp.scanning.matching import Match, matches
from crypto_mcp.scanning.relations import EXTREME_FUNDING, USUAL_BARS, breaks_on_all, funding_extremes
from crypto_mcp.scanning.rows import day_volume, row_of
from crypto_mcp.scanning.scans import CUSTOM, SCANS, Scan
from crypto_mcp.scanning.universe import choose, grouped
from workers.analysis import sample_candles

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crypto_mcp.market.universe_candles import Universe
    from crypto_mcp.models.coins import Coin
    from workers.job import Job

BARS, MOST_BARS, LEAST_BARS = 300, 1000, 100
"""Bars looked at, at most, and fewer than which a symbol is too young to be judged."""

MOST_OF_A_CATEGORY = 250

_STRUCTURE = frozenset(STRUCTURE_EVENTS)
_BETWEEN_SYMBOLS = 0.005
"""Seconds between two symbols that are looked at behind the answers, so that jobs come first."""

_WATCHED_FOR = 900.0
"""Seconds for which the live feed watches what a scan found."""

_REFERENCE = "BTC"
_SHOWN = 5
_USUAL_HOURS = 8

_RELATIONS = {
    "correlation_break": Scan(
        f"symbols that go with bitcoin over {USUAL_BARS} bars, and lately do not", "how far correlation has fallen", ()
    ),
    "funding_extreme": Scan(
        f"perpetuals that cost at least {EXTREME_FUNDING} % for 8 hours", "the size of the funding rate", ()
    ),
}


@dataclass(frozen=True, slots=True)
class Selection:
    """The symbols to look at, and why the others are left out; `ranked_by` says who told ranks and categories."""

    symbols: list[str]
    left_out: dict[str, str]
    listed: int
    ranked_by: str | None = None


async def market_scanner(job: Job, params: ScanParams) -> MarketScan:
    """Chooses symbols, has their newest bars, and looks which match."""
    also = parse(params.condition) if params.condition else None
    scan = CUSTOM if params.scan_type == "custom" else SCANS.get(params.scan_type) or _RELATIONS[params.scan_type]
    await job.progress(0.02, "choosing symbols")
    chosen = await select(job, params.universe)
    bars = _bars(also, params.timeframes)
    universes = await _universes(job, chosen.symbols, params.timeframes, bars)
    symbols, left_out = _judged(chosen, universes, params)
    boards = [board_of(universe, bars) for universe in universes]
    await job.progress(0.8, f"looking at {len(symbols)} symbols")
    if params.scan_type in _RELATIONS:
        found = await _related(job, params, boards, symbols, also)
    else:
        found = await asyncio.to_thread(_all, matches(scan, boards, symbols, side=params.side, also=also))
    found.sort(key=lambda match: (-match.score, match.symbol))
    rows = await asyncio.to_thread(
        lambda: [row_of(match, boards[0].bars(match.symbol).candles, params.detail) for match in found[: params.limit]]
    )
    await _watch(job, params, [row.symbol for row in rows])
    _look_ahead(boards)
    return MarketScan(
        scan_type=params.scan_type,
        timestamp=_now(),
        looks_for=scan.looks_for,
        conditions=_conditions(scan, params),
        ranked_by=scan.ranked_by,
        data=_data(universes, bars, chosen.ranked_by),
        listed=chosen.listed,
        looked_at=len(symbols),
        matched=len(found),
        left_out=told_left_out(left_out, params.detail),
        rows=rows,
    )


async def _watch(job: Job, params: ScanParams, symbols: list[str]) -> None:
    """Has the live feed watch what was found: it is what will be asked for next. Without a queue it is not."""
    with contextlib.suppress(RedisError, OSError):
        wanted = dict.fromkeys(symbols, params.timeframes)
        await want(job.services.queue, f"scan:{params.scan_type}", wanted, seconds=_WATCHED_FOR)


_looking: set[asyncio.Task[None]] = set()


def _look_ahead(boards: list[Board]) -> None:
    """Behind the answer, so that the first scan for zones is as fast as the others; not while kernels are compiled."""
    if not _looking and not Kernel.interpreted:
        task = asyncio.create_task(_anticipate(boards))
        _looking.add(task)
        task.add_done_callback(_looking.discard)


async def _anticipate(boards: list[Board]) -> None:
    for board in boards:
        for symbol in [name for name, candles in board.candles.items() if len(candles) >= LEAST_BARS]:
            if _boards.get((board.timeframe, board.window)) is not board:
                break
            if not board.events.get(symbol, {}).keys() >= _STRUCTURE:
                await asyncio.to_thread(board.anticipate, symbol)
                await asyncio.sleep(_BETWEEN_SYMBOLS)


WORKS_COLD = True


def warm_up() -> None:
    """Runs every built-in scan once: kernels are compiled, or read from the disk where they were kept."""
    candles = sample_candles()
    board = Board(Timeframe.H1, int(candles.close_time[-1]), BARS, {"warm-up": candles})
    for scan in SCANS.values():
        _all(matches(scan, [board], ["warm-up"]))
    row_of(Match("warm-up", "neutral", 0.0, ()), candles, "full")


async def select(job: Job, wanted: UniverseParams) -> Selection:
    """By the exchange's list and the rules of the universe."""
    listed = (await job.services.rules.read()).values()
    coins = await _coins(job, wanted)
    symbols, left_out = choose(listed, wanted, None if coins is None else frozenset(coin.symbol for coin in coins))
    if not symbols:
        raise InvalidRequest(
            f"no symbol is left of {len(listed)} listed",
            hint="Widen `universe`: another quote asset, no white list, a larger max_rank.",
        )
    return Selection(symbols, left_out, len(listed), coins[0].source if coins else None)


async def _coins(job: Job, wanted: UniverseParams) -> list[Coin] | None:
    """The coins of the rank and category asked for; None where neither was."""
    if wanted.max_rank is None and wanted.category is None:
        return None
    outlook, largest = job.services.outlook, wanted.max_rank or MOST_OF_A_CATEGORY
    if wanted.category is None:
        return await outlook.coins(largest)
    try:
        found = await outlook.coins(MOST_OF_A_CATEGORY, category=wanted.category)
    except SourceRefuses as error:
        raise InvalidRequest(
            f"CoinGecko has no category {wanted.category!r}",
            hint="Give the id of one, such as layer-1, meme-token or decentralized-finance-defi.",
        ) from error
    return [coin for coin in found if wanted.max_rank is None or (coin.rank or math.inf) <= wanted.max_rank]


_boards: dict[tuple[Timeframe, int], Board] = {}


def board_of(universe: Universe, bars: int) -> Board:
    """The board of these bars, with what earlier scans found in them."""
    key = (universe.timeframe, bars)
    board = _boards.get(key)
    if board is None or board.close != universe.close or board.source != universe.source:
        board = _boards[key] = Board(universe.timeframe, universe.close, bars, universe.candles, universe.source)
    board.candles = universe.candles
    return board


async def _universes(job: Job, symbols: list[str], timeframes: list[Timeframe], bars: int) -> list[Universe]:
    found = []
    for place, timeframe in enumerate(timeframes):

        async def report(fraction: float, place: int = place, timeframe: Timeframe = timeframe) -> None:
            share = 0.75 / len(timeframes)
            await job.progress(0.05 + share * (place + fraction), f"fetching {len(symbols)} symbols, {timeframe}")

        found.append(await job.services.universe.newest(symbols, timeframe, bars, report))
    return found


def _bars(also: Condition | None, timeframes: Sequence[Timeframe]) -> int:
    """As many as a condition of the caller's needs, within bounds."""
    if also is None:
        return BARS
    return min(MOST_BARS, max(BARS, *(-(-lookback(also, timeframe) // 100) * 100 for timeframe in timeframes)))


def _judged(chosen: Selection, universes: list[Universe], params: ScanParams) -> tuple[list[str], dict[str, str]]:
    """The symbols that have bars enough and volume enough; the others with the reason."""
    symbols, left_out = [], dict(chosen.left_out)
    for symbol in chosen.symbols:
        why = unfit(symbol, universes, params.universe.min_volume)
        if why:
            left_out[symbol] = why
        else:
            symbols.append(symbol)
    return symbols, left_out


def unfit(symbol: str, universes: list[Universe], min_volume: float) -> str:
    """Why a symbol cannot be judged; empty if it can."""
    for universe in universes:
        if symbol not in universe.candles:
            return universe.absent.get(symbol) or universe.failed.get(symbol, "the exchange did not answer")
        if len(universe.candles[symbol]) < LEAST_BARS:
            return f"fewer than {LEAST_BARS} bars"
    if min_volume and day_volume(universes[0].candles[symbol]) < min_volume:
        return "volume below the least asked for"
    return ""


def _all(found: Iterator[Match | None]) -> list[Match]:
    return [match for match in found if match is not None]


async def _related(
    job: Job, params: ScanParams, boards: Sequence[Board], symbols: list[str], also: Condition | None
) -> list[Match]:
    if params.scan_type == "funding_extreme":
        found = _all(funding_extremes(await _funding(job), symbols))
    else:
        found = await _broken(job, _REFERENCE + params.universe.quote, boards, symbols)
    found = [match for match in found if params.side in ("any", match.side)]
    if also is None:
        return found
    held = await asyncio.to_thread(
        lambda: {match.symbol for match in _all(matches(CUSTOM, boards, symbols, also=also))}
    )
    return [match for match in found if match.symbol in held]


async def _broken(job: Job, reference: str, boards: Sequence[Board], symbols: list[str]) -> list[Match]:
    timeframes = []
    for board in boards:
        candles = board.candles.get(reference)
        if candles is None:
            candles = (await job.services.candles.newest(reference, board.timeframe, BARS)).candles
        timeframes.append((board.candles, candles))
    return await asyncio.to_thread(breaks_on_all, timeframes, [name for name in symbols if name != reference])


async def _funding(job: Job) -> Mapping[str, float]:
    """Funding of all perpetuals for 8 hours, percent."""
    marks, hours = await asyncio.gather(job.services.futures.mark_prices(), job.services.futures.funding_hours())
    return {
        symbol: 100 * mark.funding_rate * _USUAL_HOURS / hours.get(symbol, _USUAL_HOURS)
        for symbol, mark in marks.items()
        if mark.funding_rate is not None
    }


def _conditions(scan: Scan, params: ScanParams) -> dict[str, str]:
    also = f"({params.condition})" if params.condition else ""
    if not scan.setups:
        return {"any": params.condition} if params.condition else {}
    setups = [setup for setup in scan.setups if params.side in ("any", setup.side)]
    return {setup.side: f"({setup.text}) and {also}" if also else setup.text for setup in setups}


def _data(universes: list[Universe], bars: int, ranked_by: str | None) -> ScanData:
    first = universes[0]
    notes = [f"{count} symbols: {origin}" for universe in universes[:1] for origin, count in universe.origins.items()]
    if ranked_by:
        notes.append(f"market cap ranks of {ranked_by}")
    return ScanData(
        source=first.source,
        timeframes=[universe.timeframe for universe in universes],
        bars=bars,
        last_bar=datetime.fromtimestamp(first.close / 1000, UTC),
        age_seconds=round(max(0.0, datetime.now(UTC).timestamp() - first.close / 1000), 1),
        note="; ".join(notes) or None,
    )


def told_left_out(left_out: dict[str, str], detail: Detail) -> list[LeftOut]:
    """Symbols that were not looked at, by reason."""
    shown = None if detail == "full" else _SHOWN
    return [LeftOut(why=why, count=len(names), symbols=names[:shown]) for why, names in grouped(left_out).items()]


def _now() -> datetime:
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
