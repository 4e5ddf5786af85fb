"""Parameter search: what is tried, what is kept of it, and that parts make the same whole."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import stats

from crypto_mcp.backtest.luck.search import parts, run_part, run_search
from crypto_mcp.backtest.luck.space import EmptySearch, candidates
from crypto_mcp.backtest.luck.trials import BLOCKS, Progress, Span, TrialRun, TrialTable, bucket_edges
from crypto_mcp.models.luck import Objective, Parameter, SearchSpec
from tests.backtest.walking import crossing, walk

YEAR = 8760.0
PAIR = [Parameter(name="fast", low=2, high=20, step=2), Parameter(name="slow", low=10, high=100, step=10)]


def span(first: int, last: int) -> Span:
    return Span(first, last, YEAR, np.sin(np.arange(last) / 7) / 100)


def spec(**changes: object) -> SearchSpec:
    return SearchSpec.model_validate({"parameters": PAIR, "ordered": [("fast", "slow")]} | changes)


def test_a_grid_is_every_point_in_order() -> None:
    """Ten by ten values, less those whose fast average is not faster."""
    rows = candidates(spec())
    expected = [(f, s) for f in range(2, 21, 2) for s in range(10, 101, 10) if f < s]
    assert rows.tolist() == [list(map(float, pair)) for pair in expected]


@pytest.mark.parametrize("method", ["grid", "random"])
def test_a_budget_below_the_grid_is_a_sample_without_repetition(method: str) -> None:
    rows = candidates(spec(method=method, trials=30))
    assert len(np.unique(rows, axis=0)) == 30
    assert (rows[:, 0] < rows[:, 1]).all()
    assert rows.tolist() == candidates(spec(method=method, trials=30)).tolist()
    assert rows.tolist() != candidates(spec(method=method, trials=30, seed=2)).tolist()


def test_a_sample_of_an_immense_grid_is_drawn_not_listed() -> None:
    wide = [Parameter(name=n, low=0, high=1, step=1e-4, integer=False) for n in ("a", "b", "c")]
    rows = candidates(SearchSpec(parameters=wide, method="random", trials=500, ordered=[("a", "b")]))
    assert len(np.unique(rows, axis=0)) == 500
    assert (rows[:, 0] < rows[:, 1]).all()
    assert stats.kstest(rows[:, 2], "uniform").pvalue > 1e-4


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"parameters": [Parameter(name=n, low=0, high=999, step=1) for n in "abc"], "ordered": []}, "20,000"),
        ({"parameters": [Parameter(name=n, low=0, high=1e9, step=1) for n in "abc"], "ordered": []}, "combinations"),
        ({"ordered": [("fast", "other")]}, "declared"),
        ({"parameters": [PAIR[0], PAIR[0]], "ordered": []}, "one name"),
        (
            {
                "method": "bayesian",
                "trials": 20_000,
                "parameters": [Parameter(name="a", low=0, high=30_000, step=1)],
                "ordered": [],
            },
            "Bayesian",
        ),
    ],
)
def test_an_impossible_search_is_refused_before_anything_runs(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        spec(**changes)


def test_a_parameter_without_room_is_refused() -> None:
    with pytest.raises(ValidationError, match="below low"):
        Parameter(name="a", low=2, high=1)
    with pytest.raises(ValidationError, match="whole"):
        Parameter(name="a", low=1.5, high=3)


def test_an_order_that_nothing_keeps_is_an_error_with_a_hint() -> None:
    with pytest.raises(EmptySearch) as error:
        candidates(spec(ordered=[("slow", "fast")], parameters=[PAIR[0], Parameter(name="slow", low=50, high=90)]))
    assert error.value.hint


def test_parts_joined_are_the_bytes_of_the_whole() -> None:
    """Whatever the part's size, and after the way through bytes that a part takes between workers."""
    run, search = crossing(walk(1000, 1)), spec()
    whole = run_search(run, search, span(100, 1000))
    pieces = [run_part(run, search, span(100, 1000), a, b) for a, b in parts(len(whole), 17)]
    joined = TrialTable.joined([TrialTable.from_bytes(piece.to_bytes()) for piece in pieces])
    for name, column in whole.columns.items():
        assert column.tobytes() == joined.columns[name].tobytes(), name
    assert (joined.names, joined.bars, joined.bars_per_year) == (whole.names, whole.bars, whole.bars_per_year)


