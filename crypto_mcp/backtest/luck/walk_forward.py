"""Walk-forward analysis: choose on the past, trade what comes after, move on (Pardo 2008, chapter 11).

The data are cut into a past and equal windows after it. For every window the search is made on the bars before it (a
past of constant length that rolls, or all of it: anchored), and its best trial trades the window, from flat to flat.
The windows' equity, each going on where the one before ended, is what the procedure would have earned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from crypto_mcp.backtest.luck.search import run_search
from crypto_mcp.backtest.luck.trials import RunTrial, Span, TrialRun, TrialTable
from crypto_mcp.errors import NotEnoughData
from crypto_mcp.models.luck import WalkForwardReport, WalkForwardWindow

if TYPE_CHECKING:
    from crypto_mcp.models.candles import Floats
    from crypto_mcp.models.luck import SearchSpec, WalkForwardSpec

LEAST_BARS = 30
"""Of a window; a choice that trades fewer bars says nothing."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Bars of one window: the past from `past_first` to `first`, out of sample from there to `last` (excluded)."""

    past_first: int
    first: int
    last: int


@dataclass(frozen=True, slots=True, eq=False)
class WindowRun:
    """A window with what it was traded with.

    Attributes:
        window: as it is reported.
        growth: float64, equity out of sample over the capital it began with, a bar each.
        trials: of the search on the past.
    """

    window: WalkForwardWindow
    growth: Floats
    trials: int


def cuts(span: Span, spec: WalkForwardSpec) -> list[Cut]:
    """Where the windows lie; together they are the end of the span without gap or overlap.

    Raises:
        NotEnoughData: a window would have fewer than 30 bars.
    """
    length = span.bars / (spec.past + spec.windows)
    if length < LEAST_BARS:
        raise NotEnoughData(
            f"{span.bars:,} bars leave {length:.0f} for each of {spec.windows} windows after a past of {spec.past:g}",
            hint=f"Ask for fewer windows or a longer period: a window needs {LEAST_BARS} bars.",
        )
    past = round(spec.past * length)
    borders = np.linspace(span.first + past, span.last, spec.windows + 1).round().astype(int).tolist()
    return [Cut(span.first if spec.anchored else first - past, first, last) for first, last in pairwise(borders)]


def run_window(run: RunTrial, search: SearchSpec, span: Span, cut: Cut) -> WindowRun:
    """One window, whose search sees no bar of it or after it. Windows do not depend on each other."""
    past = replace(span, first=cut.past_first, last=cut.first)
    table = run_search(run, search, past)
    best = table.best(search.objective, search.least_trades)
    after = replace(span, first=cut.first, last=cut.last)
    growth, trades, out = np.ones(after.bars), 0, None
    if best is not None:
        tested = run(table.values(best), cut.first, cut.last)
        growth, trades = tested.equity / tested.start, tested.trades
        alone = TrialTable.blank(table.names, 1, after)
        alone.record(0, table.parameters[best], tested, after)
        out = _known(alone.objective(search.objective)[0])
    window = WalkForwardWindow(
        past_first=cut.past_first,
        first=cut.first,
        last=cut.last,
        parameters=None if best is None else table.values(best),
        in_sample=None if best is None else _known(table.objective(search.objective)[best]),
        out_of_sample=out,
        total_return=float(growth[-1] - 1),
        trades=trades,
    )
    return WindowRun(window, growth, len(table))


def run_walk_forward(
    run: RunTrial,
    search: SearchSpec,
    spec: WalkForwardSpec,
    span: Span,
    *,
    proceed: Callable[[int, int], bool] | None = None,
) -> list[WindowRun]:
    """All windows in their order; `proceed(done, planned)` is told after each, False ends it with what there is."""
    done: list[WindowRun] = []
    planned = cuts(span, spec)
    for cut in planned:
        done.append(run_window(run, search, span, cut))
        if proceed is not None and not proceed(len(done), len(planned)):
            break
    return done


def stitched(windows: Sequence[WindowRun]) -> Floats:
    """Out-of-sample equity of all windows, one after the other, of an account that began at 1."""
    parts, value = [], 1.0
    for window in windows:
        parts.append(window.growth * value)
        value = float(parts[-1][-1])
    return np.concatenate(parts)


def walk_forward_report(
    windows: Sequence[WindowRun], search: SearchSpec, spec: WalkForwardSpec, span: Span
) -> WalkForwardReport:
    """What the procedure earned out of sample."""
    equity = stitched(windows)
    rows = [w.window for w in windows]
    after = replace(span, first=rows[0].first, last=rows[-1].last)
    table = TrialTable.blank(["all"], 1, after)
    table.record(0, [0.0], _account(equity, rows), after)
    trial = table.trial(0)
    return WalkForwardReport(
        anchored=spec.anchored,
        objective=search.objective,
        trials=sum(w.trials for w in windows),
        windows=rows,
        total_return=trial.total_return,
        sharpe=trial.sharpe,
        max_drawdown=trial.max_drawdown,
        efficiency=_efficiency(rows),
        share_profitable=float(np.mean([row.total_return > 0 for row in rows])),
        same_choice=_same_choice(rows),
    )


def _account(equity: Floats, rows: Sequence[WalkForwardWindow]) -> TrialRun:
    return TrialRun(equity, 1.0, sum(row.trades for row in rows))


def _efficiency(rows: Sequence[WalkForwardWindow]) -> float | None:
    """Mean objective out of sample over the mean in sample, of windows that have both; None unless that is above 0."""
    both = [(r.in_sample, r.out_of_sample) for r in rows if r.in_sample is not None and r.out_of_sample is not None]
    inside = sum(pair[0] for pair in both)
    return sum(pair[1] for pair in both) / inside if inside > 0 else None


def _same_choice(rows: Sequence[WalkForwardWindow]) -> float:
    pairs = list(pairwise(row.parameters for row in rows))
    return sum(a == b for a, b in pairs) / len(pairs) if pairs else 1.0


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
