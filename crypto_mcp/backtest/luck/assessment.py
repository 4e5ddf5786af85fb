"""The verdict and the simulations of a run of the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crypto_mcp.backtest.luck.monte_carlo import LEAST_TRADES, RoundTrips, monte_carlo, random_entries
from crypto_mcp.backtest.luck.trials import market_returns
from crypto_mcp.backtest.luck.verdict import JudgedRun, judge
from crypto_mcp.backtest.statistics.returns import bar_returns

if TYPE_CHECKING:
    from crypto_mcp.backtest.luck.trials import TrialTable
    from crypto_mcp.backtest.luck.verdict import Earlier
    from crypto_mcp.backtest.prepare import Prepared
    from crypto_mcp.backtest.run import Run
    from crypto_mcp.models.candles import Floats
    from crypto_mcp.models.luck import MonteCarlo, Verdict

_YEAR_MS = 365 * 86_400_000


@dataclass(frozen=True, slots=True)
class Assessment:
    """What else could have happened, and whether it was luck."""

    monte_carlo: MonteCarlo
    verdict: Verdict


def assess_luck(
    run: Run, prepared: Prepared, *, table: TrialTable | None = None, earlier: Earlier | None = None
) -> Assessment:
    """Simulates and judges a run.

    Args:
        run, prepared: the only run, or the best of a search, over all bars.
        table: all trials of the search, that run among them.
        earlier: tries of earlier jobs on the same data, which are charged.
    """
    start = float(prepared.rules["capital"][0])
    returns = bar_returns(run.equity, start)
    trips = round_trips(run, start)
    entered = random_entries(trips, held_market(prepared))
    verdict = judge(
        JudgedRun(returns, market_returns(prepared.market.close), len(run.trades), _YEAR_MS / prepared.step),
        table=table,
        earlier=earlier,
        random_entries=None if entered is None else entered.at_least(float(run.equity[-1] / start - 1)),
        why_no_random_entries=f"{len(run.trades)} trades; at least {LEAST_TRADES} are needed",
    )
    return Assessment(monte_carlo(returns, trips, entered), verdict)


def held_market(prepared: Prepared) -> Floats:
    """Price of the market at every close: the symbol's, or of several an index that holds them alike."""
    return np.asarray(np.cumprod(1 + market_returns(prepared.market.close)), dtype=np.float64)


def round_trips(run: Run, start: float) -> RoundTrips:
    """The closed trades, by their entries, as shares of the account before each entry."""
    trades = run.trades[np.argsort(run.trades["entry_bar"], kind="stable")]
    worth = np.maximum(np.concatenate([[start], run.equity])[trades["entry_bar"]], 1e-9)
    value = trades["side"] * trades["entry_price"] * trades["quantity"]
    return RoundTrips(
        entry=trades["entry_bar"].copy(),
        exit=trades["exit_bar"].copy(),
        gain=trades["pnl"] / worth,
        cost=(trades["fees"] + trades["funding"]) / worth,
        stake=value / worth,
    )