@settings(max_examples=30)
@given(st.integers(20, 700), st.integers(0, 2**31), st.sampled_from([0.0, 1e-4, 0.01, 0.3]), st.floats(0.1, 1))
def test_a_trial_is_measured_as_numpy_and_scipy_measure_it(bars: int, seed: int, sigma: float, held: float) -> None:
    """Every figure, from curves that stand still to curves that lose nearly everything."""
    generator = np.random.default_rng(seed)
    returns = np.clip(generator.standard_t(4, bars) * sigma, -0.9, 3) * (generator.random(bars) < held)
    equity = 500 * np.cumprod(1 + returns)
    table = TrialTable.blank(["a"], 1, span(0, bars))
    table.record(0, [1.0], TrialRun(equity, 500.0, 7), span(0, table.bars))
    returns = np.diff(equity, prepend=500.0) / np.concatenate([[500.0], equity[:-1]])
    edges = bucket_edges(bars)
    sums = np.add.reduceat(returns, edges[:-1])
    assert table.sums[0] == pytest.approx(sums, rel=1e-5, abs=1e-6)
    peaks = np.maximum.accumulate(np.concatenate([[500.0], equity]))[1:]
    assert table.max_drawdown[0] == pytest.approx(np.max(1 - equity / peaks), abs=1e-12)
    assert table.total_return[0] == pytest.approx(equity[-1] / 500 - 1, abs=1e-12)
    if np.std(returns) > 1e-12:
        assert table.sharpe[0] == pytest.approx(np.mean(returns) / np.std(returns, ddof=1), rel=1e-9, abs=1e-12)
        assert table.skewness[0] == pytest.approx(stats.skew(returns), rel=1e-6, abs=1e-6)
        assert table.beta[0] == pytest.approx(stats.linregress(span(0, bars).held, returns).slope, rel=1e-4, abs=1e-6)
        assert table.kurtosis[0] == pytest.approx(stats.kurtosis(returns, fisher=False), rel=1e-6)
    blocks = edges[:: (len(edges) - 1) // BLOCKS]
    assert table.squares[0] == pytest.approx(np.add.reduceat(returns**2, blocks[:-1]), rel=1e-5, abs=1e-9)


def test_an_account_that_stands_still_has_no_ratios_and_one_that_is_lost_stays_lost() -> None:
    table = TrialTable.blank(["a"], 2, span(0, 100))
    table.record(0, [1.0], TrialRun(np.full(100, 50.0), 50.0, 0), span(0, table.bars))
    table.record(1, [2.0], TrialRun(np.concatenate([np.full(50, 40.0), np.zeros(50)]), 50.0, 20), span(0, table.bars))
    still, lost = table.trial(0), table.trial(1)
    assert (still.sharpe, still.sortino, still.calmar, still.max_drawdown) == (None, None, None, 0.0)
    assert (lost.total_return, lost.max_drawdown, lost.calmar) == (-1.0, 1.0, -1.0)
    assert table.best(Objective.SHARPE, least_trades=10) == 1


def test_a_search_tells_how_far_it_is_and_ends_when_told() -> None:
    """Early results carry the trials made so far; what was made is kept."""
    seen: list[Progress] = []

    def proceed(progress: Progress) -> bool:
        seen.append(progress)
        return progress.tried < 64

    table = run_search(crossing(walk(500, 2)), spec(), span(100, 500), proceed=proceed)
    assert [p.tried for p in seen] == [64]
    assert seen[0].planned == len(candidates(spec()))
    assert len(table) == len(seen[0].table) == 64


def test_a_bayesian_search_finds_the_hill_with_fewer_runs_and_repeats_itself() -> None:
    """The objective is a smooth hill; a tenth of the grid is enough to come near its top."""

    def hill(values: dict[str, float], first: int, last: int) -> TrialRun:
        height = 1 - ((values["fast"] - 23) / 50) ** 2 - ((values["slow"] - 61) / 100) ** 2
        return TrialRun(np.linspace(100, 100 * (2 + height), last - first), 100.0, 50)

    axes = [Parameter(name="fast", low=1, high=50, step=1), Parameter(name="slow", low=1, high=100, step=1)]
    search = SearchSpec(
        parameters=axes, method="bayesian", trials=120, objective=Objective.TOTAL_RETURN, ordered=[("fast", "slow")]
    )
    table = run_search(hill, search, span(0, 64))
    again = run_search(hill, search, span(0, 64))
    assert len(table) == 120
    assert len(np.unique(table.parameters, axis=0)) == 120
    assert (table.parameters[:, 0] < table.parameters[:, 1]).all()
    assert table.parameters.tobytes() == again.parameters.tobytes()
    assert table.total_return.max() > 0.97 * 2 - 0.02


def test_no_trial_that_hardly_trades_is_called_the_best() -> None:
    table = TrialTable.blank(["a"], 2, span(0, 100))
    rising = np.linspace(100, 200, 100)
    table.record(0, [1.0], TrialRun(rising**2 / 100, 100.0, 3), span(0, table.bars))
    table.record(1, [2.0], TrialRun(rising, 100.0, 30), span(0, table.bars))
    assert table.best(Objective.TOTAL_RETURN, least_trades=10) == 1
    assert table.best(Objective.TOTAL_RETURN, least_trades=100) is None


def test_ten_thousand_trials_are_small() -> None:
    """What is kept of a trial is a few hundred bytes, whatever the length of the data."""
    table = TrialTable.blank(["fast", "slow"], 10_000, span(0, 35_040))
    assert sum(column.nbytes for column in table.columns.values()) < 10_000_000
    assert len(BytesIO(table.to_bytes()).getvalue()) < 1_000_000
