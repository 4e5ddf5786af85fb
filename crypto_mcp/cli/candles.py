"""`crypto-mcp candles`: fills the archive from files and from the exchange, shows what it has, writes it to files."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crypto_mcp.cli.configuration import load
from crypto_mcp.errors import InvalidRequest, NotEnoughData

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from rich.progress import Progress

    from crypto_mcp.market.candle_files import CandleFile
    from crypto_mcp.market.candle_intake import Taken
    from crypto_mcp.models.timeframes import Timeframe
    from crypto_mcp.stores.mongo import MongoStore
    from workers.services import Services

app = typer.Typer(help="The candle archive: import, export, fill, status.", no_args_is_help=True)

DUMPS_ARE_OF = "binance"

Paths = Annotated[list[Path], typer.Argument(help="Files (.parquet, .csv, .csv.gz, .zip) or folders of them.")]
Symbol = Annotated[str, typer.Argument(help="Trading pair, such as BTCUSDT.")]
OfBars = Annotated[str, typer.Argument(help="Length of a bar, such as 1h.")]
MaybeSymbol = Annotated[str | None, typer.Argument(help="Only this one.", metavar="[SYMBOL]")]
Start = Annotated[str | None, typer.Option("--from", help="First day or moment, UTC, such as 2020-01-01.")]
End = Annotated[str | None, typer.Option("--to", help="Up to, but not including, UTC; now if not given.")]
Venue = Annotated[str | None, typer.Option(help="Whose bars; only needed if the archive has several.")]
Into = Annotated[str, typer.Option("--venue", help="Whose bars they are. Bars of different venues are never mixed.")]
OfFile = Annotated[str | None, typer.Option("--symbol", help="Whose bars, if the file's name does not say.")]
StepOfFile = Annotated[str | None, typer.Option("--timeframe", help="Length of a bar, if the name does not say.")]
Replace = Annotated[bool, typer.Option("--replace", help="Where the archive has other figures, take the file's.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="SYMBOL-TIMEFRAME.parquet if not given; or .csv.")]


@app.command("import")
def import_(
    paths: Paths,
    venue: Into = DUMPS_ARE_OF,
    symbol: OfFile = None,
    timeframe: StepOfFile = None,
    replace: Replace = False,
) -> None:
    """Take bars from files: your own, or dumps of data.binance.vision. What the archive has is not written again."""
    from crypto_mcp.market.candle_files import candle_file
    from crypto_mcp.models.symbols import exchange_symbol

    name = exchange_symbol(symbol) if symbol else None
    step = _timeframe(timeframe) if timeframe else None
    files = [candle_file(path, name, step) for path in _files(paths)]
    asyncio.run(_import(files, venue, replace=replace))


@app.command()
def export(
    symbol: Symbol, timeframe: OfBars, output: Output = None, start: Start = None, end: End = None, venue: Venue = None
) -> None:
    """Write the archive's bars of a symbol to a parquet or CSV file."""
    from crypto_mcp.models.symbols import exchange_symbol

    name, step = exchange_symbol(symbol), _timeframe(timeframe)
    path = output or Path(f"{name}-{step}.parquet")
    bars = asyncio.run(_export(name, step, path, (start, end), venue))
    print(f"{path}: {bars:,} bars, {path.stat().st_size / 1024:,.0f} KB")


@app.command()
def fill(symbol: Symbol, timeframe: OfBars, start: Start = None, end: End = None) -> None:
    """Ask the exchange for all bars since a day that the archive lacks. May be ended and started again."""
    from crypto_mcp.models.symbols import exchange_symbol

    if start is None:
        raise InvalidRequest("from when on?", hint=f"crypto-mcp candles fill {symbol} {timeframe} --from 2020-01-01")
    asyncio.run(_fill(exchange_symbol(symbol), _timeframe(timeframe), start, end))


@app.command()
def status(symbol: MaybeSymbol = None) -> None:
    """What the archive has: bars, bytes, first, last and holes of each symbol and timeframe."""
    from rich.console import Console
    from rich.table import Table

    from crypto_mcp.models.symbols import exchange_symbol

    rows = asyncio.run(_sizes({"symbol": exchange_symbol(symbol)} if symbol else {}))
    if not rows:
        Console().print("The archive has nothing of it." if symbol else "The archive is empty.")
        return
    table = Table("venue", header_style="cyan", box=None)
    for title in ("symbol", "", "bars", "B/bar", "holes", "first", "last"):
        table.add_column(title, no_wrap=True, justify="right" if title in ("bars", "B/bar", "holes") else "left")
    for row in rows:
        per_bar = f"{row['bytes'] / row['bars']:.1f}" if row["bars"] else "-"
        table.add_row(
            *(row["_id"][name] for name in ("venue", "symbol", "timeframe")),
            f"{row['bars']:,}", per_bar, str(row["holes"]), _day(row["first"])[:10], _day(row["last"])[:10],
        )  # fmt: skip
    Console().print(table)
    total, size = (sum(row[name] for row in rows) for name in ("bars", "bytes"))
    Console().print(f"[dim]{total:,} bars in {size / 1e6:,.1f} MB[/]")


