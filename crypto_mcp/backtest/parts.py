"""A search in parts: which there are, how one is worked, and how its result travels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from io import BytesIO
from typing import Literal

import numpy as np

from crypto_mcp.backtest.funding import PaidFunding
from crypto_mcp.backtest.luck.search import run_part, run_search
from crypto_mcp.backtest.luck.space import candidates
from crypto_mcp.backtest.luck.trials import Span, TrialTable, market_returns
from crypto_mcp.backtest.luck.walk_forward import WindowRun, cuts, run_window
from crypto_mcp.backtest.rules import Records
from crypto_mcp.backtest.runner import StrategyRunner
from crypto_mcp.models.candles import COLUMNS, Candles
from crypto_mcp.models.luck import SearchSpec, WalkForwardSpec, WalkForwardWindow

_YEAR_MS = 365 * 86_400_000
_PART_BARS = 12_000_000
"""Bars that a part plays, all its trials together: a fraction of a second, so that a killed worker costs little."""

_MOST_TRIALS, _LEAST_TRIALS = 1_000, 50


@dataclass(frozen=True, slots=True)
class PartOf:
    """Rows of a search, or windows of a walk-forward, from `first` to `last` (excluded)."""

    what: Literal["trials", "windows"]
    first: int
    last: int


def parts_of(search: SearchSpec, walk_forward: WalkForwardSpec | None, bars: int) -> list[PartOf]:
    """How a search is shared, by itself always the same.

    Args:
        search, walk_forward: what is asked for.
        bars: of all symbols together.

    Raises:
        EmptySearch: `ordered` forbids every parameter vector.
    """
    rows = search.budget if search.method == "bayesian" else len(candidates(search))
    size = min(_MOST_TRIALS, max(_LEAST_TRIALS, _PART_BARS // bars))
    if search.method == "bayesian":
        size = rows  # each trial learns from those before it
    parts = [PartOf("trials", first, min(first + size, rows)) for first in range(0, rows, size)]
    if walk_forward is not None:
        at_once = max(1, size * (walk_forward.windows + 4) // (rows * 5))
        count = walk_forward.windows
        parts += [PartOf("windows", first, min(first + at_once, count)) for first in range(0, count, at_once)]
    return parts


def work_part(
    runner: StrategyRunner, part: PartOf, search: SearchSpec, walk_forward: WalkForwardSpec | None, span: Span
) -> bytes:
    """One part, packed."""
    if part.what == "trials":
        if search.method == "bayesian":
            return run_search(runner, search, span).to_bytes()
        return run_part(runner, search, span, part.first, part.last).to_bytes()
    assert walk_forward is not None
    windows = cuts(span, walk_forward)[part.first : part.last]
    return packed_windows([run_window(runner, search, span, cut) for cut in windows])


def span_of(runner: StrategyRunner) -> Span:
    """All bars that the runner can trade."""
    return Span(0, runner.bars, _YEAR_MS / runner.step, market_returns(runner.close))


def packed_windows(windows: Sequence[WindowRun]) -> bytes:
    """Windows as a compressed archive without pickles."""
    out = BytesIO()
    arrays = {f"growth{i}": w.growth for i, w in enumerate(windows)}
    texts = np.array([w.window.model_dump_json() for w in windows])
    np.savez_compressed(out, windows=texts, trials=np.array([w.trials for w in windows]), **arrays)  # type: ignore[arg-type]
    return out.getvalue()


def unpacked_windows(packed: bytes) -> list[WindowRun]:
    """What `packed_windows` packed."""
    with np.load(BytesIO(packed), allow_pickle=False) as archive:
        return [
            WindowRun(WalkForwardWindow.model_validate_json(str(text)), archive[f"growth{i}"], int(trials))
            for i, (text, trials) in enumerate(zip(archive["windows"], archive["trials"], strict=True))
        ]


def joined(parts: Sequence[PartOf], packed: Sequence[bytes]) -> tuple[TrialTable, list[WindowRun]]:
    """The results of all parts, in their order."""
    tables = [TrialTable.from_bytes(p) for part, p in zip(parts, packed, strict=True) if part.what == "trials"]
    windows = [w for part, p in zip(parts, packed, strict=True) if part.what == "windows" for w in unpacked_windows(p)]
    return TrialTable.joined(tables), windows


def digest(candles: Mapping[str, Candles], instruments: Records, funding: Mapping[str, PaidFunding]) -> str:
    """Equal for equal bars of equal symbols under equal rules of the exchange, and equal funding."""
    found = blake2b(digest_size=16)
    for symbol, bars in candles.items():
        found.update(symbol.encode())
        for name in COLUMNS:
            found.update(getattr(bars, name).tobytes())
    found.update(instruments.tobytes())
    for symbol in sorted(funding):
        found.update(symbol.encode() + funding[symbol].times.tobytes() + funding[symbol].rates.tobytes())
    return found.hexdigest()
