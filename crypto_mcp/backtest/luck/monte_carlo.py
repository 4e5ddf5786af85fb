"""What else could have happened: the same trades in another order, other days, fewer trades, higher costs, no skill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crypto_mcp.analysis.kernels import plain
from crypto_mcp.backtest.luck.resampling import enter_at_random, redraw_returns, redraw_trades
from crypto_mcp.backtest.statistics.bootstrap import mean_block
from crypto_mcp.models.luck import MonteCarlo, Percentiles, Scenario

if TYPE_CHECKING:
    from crypto_mcp.models.candles import Floats, Ints

RUNS = 1000
RUIN = 0.5
SKIPPED = 0.1
DEAREST = 3.0
LEAST_TRADES = 5

_MEANS = {
    "trade_shuffle": "The same trades in random order: the end is the same, the way there is not.",
    "block_bootstrap": "Returns drawn anew in blocks (stationary bootstrap): other days of the same kind.",
    "skipped_trades": f"Each trade missed with a chance of {SKIPPED:.0%}.",
    "cost_stress": f"Fees up to {DEAREST:g} times as high, drawn evenly from 1 to {DEAREST:g}.",
    "random_entries": "As many trades, as long, as large and as dear, at random times: what no skill earns here.",
}


@dataclass(frozen=True, slots=True)
class RoundTrips:
    """Closed trades as columns of one length, in the order of their entries.

    Attributes:
        entry: bar at whose open, or in which, it was opened.
        exit: bar at whose open, or in which, it was closed; not before `entry`.
        gain: profit after costs, as a share of the account at entry.
        cost: fees and funding paid, as a share of the account at entry.
        stake: value of the position as a share of the account at entry; shorts are negative.
    """

    entry: Ints
    exit: Ints
    gain: Floats
    cost: Floats
    stake: Floats

    def __len__(self) -> int:
        return len(self.entry)

    @property
    def holding(self) -> Ints:
        """Bars each trade was held, at least one."""
        held: Ints = np.maximum(self.exit - self.entry, 1)
        return held

    @property
    def apart(self) -> bool:
        """Whether no trade was opened before the one before it was closed, so that they fit side by side."""
        return bool((self.entry[1:] >= self.exit[:-1]).all())


@dataclass(frozen=True, slots=True)
class RandomEntries:
    """Final values of accounts (that began at 1) that entered at random."""

    paths: Floats

    def at_least(self, total_return: float) -> float:
        """Share of runs with at least this total return, the run itself counted among them (Phipson & Smyth 2010)."""
        better = np.count_nonzero(self.paths[:, 0] >= 1 + total_return)
        return float((better + 1) / (len(self.paths) + 1))


def random_entries(trips: RoundTrips, close: Floats, *, runs: int = RUNS, seed: int = 1) -> RandomEntries | None:
    """Accounts that hold as the trades did but enter at random; None with fewer than five trades.

    Trades that were never open together do not overlap in the simulated runs either.
    """
    if len(trips) < LEAST_TRADES:
        return None
    changes = np.empty(len(close))
    changes[0] = 0.0
    np.divide(np.diff(close), close[:-1], out=changes[1:])
    holding = np.minimum(trips.holding, len(close))
    paths = np.empty((runs, 3))
    enter_at_random(
        changes, holding, plain(trips.stake), plain(trips.cost), _fits(trips, len(close)), runs, seed, paths
    )
    return RandomEntries(paths)


def _fits(trips: RoundTrips, bars: int) -> bool:
    return trips.apart and int(trips.holding.sum()) <= bars


def monte_carlo(
    returns: Floats,
    trips: RoundTrips,
    entered: RandomEntries | None,
    *,
    runs: int = RUNS,
    ruin: float = RUIN,
    seed: int = 1,
) -> MonteCarlo:
    """Percentiles of what simulated runs end with and how deep they fall.

    Args:
        returns: of the account, a bar each.
        trips: its closed trades.
        entered: what `random_entries` gave for them.
        runs: simulated runs of each scenario.
        ruin: loss of the start capital that is called ruin, as a share.
        seed: the same seed gives the same figures.
    """
    scenarios: list[Scenario] = []
    absent: dict[str, str] = {}
    if len(trips) >= LEAST_TRADES:
        for name, shuffled, skip, dearest in (
            ("trade_shuffle", True, 0.0, 1.0),
            ("skipped_trades", False, SKIPPED, 1.0),
            ("cost_stress", False, 0.0, DEAREST),
        ):
            paths = np.empty((runs, 3))
            redraw_trades(plain(trips.gain), plain(trips.cost), runs, shuffled, skip, dearest, seed, paths)
            scenarios.append(_scenario(name, paths, ruin))
    else:
        few = f"{len(trips)} trades; at least {LEAST_TRADES} are needed"
        absent = dict.fromkeys(("trade_shuffle", "skipped_trades", "cost_stress", "random_entries"), few)
    if np.any(returns):
        paths = np.empty((runs, 3))
        redraw_returns(plain(returns), runs, mean_block(len(returns)), seed, paths)
        scenarios.insert(1, _scenario("block_bootstrap", paths, ruin))
    else:
        absent["block_bootstrap"] = "the account's value does not vary"
    if entered is not None:
        scenarios.append(_scenario("random_entries", entered.paths, ruin))
    return MonteCarlo(ruin=ruin, scenarios=scenarios, absent=absent)


def _scenario(name: str, paths: Floats, ruin: float) -> Scenario:
    return Scenario.model_validate(
        {
            "name": name,
            "means": _MEANS[name],
            "runs": len(paths),
            "final_return": _percentiles(paths[:, 0] - 1),
            "max_drawdown": _percentiles(paths[:, 2]),
            "risk_of_ruin": float(np.mean(paths[:, 1] <= 1 - ruin)),
            "share_profitable": float(np.mean(paths[:, 0] > 1)),
        }
    )


def _percentiles(values: Floats) -> Percentiles:
    p5, p25, p50, p75, p95 = map(float, np.percentile(values, (5, 25, 50, 75, 95)))
    return Percentiles(p5=p5, p25=p25, p50=p50, p75=p75, p95=p95)
