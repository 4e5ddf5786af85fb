"""Loads to try a policy on: jobs with the second they come and the seconds they take. Pure, and the same for a seed."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Arrival(NamedTuple):
    """A job: when it comes, and how long a processor works on it, in seconds."""

    at: float
    takes: float


def diurnal(seed: int, hours: float = 24.0, mean_per_s: float = 1.0, takes: float = 1.5) -> list[Arrival]:
    """A day: three times as much at its height as at its depth, Poisson in between."""
    return _poisson(seed, hours, lambda s: mean_per_s * (1 + 0.5 * math.sin(2 * math.pi * s / 86_400)), takes)


def bursts(seed: int, hours: float = 8.0, takes: float = 1.5) -> list[Arrival]:
    """Little, and now and then 200 to 2,000 jobs at once: a report at the full hour, somebody's search."""
    generator = np.random.default_rng(seed)
    found = _poisson(seed, hours, lambda _: 0.2, takes)
    for hour in range(int(hours)):
        begin = hour * 3600 + float(generator.uniform(0, 3000))
        sizes = _times(generator, int(generator.integers(200, 2000)), takes)
        found += [Arrival(begin + 0.005 * number, size) for number, size in enumerate(sizes)]
    return sorted(found)


def one_huge_client(seed: int, hours: float = 8.0, takes: float = 1.5) -> list[Arrival]:
    """A steady flow, and one client who asks ten times as much as all others for an hour, then stops."""
    first, last = hours * 3600 / 3, hours * 3600 / 3 + 3600
    return _poisson(seed, hours, lambda s: 4.0 if first <= s < last else 0.4, takes)


def sparse(seed: int, hours: float = 24.0, takes: float = 20.0) -> list[Arrival]:
    """A long job every quarter of an hour or so: what scale to zero is for."""
    return _poisson(seed, hours, lambda _: 1 / 900, takes)


def recorded(lines: Iterable[str]) -> list[Arrival]:
    """From `crypto-mcp jobs --json` of a running system: finished jobs with `submitted_at` and `run_ms`."""
    rows = [json.loads(line) for line in lines if line.strip()]
    found = sorted((float(row["submitted_at"]), float(row["run_ms"]) / 1000) for row in rows)
    return [Arrival(at - found[0][0], takes) for at, takes in found]


LOADS: dict[str, Callable[[int], list[Arrival]]] = {
    "diurnal": diurnal,
    "bursts": bursts,
    "one huge client": one_huge_client,
    "sparse": sparse,
}


def _poisson(seed: int, hours: float, rate: Callable[[float], float], takes: float) -> list[Arrival]:
    """Arrivals of a rate that changes, by thinning (Lewis and Shedler 1979)."""
    generator = np.random.default_rng(seed)
    end = hours * 3600
    highest = max(rate(s) for s in np.linspace(0, end, 500))
    at = np.cumsum(generator.exponential(1 / highest, int(highest * end * 1.2) + 50))
    kept = at[(at < end) & (generator.uniform(size=len(at)) < np.array([rate(s) for s in at]) / highest)]
    return [Arrival(float(a), size) for a, size in zip(kept, _times(generator, len(kept), takes), strict=True)]


def _times(generator: np.random.Generator, count: int, mean: float) -> list[float]:
    """Log-normal with a coefficient of variation of 1: many short, few long."""
    sigma = math.sqrt(math.log(2))
    return [float(x) for x in generator.lognormal(math.log(mean) - sigma**2 / 2, sigma, count)]
