"""Candles in files: parquet, CSV, and the zipped CSV of https://data.binance.vision (`spot/monthly/klines`).

A file has a column for the time a bar opens and `open, high, low, close, volume`, in any order and case, beside
whatever else; a Binance dump has no header and its columns in the order of the klines API. Times are dates, or seconds,
milliseconds, microseconds or nanoseconds since the epoch, UTC. Nothing is repaired: a bar that cannot be is an error
that names it.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from polars.exceptions import PolarsError

from crypto_mcp.errors import InvalidRequest
from crypto_mcp.market.bar_times import opens
from crypto_mcp.models.candles import COLUMNS, BadCandles, Candles
from crypto_mcp.models.timeframes import Timeframe

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = (".parquet", ".csv", ".csv.gz", ".zip")
_PRICES = COLUMNS[1:]
_TIMES = ("open_time", "timestamp", "time", "date", "datetime", "open time")
_DUMP = ("open_time", *_PRICES, "close_time", "quote_volume", "trades", "taker_base", "taker_quote", "ignore")
_NAME = re.compile(r"(?P<symbol>[A-Za-z0-9]{3,20})[-_ ](?P<timeframe>[0-9]{1,2}[mhdw])(?![A-Za-z0-9])")

# Epoch times below these are seconds, milliseconds, microseconds: each unit reaches beyond the year 5000.
_UNITS = ((10**11, 1000, 1), (10**14, 1, 1), (10**17, 1, 1000))


class BadCandleFile(InvalidRequest):
    """A file that holds no candles, or some that cannot be."""

    code = "bad_candle_file"


@dataclass(frozen=True, slots=True)
class CandleFile:
    """A file and whose bars it has."""

    path: Path
    symbol: str
    timeframe: Timeframe


def candle_file(path: Path, symbol: str | None = None, timeframe: Timeframe | None = None) -> CandleFile:
    """What a file has by its name, such as `BTCUSDT-1h-2024-03.zip`, unless it is told.

    Raises:
        BadCandleFile: neither says it.
    """
    found = _NAME.match(path.name)
    offered = {each.value: each for each in Timeframe}
    symbol = symbol or (found["symbol"].upper() if found else None)
    timeframe = timeframe or (offered.get(found["timeframe"]) if found else None)
    if symbol is None or timeframe is None:
        raise BadCandleFile(
            f"the name of {path} does not say symbol and timeframe",
            hint="Call it like BTCUSDT-1h.csv, or give --symbol and --timeframe.",
        )
    return CandleFile(path, symbol, timeframe)


def read_candles(file: CandleFile) -> Candles:
    """All bars of a file, oldest first; a bar that is there twice with the same figures counts once.

    Raises:
        BadCandleFile: it cannot be read, is damaged, or holds a bar that cannot be; the message says where.
    """
    try:
        frame = _frame(file.path)
    except (OSError, PolarsError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise BadCandleFile(f"{file.path} cannot be read: {str(error)[:200]}") from error
    return _candles(_columns(frame, file.path), file)


def write_candles(candles: Candles, path: Path) -> None:
    """As parquet or CSV, by the file's name; `read_candles` gives back the same bars, bit by bit."""
    frame = pl.DataFrame({name: getattr(candles, name) for name in COLUMNS}).with_columns(
        pl.from_epoch("open_time", time_unit="ms").dt.replace_time_zone("UTC")
    )
    if path.suffix == ".parquet":
        frame.write_parquet(path, compression="zstd")
    elif path.suffix == ".csv":
        frame.write_csv(path, datetime_format="%Y-%m-%dT%H:%M:%SZ")
    else:
        raise InvalidRequest(f"{path} is neither .parquet nor .csv", hint="Name the file by what it shall be.")


def _frame(path: Path) -> pl.DataFrame:
    if path.suffix == ".parquet":
        return pl.read_parquet(path)
    content = path.read_bytes()
    if path.suffix == ".zip":
        _check(content, path)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [name for name in archive.namelist() if name.endswith(".csv")]
            if len(names) != 1:
                raise BadCandleFile(f"{path} holds {len(names)} CSV files, one is expected")
            content = archive.read(names[0])
    return _read_csv(content)


