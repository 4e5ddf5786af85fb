"""What to look at before a trade: each warning with its figure, its limit and how bad it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crypto_mcp.models.risk import RiskWarning

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from crypto_mcp.models.risk import Severity

_ORDER = {"danger": 0, "caution": 1, "info": 2}

OVER_RISK = (2.0, 5.0)
NOISE_ATR = (1.0, 0.5)
ILLIQUID = (1.0, 5.0)
SURGE = (1.75, 2.5)
COST_SHARE = (0.25, 0.5)
LIQUIDATION_ATR = 1.0


@dataclass(frozen=True, slots=True)
class Facts:
    """What the warnings are read from; None where it is not known or does not apply.

    Attributes:
        loss_percent: of the account, at the stop.
        stop_atr: stop distance in average true ranges.
        day_volume_percent: notional over the last day's volume.
        surge: volatility of the last day over the usual.
        cost_share: fees and slippage over the whole loss at the stop.
        liquidation_atr: from the stop to the liquidation price in ATR, negative if it comes before the stop.
        safe_leverage: highest whole leverage that keeps an ATR between the two, if this one does not; or None.
        leverage_over: asked leverage over what the ladder allows.
        reward_r: gain at the target in R.
        gap_percent: loss of the worst gap, of the account.
        possible: whether the exchange takes any quantity within the limits.
    """

    loss_percent: float
    stop_atr: float
    day_volume_percent: float
    surge: float
    cost_share: float
    liquidation_atr: float | None
    safe_leverage: int | None
    leverage_over: float | None
    reward_r: float | None
    gap_percent: float
    possible: bool


def warnings(facts: Facts) -> list[RiskWarning]:
    """All that apply, worst first."""
    return worst_first(_all(facts))


def worst_first(found: Iterable[RiskWarning]) -> list[RiskWarning]:
    """In the order in which they should be read."""
    return sorted(found, key=lambda warning: _ORDER[warning.severity])


def level(value: float, limits: tuple[float, float]) -> Severity | None:
    """None, caution or danger by two limits; falling limits warn of small values."""
    caution, danger = limits
    sign = 1 if danger > caution else -1
    if sign * value > sign * danger:
        return "danger"
    return "caution" if sign * value > sign * caution else None


def _all(facts: Facts) -> Iterator[RiskWarning]:
    graded = (
        ("over_risk", facts.loss_percent, OVER_RISK, "The stop loses {0:.2f} % of the account; {1:g} % is usual."),
        ("stop_inside_noise", facts.stop_atr, NOISE_ATR, "The stop is {0:.2f} ATR away; less than {1:g} is noise."),
        ("illiquid", facts.day_volume_percent, ILLIQUID, "The size is {0:.2f} % of the day's volume; {1:g} moves it."),
        ("news_volatility", facts.surge, SURGE, "The last day swung {0:.1f} times the usual; above {1:g} stops slip."),
        ("costs", facts.cost_share, COST_SHARE, "Costs are {0:.0%} of the loss at the stop; above {1:.0%} is much."),
    )  # fmt: skip
    for code, value, limits, words in graded:
        severity = level(value, limits)
        if severity is not None:
            yield RiskWarning(code=code, severity=severity, message=words.format(value, limits[0]))
    yield from _margin(facts)
    if not facts.possible:
        yield RiskWarning(
            code="below_minimum",
            severity="danger",
            message="The exchange takes no quantity that keeps to these limits.",
        )
    if facts.reward_r is not None and facts.reward_r < 1:
        yield RiskWarning(
            code="low_reward",
            severity="caution",
            message=f"The target gains {facts.reward_r:.2f} R, less than is risked.",
        )
    if facts.gap_percent > 2 * max(facts.loss_percent, 1e-9) and facts.gap_percent > OVER_RISK[0]:
        yield RiskWarning(
            code="gap",
            severity="caution",
            message=f"A bar like the worst one read would lose {facts.gap_percent:.1f} % of the account, stop or not.",
        )


def _margin(facts: Facts) -> Iterator[RiskWarning]:
    if facts.leverage_over is not None and facts.leverage_over > 1:
        yield RiskWarning(
            code="leverage", severity="danger", message="The leverage is above what the ladder allows at this notional."
        )
    if facts.liquidation_atr is None:
        return
    way_out = (
        "no leverage helps" if facts.safe_leverage is None else f"at {facts.safe_leverage}x or less an ATR lies between"
    )
    if facts.liquidation_atr <= 0:
        yield RiskWarning(
            code="liquidation_before_stop",
            severity="danger",
            message=f"It is liquidated before the stop is reached; {way_out}.",
        )
    elif facts.liquidation_atr < LIQUIDATION_ATR:
        yield RiskWarning(
            code="near_liquidation",
            severity="caution",
            message=f"Liquidation is {facts.liquidation_atr:.2f} ATR behind the stop, a gap may reach it; {way_out}.",
        )