async def _import(files: list[CandleFile], venue: str, *, replace: bool) -> None:
    from rich.console import Console
    from rich.markup import escape

    from crypto_mcp.market.candle_archive import CandleArchive, NamedVenue
    from crypto_mcp.market.candle_files import read_candles
    from crypto_mcp.market.candle_intake import take

    settings = load()
    console = Console(soft_wrap=True)
    async with _opened() as mongo:
        archive = CandleArchive(mongo.candles, NamedVenue(venue))
        with _progress() as progress:
            task = progress.add_task("", total=len(files))
            for file in files:
                progress.update(task, description=file.path.name)
                taken = await take(archive, file, await asyncio.to_thread(read_candles, file), replace=replace)
                progress.console.print(f"{escape(file.path.name)}: {_told(taken, replace=replace)}", highlight=False)
                progress.advance(task)
    if venue == DUMPS_ARE_OF and ".binance." not in settings.market.binance_url:
        console.print(
            f"[dim]Kept as bars of {venue}. {settings.market.binance_url}, which is asked at present, is another "
            f"venue: its answers are not made of them.[/]"
        )


def _told(taken: Taken, *, replace: bool) -> str:
    words = f"{taken.bars:,} bars, {taken.new:,} new"
    if taken.differing:
        kept = "replaced" if replace else "kept as they were (--replace takes the file's)"
        words += f", {taken.differing:,} differ from the archive's: {kept}"
    return words


async def _export(
    symbol: str, timeframe: Timeframe, path: Path, bounds: tuple[str | None, str | None], venue: str | None
) -> int:
    from crypto_mcp.market.candle_archive import CandleArchive, NamedVenue
    from crypto_mcp.market.candle_files import write_candles
    from crypto_mcp.market.coverage import Span

    async with _opened() as mongo:
        query = {"symbol": symbol, "timeframe": timeframe.value} | ({"venue": venue} if venue else {})
        series = [row for row in await mongo.candles.sizes(query) if row["bars"]]
        if not series:
            raise NotEnoughData(
                f"the archive has no bars of {symbol} {timeframe}" + (f" of {venue}" if venue else ""),
                hint="`crypto-mcp candles status` lists what it has; `candles fill` asks the exchange.",
            )
        if len(series) > 1:
            venues = ", ".join(row["_id"]["venue"] for row in series)
            raise InvalidRequest(f"the archive has {symbol} of {venues}", hint="Say which with --venue.")
        first, last = series[0]["first"], series[0]["last"]
        span = Span(_moment(bounds[0] or first), _moment(bounds[1] or last) + (0 if bounds[1] else 1))
        archive = CandleArchive(mongo.candles, NamedVenue(series[0]["_id"]["venue"]))
        if span.start >= span.end or not len((found := await archive.read(symbol, timeframe, span)).candles):
            raise NotEnoughData(
                f"the archive has no bars of {symbol} {timeframe} in that time",
                hint=f"It has some from {_day(first)} to {_day(last)}.",
            )
        await asyncio.to_thread(write_candles, found.candles, path)
        return len(found.candles)


async def _fill(symbol: str, timeframe: Timeframe, start: str, end: str | None) -> None:
    from crypto_mcp.market.candle_intake import fill as filling
    from crypto_mcp.market.coverage import Span

    span = Span(_moment(start), _moment(end) if end else _moment(datetime.now(UTC)))
    if span.end <= span.start:
        raise InvalidRequest("the end is not later than the start", hint="Swap --from and --to.")
    async with _services() as services:
        await services.mongo.ping()
        bars = found = 0
        with _progress() as progress:
            task = progress.add_task(f"{symbol} {timeframe}", total=None)
            async for state in filling(services.market, services.archive, symbol, timeframe, span):
                bars, found = state.bars, state.found
                words = f"{symbol} {timeframe}" + (f": {state.waiting}" if state.waiting else "")
                progress.update(task, total=max(1, bars), completed=state.done if bars else 1, description=words)
    if bars:
        print(f"{symbol} {timeframe}: asked for {bars:,} bars, {found:,} exist and are in the archive")
    else:
        print(f"{symbol} {timeframe}: nothing was missing")


async def _sizes(query: dict[str, Any]) -> list[dict[str, Any]]:
    async with _opened() as mongo:
        return await mongo.candles.sizes(query)


@asynccontextmanager
async def _opened() -> AsyncIterator[MongoStore]:
    from crypto_mcp.stores.mongo import MongoStore

    mongo = MongoStore(load().mongo)
    try:
        yield mongo
    finally:
        await mongo.close()


@asynccontextmanager
async def _services() -> AsyncIterator[Services]:
    from workers.services import Services

    services = Services(load())
    try:
        yield services
    finally:
        await services.close()


def _files(paths: list[Path]) -> list[Path]:
    from crypto_mcp.market.candle_files import SUFFIXES

    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise InvalidRequest(f"{path} does not exist", hint="Give files, or folders of them.")
        inside = sorted(path.iterdir()) if path.is_dir() else [path]
        found += [each for each in inside if each.is_file() and (each.name.endswith(SUFFIXES) or each == path)]
    if not found:
        raise InvalidRequest(f"no {', '.join(SUFFIXES)} there", hint="Give files, or folders of them.")
    return found


def _timeframe(text: str) -> Timeframe:
    from crypto_mcp.models.timeframes import Timeframe

    try:
        return Timeframe(text)
    except ValueError:
        offered = ", ".join(Timeframe)
        raise InvalidRequest(f"{text!r} is no timeframe", hint=f"There are {offered}.") from None


def _moment(text: str | datetime) -> int:
    """Milliseconds since the epoch; a time without its zone is UTC."""
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) else text
        return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise InvalidRequest(f"{text!r} is no day", hint="Write it like 2020-01-01 or 2020-01-01T12:00Z.") from None


def _day(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else "-"


def _progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(soft_wrap=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True)
