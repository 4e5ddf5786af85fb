"""Candles in files: what was written comes back, dumps are read as published, and what cannot be is named."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crypto_mcp.market.candle_files import BadCandleFile, CandleFile, candle_file, read_candles, write_candles
from crypto_mcp.models.candles import COLUMNS
from crypto_mcp.models.timeframes import Timeframe
from tests.market.bars import MARCH, bars, same

H1 = Timeframe.H1
DUMP = (
    "{time},42000.10,42100.00,41900.00,42050.20,12.5,{end},525627.5,1200,6.1,256500.2,0\n"
    "{next},42050.20,42060.00,42000.00,42001.00,3.25,{after},136503.2,300,1.5,63001.5,0\n"
)
HOUR_IN = {"ms": 3_600_000, "us": 3_600_000_000}
HEADER = "open_time,open,high,low,close,volume\n"


def dump(unit: str) -> str:
    """Two hours as Binance publishes them: milliseconds before 2025, microseconds since."""
    step, begin = HOUR_IN[unit], MARCH * (1000 if unit == "us" else 1)
    return DUMP.format(time=begin, end=begin + step - 1, next=begin + step, after=begin + 2 * step - 1)


def written(tmp_path: Path, text: str, name: str = "BTCUSDT-1h.csv") -> CandleFile:
    path = tmp_path / name
    path.write_text(text)
    return candle_file(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(st.integers(1, 400), st.integers(0, 10**6), st.sampled_from([".parquet", ".csv"]))
def test_what_was_written_comes_back_bit_by_bit(tmp_path: Path, count: int, seed: int, suffix: str) -> None:
    path = tmp_path / f"BTCUSDT-1h{suffix}"
    candles = bars(count, seed=seed)
    write_candles(candles, path)
    assert same(read_candles(candle_file(path)), candles)


@pytest.mark.parametrize("unit", ["ms", "us"])
def test_a_dump_of_binance_is_read_with_its_checksum(tmp_path: Path, unit: str) -> None:
    """As published: zipped, without a header; a checksum beside it that is wrong is an error."""
    path = tmp_path / "BTCUSDT-1h-2024-03.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("BTCUSDT-1h-2024-03.csv", dump(unit))
    candles = read_candles(candle_file(path))
    assert candles.open_time.tolist() == [MARCH, MARCH + 3_600_000]
    assert candles.close.tolist() == [42050.2, 42001.0]
    assert candles.volume.tolist() == [12.5, 3.25]
    checksum = tmp_path / "BTCUSDT-1h-2024-03.zip.CHECKSUM"
    checksum.write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")
    assert len(read_candles(candle_file(path))) == 2
    checksum.write_text(f"{'0' * 64}  {path.name}\n")
    with pytest.raises(BadCandleFile, match="checksum"):
        read_candles(candle_file(path))


def test_columns_in_any_order_and_case_and_times_in_seconds_or_words(tmp_path: Path) -> None:
    """Duplicates with the same figures count once, and the order of the rows does not matter."""
    rows = [(MARCH // 1000 + 3600, "2", "4", "1", "3", "10"), (MARCH // 1000, "1", "3", "1", "2", "20")]
    text = "Close,Timestamp,Volume,Open,High,Low,extra\n" + "".join(
        f"{close},{time},{volume},{open_},{high},{low},x\n"
        for time, open_, high, low, close, volume in (*rows, rows[1])
    )
    in_seconds = read_candles(written(tmp_path, text))
    assert in_seconds.open_time.tolist() == [MARCH, MARCH + 3_600_000]
    assert in_seconds.close.tolist() == [2.0, 3.0]
    words = text.replace(str(rows[0][0]), "2024-03-01T01:00:00Z").replace(str(rows[1][0]), "2024-03-01T00:00:00Z")
    assert same(read_candles(written(tmp_path, words)), in_seconds)


def test_a_parquet_file_with_naive_times_is_utc(tmp_path: Path) -> None:
    candles = bars(5)
    columns = {name: getattr(candles, name) for name in COLUMNS}
    frame = pl.DataFrame(columns).with_columns(pl.from_epoch("open_time", time_unit="ms").dt.cast_time_unit("ns"))
    frame.rename({"open_time": "Date"}).write_parquet(tmp_path / "ETHUSDT_1h.parquet")
    file = candle_file(tmp_path / "ETHUSDT_1h.parquet")
    assert (file.symbol, file.timeframe) == ("ETHUSDT", H1)
    assert same(read_candles(file), candles)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cannot be read"),
        (HEADER, "has no bars"),
        ("open_time,open,high,low,close\n1,1,1,1,1\n", "has no column volume"),
        (HEADER + f"{MARCH},1,2,0.5,oops,10\n", "'oops' for close"),
        (HEADER + f"{MARCH},1,2,0.5,,10\n", "for close"),
        (HEADER + f"{MARCH},1,2,0.5,nan,10\n", "is not a finite number"),
        (HEADER + f"{MARCH},1,2,0.5,1e999,10\n", "is not a finite number"),
        (HEADER + f"{MARCH},1,0.5,2,1,10\n", "high below its low"),
        (HEADER + f"{MARCH},-1,2,-1,1,10\n", "zero or below"),
        (HEADER + f"{MARCH},1,2,1,1,-10\n", "negative volume"),
        (HEADER + f"{MARCH + 60_000},1,2,1,1,10\n", "no bar of 1h opens"),
        (HEADER + f"{MARCH},1,2,1,1,10\n{MARCH},1,2,1,2,10\n", "not later than the bar before"),
        (HEADER + f"{MARCH},1,2,1,1,10\n{MARCH + 7_200_000},1,2,1,2,10\n", "bars longer than 1h"),
        (HEADER + "yesterday,1,2,1,1,10\n", "'yesterday' for open_time"),
        (f"{MARCH},1,2\n", "has no column"),
        ("a,a\n1,2\n", "the same name"),
        ("\x00\x01\x02", "column"),
    ],
)
def test_what_cannot_be_is_an_error_that_says_where(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadCandleFile, match=said):
        read_candles(written(tmp_path, text))


@pytest.mark.parametrize("name", ["BTCUSDT-1h.parquet", "BTCUSDT-1h.zip", "BTCUSDT-1h.csv"])
def test_noise_is_an_error(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(np.random.default_rng(1).bytes(500))
    with pytest.raises(BadCandleFile):
        read_candles(candle_file(path))
    with pytest.raises(BadCandleFile):
        read_candles(candle_file(tmp_path / f"ABSENT-1h{path.suffix}"))


def test_a_name_that_says_nothing_is_an_error_unless_it_is_told(tmp_path: Path) -> None:
    for name in ("prices.csv", "BTCUSDT-7h.csv", "BTCUSDT-1month.csv"):
        with pytest.raises(BadCandleFile, match="does not say"):
            candle_file(tmp_path / name)
    assert candle_file(tmp_path / "prices.csv", "BTCUSDT", H1).timeframe is H1