def _check(content: bytes, path: Path) -> None:
    """Against the checksum that Binance publishes beside each dump, if it was fetched too."""
    beside = path.with_name(path.name + ".CHECKSUM")
    if beside.exists() and beside.read_text().split()[:1] != [hashlib.sha256(content).hexdigest()]:
        raise BadCandleFile(f"{path} does not have the checksum of {beside.name}", hint="Fetch it again.")


def _read_csv(content: bytes) -> pl.DataFrame:
    """All as text: what is no number is named by its line later."""
    frame = pl.read_csv(content, has_header=False, infer_schema=False)
    first = [str(cell or "").strip().lower() for cell in frame.row(0)] if len(frame) else []
    if first and re.fullmatch(r"[0-9.]+", first[0]):
        return frame.rename(dict(zip(frame.columns, _DUMP, strict=False)))
    names = [name or f"column {place}" for place, name in enumerate(first)]
    if len(set(names)) < len(names):
        raise BadCandleFile(f"two columns have the same name: {', '.join(names)}")
    return frame.slice(1).rename(dict(zip(frame.columns, names, strict=True)))


def _columns(frame: pl.DataFrame, path: Path) -> pl.DataFrame:
    """Open time in milliseconds and figures, in the order of the file."""
    lower = {str(name).strip().lower(): name for name in frame.columns}
    time = next((lower[name] for name in _TIMES if name in lower), None)
    missing = [name for name in _PRICES if name not in lower]
    if time is None or missing:
        lacks = ", ".join(([] if time else ["open_time"]) + missing)
        raise BadCandleFile(
            f"{path} has no column {lacks}; it has {', '.join(map(str, frame.columns))[:200]}",
            hint="Columns are open_time, open, high, low, close, volume.",
        )
    table = frame.select(
        _milliseconds(frame[time]).alias("open_time"),
        *(frame[lower[name]].cast(pl.Float64, strict=False).alias(name) for name in _PRICES),
    )
    for name in COLUMNS:
        nothing = table[name].is_null()
        if nothing.any():
            row = int(nothing.arg_max() or 0)
            said = frame[time if name == "open_time" else lower[name]][row]
            raise BadCandleFile(f"{path}: row {row + 1} of the data has {said!r:.40} for {name}")
    return table


def _milliseconds(times: pl.Series) -> pl.Series:
    if times.dtype == pl.String:
        numbers = times.str.strip_chars().cast(pl.Int64, strict=False)
        times = numbers if not numbers.null_count() else times.str.to_datetime(
            time_unit="ms", time_zone="UTC", strict=False
        )  # fmt: skip
    if times.dtype.is_temporal():
        return times.cast(pl.Datetime("ms")).dt.epoch("ms")
    whole = times.cast(pl.Int64, strict=False)
    largest = whole.max()
    most = largest if isinstance(largest, int) else 0
    times_, over = next(((times_, over) for below, times_, over in _UNITS if most < below), (1, 10**6))
    return whole * times_ // over


def _candles(table: pl.DataFrame, file: CandleFile) -> Candles:
    table = table.unique(maintain_order=True).sort("open_time", maintain_order=True)
    times, open_, high, low, close, volume = (np.ascontiguousarray(table[name].to_numpy()) for name in COLUMNS)
    candles = Candles(times, open_, high, low, close, volume, file.timeframe.milliseconds)
    if not len(candles):
        raise BadCandleFile(f"{file.path} has no bars")
    astray = candles.open_time != opens(candles.open_time, file.timeframe)
    if astray.any():
        at = int(candles.open_time[int(np.argmax(astray))])
        raise BadCandleFile(
            f"{file.path}: no bar of {file.timeframe} opens at {at} (milliseconds since the epoch)",
            hint="Times are when bars open, UTC; give the file's timeframe with --timeframe.",
        )
    if len(candles) > 1 and int(np.diff(candles.open_time).min()) > candles.step:
        raise BadCandleFile(f"{file.path} has bars longer than {file.timeframe}", hint="Give its own with --timeframe.")
    try:
        return candles.validated()
    except BadCandles as error:
        raise BadCandleFile(f"{file.path}: {error.message}", hint=error.hint) from error
