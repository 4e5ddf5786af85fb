"""The parameter vectors a search tries, in an order that depends on the search alone.

Every worker computes the same rows, so that a part of a search is two row numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crypto_mcp.errors import InvalidRequest

if TYPE_CHECKING:
    from crypto_mcp.models.candles import Floats, Ints
    from crypto_mcp.models.luck import SearchSpec

_ENUMERATED = 2_000_000
"""Grids up to this size are listed and filtered; larger ones are drawn from."""


class EmptySearch(InvalidRequest):
    """No parameter vector keeps the declared order."""

    code = "empty_search"


def candidates(search: SearchSpec) -> Floats:
    """Rows of parameter values, (trials, parameters), in the order of `search.parameters`.

    A grid within its budget comes whole, in its own order; otherwise the rows are a sample without repetition, drawn
    with the search's seed. A Bayesian search has no rows of its own: what is returned is what a random one would try.

    Raises:
        EmptySearch: `ordered` forbids every point.
    """
    size = search.grid_size
    if size <= _ENUMERATED:
        points = _allowed(search, np.arange(size, dtype=np.int64))
        if len(points) > search.budget:
            order = np.random.default_rng(search.seed).permutation(len(points))[: search.budget]
            points = points[np.sort(order)] if search.method == "grid" else points[order]
    else:
        points = _drawn(search)
    if not len(points):
        raise EmptySearch(
            "no combination of the parameters keeps the order that is asked for",
            hint="Let the ranges of the ordered parameters overlap less: the first has to lie below the second.",
        )
    return _values(search, points)


def _drawn(search: SearchSpec) -> Ints:
    """Distinct allowed points of a grid too large to list; fewer than the budget where few are allowed."""
    generator = np.random.default_rng(search.seed)
    points = np.empty(0, dtype=np.int64)
    for _ in range(50):
        fresh = _allowed(search, generator.integers(0, search.grid_size, 2 * search.budget, dtype=np.int64))
        both = np.concatenate([points, fresh])
        points = both[np.sort(np.unique(both, return_index=True)[1])]
        if len(points) >= search.budget:
            break
    return points[: search.budget]


def _allowed(search: SearchSpec, points: Ints) -> Ints:
    values = _values(search, points)
    names = [p.name for p in search.parameters]
    keep = np.ones(len(points), dtype=np.bool_)
    for smaller, larger in search.ordered:
        keep &= values[:, names.index(smaller)] < values[:, names.index(larger)]
    return points[keep]


def _values(search: SearchSpec, points: Ints) -> Floats:
    """Point numbers as values; the last parameter varies fastest."""
    values = np.empty((len(points), len(search.parameters)))
    rest = points
    for column in reversed(range(len(search.parameters))):
        parameter = search.parameters[column]
        rest, place = np.divmod(rest, parameter.count)
        values[:, column] = parameter.low + place * parameter.spacing
    return values
