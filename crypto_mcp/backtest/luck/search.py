"""Parameter search: every trial is run, measured and let go; early results at any time; an end on request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crypto_mcp.backtest.luck.space import candidates
from crypto_mcp.backtest.luck.trials import Proceed, Progress, RunTrial, Span, TrialTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna.distributions import BaseDistribution
    from optuna.study import Study

    from crypto_mcp.models.luck import SearchSpec

_REPORT_EVERY = 64
_TRIES_A_TRIAL = 5


def run_search(run: RunTrial, search: SearchSpec, span: Span, *, proceed: Proceed | None = None) -> TrialTable:
    """All trials of a search over a span, whatever its method.

    Raises:
        EmptySearch: `ordered` forbids every parameter vector.
    """
    if search.method == "bayesian":
        return _learn(run, search, span, proceed)
    rows = len(candidates(search))
    return run_part(run, search, span, 0, rows, proceed=proceed)


def run_part(
    run: RunTrial,
    search: SearchSpec,
    span: Span,
    from_row: int,
    to_row: int,
    *,
    proceed: Proceed | None = None,
) -> TrialTable:
    """The trials `from_row` to `to_row` (excluded) of `candidates(search)`, for a grid or random search.

    Parts joined in their order (`TrialTable.joined`) are the same bytes as the whole.
    """
    vectors = candidates(search)[from_row:to_row]
    names = [p.name for p in search.parameters]
    table = TrialTable.blank(names, len(vectors), span)
    for row, values in enumerate(vectors):
        named = dict(zip(names, map(float, values), strict=True))
        table.record(row, values, run(named, span.first, span.last), span)
        if _stops(proceed, row + 1, len(vectors), table):
            return table[: row + 1]
    return table


def _stops(proceed: Proceed | None, tried: int, planned: int, table: TrialTable) -> bool:
    if proceed is None or (tried % _REPORT_EVERY and tried != planned):
        return False
    return not proceed(Progress(tried, planned, table[:tried]))


def _learn(run: RunTrial, search: SearchSpec, span: Span, proceed: Proceed | None) -> TrialTable:
    """A search by the tree-structured Parzen estimator (Bergstra et al. 2011), as optuna has it.

    A vector that breaks the order or was tried before is not run again and not counted.
    """
    candidates(search)  # an empty search is an error before anything is run
    names = [p.name for p in search.parameters]
    study, distributions = _study(search)
    table = TrialTable.blank(names, search.budget, span)
    seen: dict[tuple[float, ...], float] = {}
    for _ in range(_TRIES_A_TRIAL * search.budget):
        asked = study.ask(distributions)
        values = {name: float(asked.params[name]) for name in names}
        key = tuple(values.values())
        if key not in seen and _in_order(search, values):
            row = len(seen)
            table.record(row, key, run(values, span.first, span.last), span)
            seen[key] = _score(table, row, search)
            if _stops(proceed, row + 1, search.budget, table):
                break
        study.tell(asked, seen.get(key, _WORST))
        if len(seen) == search.budget:
            break
    return table[: len(seen)]


_WORST = -1e9


def _score(table: TrialTable, row: int, search: SearchSpec) -> float:
    value = float(table[row : row + 1].objective(search.objective)[0])
    return value if np.isfinite(value) and table.trades[row] >= search.least_trades else _WORST


def _in_order(search: SearchSpec, values: dict[str, float]) -> bool:
    return all(values[smaller] < values[larger] for smaller, larger in search.ordered)


def _study(search: SearchSpec) -> tuple[Study, dict[str, BaseDistribution]]:
    import optuna
    from optuna.distributions import FloatDistribution, IntDistribution

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=search.seed, n_startup_trials=max(10, search.budget // 5))
    distributions: dict[str, BaseDistribution] = {}
    for p in search.parameters:
        top = p.value(p.count - 1)
        if p.integer:
            distributions[p.name] = IntDistribution(int(p.low), int(top), step=int(p.spacing))
        else:
            distributions[p.name] = FloatDistribution(p.low, top, step=p.spacing)
    return optuna.create_study(direction="maximize", sampler=sampler), distributions


def parts(rows: int, size: int) -> Sequence[tuple[int, int]]:
    """A search of that many rows as parts of at most `size` rows."""
    return [(start, min(start + size, rows)) for start in range(0, rows, size)]
