"""What a search found: the best, what lies around it, and the map of two parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crypto_mcp.models.luck import HeatMap, Neighbourhood, SearchReport

if TYPE_CHECKING:
    from crypto_mcp.backtest.luck.trials import TrialTable
    from crypto_mcp.models.candles import Floats, Ints
    from crypto_mcp.models.luck import Parameter, SearchSpec

TOP = 10
CELLS = 24
"""Rows and columns of a heat map at most; finer grids share cells."""

_NEAR = 0.1


def search_report(table: TrialTable, search: SearchSpec, *, planned: int | None = None) -> SearchReport:
    """The search as it stands, complete or not.

    Args:
        table: the trials made so far.
        planned: trials that the search asks for; those of the table by default.
    """
    planned = len(table) if planned is None else planned
    values = np.where(table.trades >= search.least_trades, table.objective(search.objective), np.nan)
    order = np.argsort(np.where(np.isnan(values), np.inf, -values), kind="stable")
    top = [int(row) for row in order[:TOP] if not np.isnan(values[row])]
    known = values[~np.isnan(values)]
    return SearchReport(
        objective=search.objective,
        method=search.method,
        planned=planned,
        tried=len(table),
        complete=len(table) >= planned,
        best=table.trial(top[0]) if top else None,
        top=[table.trial(row) for row in top],
        median_objective=float(np.median(known)) if len(known) else None,
        share_positive=float(np.mean(table.total_return > 0)) if len(table) else 0.0,
        neighbourhood=neighbourhood(table, search, top[0]) if top else None,
        heat_map=heat_map(table, search),
    )


def neighbourhood(table: TrialTable, search: SearchSpec, best: int) -> Neighbourhood:
    """How the trials one step away from the best did; of a sparse sample those within a tenth of every range."""
    values = table.objective(search.objective)
    away = np.abs(table.parameters - table.parameters[best])
    steps = np.array([p.spacing for p in search.parameters])
    near = _within(away, steps, best)
    note = None
    if len(near) < len(steps):
        near = _within(away, np.maximum(steps, [_NEAR * (p.high - p.low) for p in search.parameters]), best)
        note = f"too few trials one step away: those within {_NEAR:.0%} of every range"
    found = values[near]
    found = found[~np.isnan(found)]
    top = float(values[best])
    if not len(found):
        return Neighbourhood(
            neighbours=0, best=top, median=None, worst=None, share_positive=None, robustness=None,
            note="no trial lies near the best one",
        )  # fmt: skip
    median = float(np.median(found))
    return Neighbourhood(
        neighbours=len(found),
        best=top,
        median=median,
        worst=float(found.min()),
        share_positive=float(np.mean(found > 0)),
        robustness=median / top if top > 0 else None,
        note=note,
    )


def _within(away: Floats, reach: Floats, best: int) -> Ints:
    rows = np.flatnonzero((away <= reach * (1 + 1e-9)).all(axis=1))
    near: Ints = rows[rows != best]
    return near


def heat_map(table: TrialTable, search: SearchSpec, x: str | None = None, y: str | None = None) -> HeatMap | None:
    """The objective over two parameters, by default the first two that vary; None with fewer, or without trials."""
    varying = [p.name for p in search.parameters if p.count > 1]
    names = [name for name in (x, y) if name is not None] or varying[:2]
    if len(names) < 2 or not len(table):
        return None
    axes = {p.name: p for p in search.parameters}
    columns, rows = (_cells(table, axes[name]) for name in names[:2])
    values = table.objective(search.objective)
    cells: list[list[float | None]] = [[None] * len(columns[1]) for _ in rows[1]]
    known = ~np.isnan(values)
    place = rows[0] * len(columns[1]) + columns[0]
    for cell in np.unique(place[known]).tolist():
        row, column = divmod(cell, len(columns[1]))
        cells[row][column] = float(np.median(values[known & (place == cell)]))
    return HeatMap(x=names[0], y=names[1], xs=columns[1], ys=rows[1], objective=search.objective, values=cells)


def _cells(table: TrialTable, parameter: Parameter) -> tuple[Ints, list[float]]:
    """Which cell each trial falls into, and the lowest value of every cell."""
    width = -(-parameter.count // CELLS)
    places = np.rint((table.parameters[:, table.names.index(parameter.name)] - parameter.low) / parameter.spacing)
    cells: Ints = places.astype(np.int64) // width
    return cells, [parameter.value(cell * width) for cell in range(-(-parameter.count // width))]
