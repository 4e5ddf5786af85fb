"""The verdict: is what was found more than the best of many tries would show by chance?

`unlikely_luck` is said only if chance does as well in at most `level` of searches like this one, all tries charged,
and entries at random, as many and as long, do as well in at most `level` of runs. Both have to hold, so that false
discoveries stay below the level.
The false-discovery table in docs/backtesting.md is measured with this function.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crypto_mcp.backtest.luck.chance import chance_of_best, charged, timing
from crypto_mcp.backtest.luck.overfitting import LEAST_TRIALS, probability_of_overfitting
from crypto_mcp.backtest.luck.sentences import reasons, sentence
from crypto_mcp.backtest.luck.sharpe import (
    Record,
    chance_alone,
    expected_maximum,
    minimum_track_record,
    probabilistic_sharpe_ratio,
    record_of,
    z_score,
)
from crypto_mcp.models.luck import Finding, Verdict

if TYPE_CHECKING:
    from crypto_mcp.backtest.luck.trials import TrialTable
    from crypto_mcp.models.candles import Floats

LEVEL = 0.05
LEAST_TRADES = 30
"""Fewer trades carry no verdict: the ratio's distribution is not known well enough."""

_COIN = 0.5
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Earlier:
    """Tries of earlier jobs on the same data: how many, and sum and sum of squares of their Sharpe ratios per year."""

    trials: int = 0
    sharpe_sum: float = 0.0
    sharpe_squares: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class JudgedRun:
    """The run that is judged.

    Attributes:
        returns: float64, of the account, a bar each.
        market: float64, of holding the market over the same bars (`trials.market_returns`).
        trades: closed trades.
        bars_per_year: of the data.
    """

    returns: Floats
    market: Floats
    trades: int
    bars_per_year: float


def tally(tried: TrialTable | JudgedRun) -> Earlier:
    """What a job's tries, or its single one, add to the count that later jobs are charged; ratios within 100 of 0."""
    ratios = np.array([_ratio(tried)]) if isinstance(tried, JudgedRun) else tried.sharpe
    yearly = np.clip(np.nan_to_num(ratios * np.sqrt(tried.bars_per_year)), -100, 100)
    return Earlier(len(yearly), float(yearly.sum()), float(np.square(yearly).sum()))


def _ratio(run: JudgedRun) -> float:
    record = record_of(run.returns)
    return 0.0 if record is None else record.sharpe


def judge(
    run: JudgedRun,
    *,
    table: TrialTable | None = None,
    earlier: Earlier | None = None,
    random_entries: float | None = None,
    why_no_random_entries: str = "not simulated",
    level: float = LEVEL,
) -> Verdict:
    """The verdict on one run.

    Args:
        run: the best of a search, or the only run.
        table: all trials of the search, the judged one among them; None for a single run.
        earlier: tries of earlier jobs on the same data.
        random_entries: share of runs with random entries that did as well or better, None if not simulated.
        why_no_random_entries: why it is None.
        level: false discoveries that are allowed, as a share.
    """
    before = earlier or Earlier()
    tried = len(table) if table is not None else 1
    absent: dict[str, str] = {}
    record = record_of(run.returns)
    chance = _chance(record_of(timing(run.returns, run.market)), table, before) if record is not None else None
    overfitting = _overfitting(table, absent)
    if random_entries is None:
        absent["random_entries"] = why_no_random_entries
    verdict = Verdict(
        finding=_finding(run.trades, chance, random_entries, level),
        sentence="",
        reasons=[],
        level=level,
        chance=chance,
        trials=tried + before.trials,
        earlier_trials=before.trials,
        trades=run.trades,
        probability_of_overfitting=overfitting,
        track_record_days=len(run.returns) / run.bars_per_year * 365,
        random_entries=random_entries,
        **_ratios(record, table, before, run.bars_per_year, level, absent),
        absent=absent,
    )
    return verdict.model_copy(update={"sentence": sentence(verdict), "reasons": reasons(verdict)})


def _chance(record: Record | None, table: TrialTable | None, before: Earlier) -> float:
    if record is None:
        return 1.0  # it held the market and nothing else
    z = z_score(record)
    alone = chance_alone(record)
    if table is None or len(table) < 2:
        return charged(alone, 1, before.trials)
    return charged(max(alone, chance_of_best(table, z)), len(table), before.trials)


def _overfitting(table: TrialTable | None, absent: dict[str, str]) -> float | None:
    value = None if table is None else probability_of_overfitting(table)
    if value is None:
        absent["probability_of_overfitting"] = f"needs a search of at least {LEAST_TRIALS} trials that traded"
    return value


def _finding(trades: int, chance: float | None, random_entries: float | None, level: float) -> Finding:
    if trades < LEAST_TRADES or chance is None:
        return Finding.TOO_FEW_TRADES
    if chance <= level and (random_entries is None or random_entries <= level):
        return Finding.UNLIKELY_LUCK
    return Finding.LIKELY_LUCK if chance >= _COIN else Finding.UNCLEAR


def _ratios(
    record: Record | None,
    table: TrialTable | None,
    before: Earlier,
    bars_per_year: float,
    level: float,
    absent: dict[str, str],
) -> dict[str, float | None]:
    names = (
        "sharpe",
        "probabilistic_sharpe_ratio",
        "deflated_sharpe_ratio",
        "expected_best_sharpe",
        "minimum_track_record_days",
    )
    if record is None:
        absent.update(dict.fromkeys(names, "the account's value does not vary"))
        return dict.fromkeys(names)
    best = _expected_best(table, before, bars_per_year)
    needed = minimum_track_record(record, level)
    if needed is None:
        absent["minimum_track_record_days"] = "the Sharpe ratio is not above 0"
    root = float(np.sqrt(bars_per_year))
    figures = (
        record.sharpe * root,
        probabilistic_sharpe_ratio(record),
        probabilistic_sharpe_ratio(record, best / root),
        best,
        None if needed is None else needed / bars_per_year * 365,
    )
    return dict(zip(names, figures, strict=True))


def _expected_best(table: TrialTable | None, before: Earlier, bars_per_year: float) -> float:
    """The best Sharpe ratio per year expected of all tries, from the variance of all tries' ratios."""
    here = tally(table) if table is not None else Earlier()
    trials = here.trials + before.trials
    if trials < 2:
        return 0.0
    mean = (here.sharpe_sum + before.sharpe_sum) / trials
    squares = (here.sharpe_squares + before.sharpe_squares) / trials
    return expected_maximum(max(0.0, squares - mean * mean) * trials / (trials - 1), trials)
