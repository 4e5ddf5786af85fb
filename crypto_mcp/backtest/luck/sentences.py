"""The verdict in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crypto_mcp.models.luck import Finding

if TYPE_CHECKING:
    from crypto_mcp.models.luck import Verdict


def sentence(verdict: Verdict) -> str:
    """One sentence that a person who knows no statistics understands."""
    if verdict.finding is Finding.TOO_FEW_TRADES:
        made = "no trade" if not verdict.trades else "1 trade" if verdict.trades == 1 else f"{verdict.trades} trades"
        return f"With {made} nothing can be said about skill or luck; at least 30 are needed."
    odds = percent(verdict.chance or 0.0)
    if verdict.trials == 1:
        tried = f"A single try without any edge would look this good by chance {odds} of the time"
    else:
        tried = (
            f"Of {verdict.trials:,} tries without any edge the best would look this good by chance {odds} of the time"
        )
    return f"{tried}: {_SO[verdict.finding]}"


_SO = {
    Finding.UNLIKELY_LUCK: "luck alone is an unlikely explanation.",
    Finding.UNCLEAR: "that is not enough to rule luck out.",
    Finding.LIKELY_LUCK: "most likely this is luck.",
    Finding.TOO_FEW_TRADES: "",
}


def percent(share: float) -> str:
    """`63 %`, `4.2 %`, `under 0.1 %`: as many digits as the figure can carry."""
    if share < 0.001:
        return "under 0.1 %"
    return f"{100 * share:.1f} %" if share < 0.0995 else f"{100 * min(share, 0.99):.0f} %"


def reasons(verdict: Verdict) -> list[str]:
    """What speaks for and against, one sentence a figure."""
    found = []
    if verdict.earlier_trials:
        found.append(
            f"{verdict.earlier_trials:,} earlier tries on the same data are charged: "
            "every look makes a lucky find likelier."
        )
    if verdict.random_entries is not None:
        enough = verdict.random_entries <= verdict.level
        what = "so the timing matters" if enough else "so the market, not the timing, may have earned it"
        found.append(
            f"Entering at random, as often and as long, did as well {percent(verdict.random_entries)} of the time, "
            f"{what}."
        )
    overfitting = verdict.probability_of_overfitting
    if overfitting is not None:
        what = "choosing by the past did not help" if overfitting >= 0.5 else "the choice tends to hold"
        found.append(
            f"The best on one half of the data was below the median on the other half in {percent(overfitting)} "
            f"of splits: {what}."
        )
    needed = verdict.minimum_track_record_days
    if needed is not None:
        enough = needed <= verdict.track_record_days
        have = "the record is long enough" if enough else f"the record has {verdict.track_record_days:,.0f}"
        found.append(f"Were it the only try, {needed:,.0f} days would be needed to trust its Sharpe ratio; {have}.")
    if verdict.expected_best_sharpe and verdict.sharpe is not None:
        found.append(
            f"Its Sharpe ratio is {verdict.sharpe:.2f}; if all differences between the tries are noise, the best "
            f"of so many is expected at {verdict.expected_best_sharpe:.2f}."
        )
    return found
