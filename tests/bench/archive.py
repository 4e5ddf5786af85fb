"""The candle archive: a year into a frame, ten symbols at once, bytes a bar, and files in and out by the command line.

Files are those beside the checkout (`../shared/data`), else the sandbox's recordings.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import polars as pl

from crypto_mcp.market.candle_archive import CandleArchive, NamedVenue
from crypto_mcp.market.candle_files import candle_file, read_candles
from crypto_mcp.market.candle_month import Known
from crypto_mcp.market.coverage import Span
from crypto_mcp.models.candles import COLUMNS
from crypto_mcp.models.timeframes import Timeframe
from crypto_mcp.settings import MongoSettings
from crypto_mcp.stores.mongo import MongoStore
from tests.bench.figures import Figures, percentile
from tests.servers import Servers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crypto_mcp.models.candles import Candles

_BESIDE = Path(__file__).parents[3] / "shared" / "data"
_SYMBOLS = [f"S{number:02d}USDT" for number in range(10)]
_H1, _YEAR = Timeframe.H1, 8760


async def run(figures: Figures, *, quick: bool) -> None:
    """All figures; a bar that comes back with another bit ends it."""
    sources = sorted(_BESIDE.glob("*.parquet")) or _recorded()
    with TemporaryDirectory(prefix="bench-archive-") as name:
        folder = Path(name)
        servers = Servers.under(folder)
        await servers.mongo.start()
        mongo = MongoSettings.model_validate({"url": servers.mongo.admin_url, "database": "bench"})
        store = MongoStore(mongo)
        try:
            archive = CandleArchive(store.candles, NamedVenue("bench"))
            await _read(figures, archive, read_candles(candle_file(sources[0])), turns=5 if quick else 40)
            seconds = _command(mongo, folder, "import", *map(str, sources))
            again = _command(mongo, folder, "import", *map(str, sources))
            bars = sum(_back_again(mongo, folder, source) for source in sources)
            imported = await CandleArchive(store.candles, NamedVenue("binance")).status()
            size = sum(row["bytes"] for row in imported) / sum(row["bars"] for row in imported)
        finally:
            await store.close()
            await servers.mongo.kill()
    rows = {"import, s": [seconds], "once more, s": [again], "bytes a bar": [size]}
    figures.table(f"{len(sources)} files, {bars:,} bars", rows, ("figure",))
    figures.add("archive_import_s", seconds)
    figures.add("archive_bytes_a_bar", size)


async def _read(figures: Figures, archive: CandleArchive, candles: Candles, *, turns: int) -> None:
    year = candles[-_YEAR:]
    span = Span(int(year.open_time[0]), int(year.close_time[-1]))
    for symbol in _SYMBOLS:
        await archive.learn(symbol, _H1, Known(span, year, None, span.end))
    one, ten = [], []
    for _ in range(turns):
        one += [await _timed(archive, [symbol], span) for symbol in _SYMBOLS[:3]]
        ten.append(await _timed(archive, _SYMBOLS, span))
    rows = {"a year of hours": _row(one), "of ten symbols": _row(ten)}
    figures.table("from the archive into a polars frame, ms", rows, ("p50", "p95"))
    figures.add("archive_1y_ms", median(one))
    figures.add("archive_10y_ms", median(ten))


async def _timed(archive: CandleArchive, symbols: Sequence[str], span: Span) -> float:
    began = time.perf_counter()
    found = await archive.read_many(symbols, _H1, span)
    frames = [pl.DataFrame({name: getattr(each.candles, name) for name in COLUMNS}) for each in found.values()]
    seconds = time.perf_counter() - began
    if sum(map(len, frames)) != _YEAR * len(symbols):
        raise RuntimeError("the archive gave back another number of bars")
    return 1000 * seconds


def _row(values: list[float]) -> list[float]:
    return [percentile(values, 50), percentile(values, 95)]


def _command(mongo: MongoSettings, folder: Path, *words: str) -> float:
    """Seconds that a command took, its start included."""
    environment = os.environ | {
        "CRYPTO_MCP_MONGO__URL": mongo.url.get_secret_value(),
        "CRYPTO_MCP_MONGO__DATABASE": mongo.database,
        "CRYPTO_MCP_LOG__LEVEL": "WARNING",
    }
    command = [sys.executable, "-m", "crypto_mcp.cli", "candles", *words]
    began = time.perf_counter()
    subprocess.run(command, env=environment, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - began


def _back_again(mongo: MongoSettings, folder: Path, source: Path) -> int:
    """Exports what was imported and compares; how many bars there are."""
    wanted = candle_file(source)
    out = folder / source.name
    _command(mongo, folder, "export", wanted.symbol, wanted.timeframe.value, "-o", str(out))
    mine, theirs = read_candles(candle_file(out)), read_candles(wanted)
    if any(getattr(mine, name).tobytes() != getattr(theirs, name).tobytes() for name in COLUMNS):
        raise RuntimeError(f"{source.name} came back with other bars")
    return len(theirs)


def _recorded() -> list[Path]:
    folder = Path(str(files("crypto_mcp.sandbox.recorded")))
    return sorted(folder.glob("*.parquet"))
