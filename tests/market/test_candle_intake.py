"""Filling the archive on purpose: nothing twice, nothing claimed that is not known, and on from where it ended."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from crypto_mcp.cli import main
from crypto_mcp.market import candle_intake
from crypto_mcp.market.candle_archive import CandleArchive, NamedVenue
from crypto_mcp.market.candle_files import CandleFile, candle_file, read_candles, write_candles
from crypto_mcp.market.candle_intake import Filled, Taken, fill, take
from crypto_mcp.market.coverage import Span
from crypto_mcp.models.candles import COLUMNS, Candles
from crypto_mcp.models.timeframes import Timeframe
from crypto_mcp.stores.mongo import MongoStore
from tests.market.bars import MARCH, bars, same
from tests.market.binance_client import HOUR, KLINES

if TYPE_CHECKING:
    from pymongo.asynchronous.database import AsyncDatabase

    from crypto_mcp.market.binance import BinanceSpot
    from crypto_mcp.settings import Settings
    from tests.sandbox_server import SandboxServer

H1 = Timeframe.H1
FILE = CandleFile(Path("BTCUSDT-1h.csv"), "BTCUSDT", H1)
SHARED = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.fixture
async def mongo(settings: Settings, mongo_database: AsyncDatabase[dict[str, Any]]) -> AsyncIterator[MongoStore]:
    store = MongoStore(settings.mongo)
    yield store
    await store.close()


async def test_bars_of_a_file_are_taken_once_and_what_it_lacks_is_not_claimed(mongo: MongoStore) -> None:
    """A second import changes nothing; one with more bars adds those; other figures are told, and taken if wanted."""
    archive = CandleArchive(mongo.candles, NamedVenue("binance"))
    candles = bars(1500)
    gapped = Candles(*(np.delete(getattr(candles, name), [700, 701]) for name in COLUMNS), HOUR)
    assert await take(archive, FILE, gapped) == Taken(1498, 1498, 0)
    assert await take(archive, FILE, gapped) == Taken(1498, 0, 0)
    whole = Span(MARCH, MARCH + 1500 * HOUR)
    found = await archive.read("BTCUSDT", H1, whole)
    assert same(found.candles, gapped)
    assert found.covered == [Span(MARCH, MARCH + 700 * HOUR), Span(MARCH + 702 * HOUR, whole.end)]
    assert found.origins == ("imported from BTCUSDT-1h.csv",)
    assert await take(archive, FILE, candles) == Taken(1500, 2, 0)
    assert same((await archive.read("BTCUSDT", H1, whole)).candles, candles)
    other = bars(1500, seed=2)
    assert (await take(archive, FILE, other)).differing > 1400
    assert same((await archive.read("BTCUSDT", H1, whole)).candles, candles)
    await take(archive, FILE, other, replace=True)
    assert same((await archive.read("BTCUSDT", H1, whole)).candles, other)


async def test_bars_that_have_yet_to_close_are_not_taken(mongo: MongoStore) -> None:
    archive = CandleArchive(mongo.candles, NamedVenue("binance"))
    hour = int(datetime.now(UTC).timestamp()) // 3600 * HOUR
    assert (await take(archive, FILE, bars(10, start=hour - 4 * HOUR))).bars == 4
    assert (await take(archive, FILE, bars(3, start=hour + HOUR))) == Taken(0, 0, 0)


async def test_filling_goes_on_where_it_was_ended(
    binance: BinanceSpot, sandbox: SandboxServer, mongo: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ended after two parts of five, then told to slow down; what was asked for is not asked for again."""
    monkeypatch.setattr(candle_intake, "BARS_AT_ONCE", 500)
    archive = CandleArchive(mongo.candles, binance)
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    span = Span(*(int(at.timestamp() * 1000) for at in (end - timedelta(hours=2400), end)))

    async def states() -> AsyncIterator[Filled]:
        async for state in fill(binance, archive, "BTCUSDT", H1, span):
            yield state

    async for state in states():
        if state.done == 1000:
            break
    assert state.bars >= 2399
    sandbox.fault("status", status=429, path=KLINES, times=1, retry_after=1)
    waited = False
    left = 0
    async for state in states():
        left = left or state.bars
        waited = waited or "again in" in state.waiting
    assert waited
    assert left == state.done == state.found == state.bars
    assert left + 1000 >= 2399
    asked = sandbox.requests(KLINES)
    async for state in states():
        assert state == Filled(0, 0, 0)
    assert sandbox.requests(KLINES) == asked
    direct = await binance.between("BTCUSDT", H1, span.start, span.end)
    assert same((await archive.read("BTCUSDT", H1, span)).candles, direct.candles)


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], settings: Settings
) -> Callable[..., tuple[int, str, str]]:
    """Runs `crypto-mcp candles` on the test's MongoDB; status, output and error output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CRYPTO_MCP_MONGO__URL", settings.mongo.url.get_secret_value())
    monkeypatch.setenv("CRYPTO_MCP_MONGO__DATABASE", settings.mongo.database)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["crypto-mcp", "candles", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def test_what_is_imported_is_listed_and_exported_again(
    command: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    """From a folder, to parquet and to CSV; whole, and a part of it."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for symbol, seed in (("BTCUSDT", 1), ("ETHUSDT", 2)):
        write_candles(bars(1000, seed=seed), folder / f"{symbol}-1h.csv")
    status, out, _ = command("import", str(folder))
    assert status == 0
    assert "BTCUSDT-1h.csv: 1,000 bars, 1,000 new" in out
    status, out, _ = command("status")
    assert status == 0
    assert "2,000 bars" in out
    status, out, _ = command("export", "eth", "1h", "-o", "eth.parquet")
    assert status == 0
    assert same(read_candles(candle_file(tmp_path / "eth.parquet", "ETHUSDT", H1)), bars(1000, seed=2))
    status, out, _ = command("export", "BTCUSDT", "1h", "-o", "b.csv", "--from", "2024-03-02", "--to", "2024-03-03")
    assert status == 0
    assert "24 bars" in out
    assert same(read_candles(candle_file(tmp_path / "b.csv", "BTCUSDT", H1)), bars(1000)[24:48])
    command("import", str(folder / "ETHUSDT-1h.csv"), "--venue", "elsewhere")
    status, _, err = command("export", "ETHUSDT", "1h")
    assert status == 1
    assert "--venue" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("import", "nowhere"), "nowhere does not exist"),
        (("import", "."), "no .parquet"),
        (("export", "BTCUSDT", "1h"), "has no bars of BTCUSDT 1h"),
        (("export", "BTCUSDT", "7h"), "no timeframe"),
        (("fill", "BTCUSDT", "1h"), "from when on"),
        (("fill", "BTCUSDT", "1h", "--from", "soon"), "'soon' is no day"),
        (("fill", "BTCUSDT", "1h", "--from", "2024-01-02", "--to", "2024-01-01"), "the end is not later"),
    ],
)
def test_what_cannot_be_done_is_said_with_a_hint(
    command: Callable[..., tuple[int, str, str]], arguments: tuple[str, ...], said: str
) -> None:
    status, _, err = command(*arguments)
    assert status == 1
    assert said in err
    assert "hint:" in err


@pytest.mark.skipif(not SHARED.exists(), reason="recorded candles are not beside this checkout")
def test_years_of_six_symbols_come_back_as_they_were(
    command: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    status, _, _ = command("import", str(SHARED))
    assert status == 0
    for source in list(SHARED.glob("*.parquet"))[:2]:
        file = candle_file(source)
        command("export", file.symbol, "1h", "-o", "out.parquet")
        assert same(read_candles(candle_file(tmp_path / "out.parquet", file.symbol, H1)), read_candles(file))
