"""Contracts of parameter search, walk-forward, Monte Carlo and the verdict on luck."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from crypto_mcp.models.answers import Contract
from crypto_mcp.models.brevity import KEPT, ON_REQUEST

MOST_TRIALS = 20_000
"""Trials of one search at most."""

MOST_BAYESIAN = 1_000
"""Trials of a Bayesian search at most: the sampler's own time grows with every trial."""

MOST_POINTS = 10**15
"""Combinations a search may be drawn from."""

_GRID_STEPS = 10


class Objective(StrEnum):
    """What a search makes as large as it can."""

    SHARPE = "sharpe"
    SORTINO = "sortino"
    CALMAR = "calmar"
    TOTAL_RETURN = "total_return"


class Parameter(Contract):
    """One number of a strategy that a search may choose."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,31}$", description="As the strategy writes it.")
    low: float = Field(ge=-1e9, le=1e9, description="Smallest value.")
    high: float = Field(ge=-1e9, le=1e9, description="Largest value, included.")
    step: float | None = Field(None, gt=0, description="Distance of grid values; without it ten values are tried.")
    integer: bool = Field(True, description="Whether only whole numbers make sense, as for a number of bars.")

    @model_validator(mode="after")
    def _range(self) -> Self:
        if self.high < self.low:
            raise ValueError(f"{self.name}: high {self.high:g} is below low {self.low:g}")
        if self.integer and any(v is not None and v != int(v) for v in (self.low, self.high, self.step)):
            raise ValueError(f"{self.name}: low, high and step are whole numbers, or set integer to false")
        return self

    @property
    def spacing(self) -> float:
        """Distance of neighbouring values; of whole numbers at least one."""
        if self.step is not None:
            return self.step
        width = (self.high - self.low) / (_GRID_STEPS - 1)
        return max(1.0, float(math.ceil(width))) if self.integer else width or 1.0

    @property
    def count(self) -> int:
        """Values on the grid."""
        return int(min((self.high - self.low) / self.spacing + 1e-9, 1e15)) + 1

    def value(self, index: int) -> float:
        """The grid value of that place, 0 the lowest."""
        return self.low + index * self.spacing


class SearchSpec(Contract):
    """Which parameters to try, how many times, and what is best."""

    parameters: list[Parameter] = Field(min_length=1, max_length=8)
    method: Literal["grid", "random", "bayesian"] = Field(
        "grid", description="Every grid point; a random sample of them; or a search that learns (TPE)."
    )
    trials: int | None = Field(
        None, ge=1, le=MOST_TRIALS, description="Runs at most; a grid without it is tried in full, others 200 times."
    )
    objective: Objective = Objective.SHARPE
    ordered: list[tuple[str, str]] = Field(
        [], max_length=8, description='Pairs whose first must stay below the second: `[["fast", "slow"]]`.'
    )
    least_trades: int = Field(
        10, ge=1, le=1000, description="Trials with fewer trades are counted, but never called the best."
    )
    seed: int = Field(1, ge=0, lt=2**31, description="The same seed gives the same trials.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [p.name for p in self.parameters]
        if len(set(names)) != len(names):
            raise ValueError("two parameters have one name")
        for pair in self.ordered:
            unknown = [name for name in pair if name not in names]
            if unknown or pair[0] == pair[1]:
                raise ValueError(f"ordered: {pair!r} must name two declared parameters")
        if self.grid_size > MOST_POINTS:
            raise ValueError(f"{self.grid_size:.1e} combinations: widen the steps or declare fewer parameters")
        if self.method == "bayesian" and self.budget > MOST_BAYESIAN:
            raise ValueError(
                f"a Bayesian search makes at most {MOST_BAYESIAN:,} trials: each learns from all before it"
            )
        if self.method == "grid" and self.trials is None and self.grid_size > MOST_TRIALS:
            raise ValueError(
                f"a grid of {self.grid_size:,} points is more than the {MOST_TRIALS:,} trials of one search: "
                "widen the steps, or use method random or bayesian"
            )
        return self

    @property
    def grid_size(self) -> int:
        """Points of the whole grid, those that `ordered` forbids included."""
        return math.prod(p.count for p in self.parameters)

    @property
    def budget(self) -> int:
        """Trials at most."""
        if self.trials is not None:
            return min(self.trials, self.grid_size)
        return self.grid_size if self.method == "grid" else min(200, self.grid_size)


class WalkForwardSpec(Contract):
    """Choose on the past, trade the bars after, move on."""

    windows: int = Field(10, ge=2, le=100, description="Out-of-sample parts.")
    anchored: bool = Field(False, description="Whether the past always begins at the first bar; otherwise it rolls.")
    past: float = Field(
        4.0, gt=0, le=50, description="Length of the past a choice is made on, in out-of-sample parts (rolling)."
    )


class Trial(Contract):
    """One run of a search."""

    parameters: dict[str, float]
    sharpe: float | None = Field(description="Per year.")
    sortino: float | None = Field(description="Per year.")
    calmar: float | None
    total_return: float = Field(description="Of the start capital; 0.1 is 10 %.")
    max_drawdown: float = Field(description="Of the peak; 0.2 is 20 %.")
    trades: int


class HeatMap(Contract):
    """The objective over two parameters; where others vary, the median of them."""

    x: str
    y: str
    xs: list[float]
    ys: list[float]
    objective: Objective
    values: list[list[float | None]] = Field(description="A row per y, a column per x; null was not tried.")


class Neighbourhood(Contract):
    """How the best does when its parameters are moved by one step: a plateau is robust, a needle is luck."""

    neighbours: int = Field(description="Trials one step away in one or more parameters.")
    best: float
    median: float | None
    worst: float | None
    share_positive: float | None = Field(description="Neighbours whose objective is above 0.")
    robustness: float | None = Field(description="Median of the neighbours over the best; near 1 is a plateau.")
    note: str | None = None


class SearchReport(Contract):
    """What a search found, whether it is finished or not."""

    objective: Objective
    method: Annotated[Literal["grid", "random", "bayesian"], ON_REQUEST]
    planned: int = Field(description="Trials that the search asks for.")
    tried: int
    complete: bool = Field(description="False for early results, and for a search that was cancelled.")
    best: Trial | None = Field(description="None while no trial has enough trades.")
    top: Annotated[list[Trial], ON_REQUEST]
    median_objective: float | None
    share_positive: float = Field(description="Trials with a profit.")
    neighbourhood: Neighbourhood | None
    heat_map: Annotated[HeatMap | None, ON_REQUEST] = None


class WalkForwardWindow(Contract):
    """One choice and what came after it."""

    past_first: int = Field(description="First bar of the past.")
    first: int = Field(description="First bar out of sample.")
    last: int = Field(description="Bar after the last out of sample.")
    parameters: dict[str, float] | None = Field(description="None: no trial traded enough; nothing was traded.")
    in_sample: float | None = Field(description="Objective on the past.")
    out_of_sample: float | None = Field(description="Objective on the bars after.")
    total_return: float = Field(description="Out of sample.")
    trades: int


class WalkForwardReport(Contract):
    """What the whole procedure, not one parameter set, would have earned."""

    anchored: bool
    objective: Objective
    trials: int = Field(description="Runs on the past, all windows together.")
    windows: Annotated[list[WalkForwardWindow], ON_REQUEST]
    total_return: float = Field(description="Stitched out of sample.")
    sharpe: float | None = Field(description="Stitched out of sample, per year.")
    max_drawdown: float
    efficiency: float | None = Field(
        description="Mean objective out of sample over that in sample (Pardo 2008); 1 is no loss, 0 is all of it."
    )
    share_profitable: float = Field(description="Windows with a profit.")
    same_choice: float = Field(description="Windows that chose as the window before did.")


class Percentiles(Contract):
    """Of one figure over all simulated runs."""

    p5: float
    p25: float
    p50: float
    p75: float
    p95: float


class Scenario(Contract):
    """One kind of simulated run."""

    name: Literal["trade_shuffle", "block_bootstrap", "skipped_trades", "cost_stress", "random_entries"]
    means: Annotated[str, ON_REQUEST] = Field(description="What was varied.")
    runs: Annotated[int, ON_REQUEST]
    final_return: Annotated[Percentiles, ON_REQUEST]
    max_drawdown: Annotated[Percentiles, ON_REQUEST]
    risk_of_ruin: float = Field(description="Runs that at some time had lost the stated share of the start capital.")
    share_profitable: float


class MonteCarlo(Contract):
    """What else could have happened."""

    ruin: float = Field(description="Loss of the start capital that is called ruin; 0.5 is half.")
    scenarios: list[Scenario]
    absent: dict[str, str] = Field({}, description="Scenarios that could not be simulated, and why.")


class Finding(StrEnum):
    """What the verdict comes to."""

    UNLIKELY_LUCK = "unlikely_luck"
    UNCLEAR = "unclear"
    LIKELY_LUCK = "likely_luck"
    TOO_FEW_TRADES = "too_few_trades"


class Verdict(Contract):
    """Is it luck? From all trials made, those of earlier jobs on the same data included."""

    finding: Annotated[Finding, KEPT]
    sentence: Annotated[str, KEPT] = Field(description="The verdict in plain words.")
    reasons: list[str]
    level: float = Field(description="False discoveries the finding `unlikely_luck` allows, as a share.")
    chance: float | None = Field(description="How often the best of so many tries would look this good by chance.")
    trials: int = Field(description="Tries charged: this job's and earlier ones on the same data.")
    earlier_trials: int
    trades: int
    sharpe: float | None = Field(description="Of the judged run, per year.")
    probabilistic_sharpe_ratio: float | None = Field(description="Probability that the true Sharpe ratio is above 0.")
    deflated_sharpe_ratio: float | None = Field(description="The same against the best expected of so many tries.")
    expected_best_sharpe: float | None = Field(description="Best Sharpe ratio expected by chance, per year.")
    probability_of_overfitting: float | None = Field(
        description="How often the best in sample falls below the median out of sample (CSCV)."
    )
    minimum_track_record_days: float | None = Field(
        description="Record needed to call the Sharpe ratio above 0 at the level, were there one try only."
    )
    track_record_days: float
    random_entries: float | None = Field(description="Share of runs with random entries that did as well or better.")
    absent: dict[str, str] = Field({}, description="Figures that are null, and why.")
