"""How often the verdict calls luck skill, and how often it finds a planted edge.

    python -m tests.calibration.false_discovery [--runs 1000]

Every run is a market without memory and a user who tries strategies that know nothing, and is shown the verdict on
the best. The table goes into docs/backtesting.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from crypto_mcp.backtest.luck.monte_carlo import RoundTrips, random_entries
from crypto_mcp.backtest.luck.trials import Span, TrialRun, TrialTable
from crypto_mcp.backtest.luck.verdict import LEVEL, Earlier, JudgedRun, judge, tally
from crypto_mcp.models.candles import Floats, Ints
from crypto_mcp.models.luck import Finding, Objective, Verdict

YEAR = 8760.0
BARS = 2190
COST = 0.0005
START = 1000.0

Market = Callable[[np.random.Generator], Floats]


def gaussian(generator: np.random.Generator) -> Floats:
    """Returns of one bar: normal, 0.8 %."""
    return generator.normal(0, 0.008, BARS)


def heavy(generator: np.random.Generator) -> Floats:
    """Student's t with 3 degrees of freedom: jumps as in crypto markets."""
    return np.clip(generator.standard_t(3, BARS) * 0.005, -0.5, 0.5)


def clustered(generator: np.random.Generator) -> Floats:
    """GARCH(1,1) with persistence 0.98: quiet weeks and wild ones."""
    noise = generator.standard_normal(BARS)
    moves, variance = np.empty(BARS), 6.4e-5
    for bar in range(BARS):
        moves[bar] = np.sqrt(variance) * noise[bar]
        variance = 1.28e-6 + 0.10 * moves[bar] ** 2 + 0.88 * variance
    return np.clip(moves, -0.5, 0.5)


def rising(generator: np.random.Generator) -> Floats:
    """A market that gains some 120 % a year: whoever is long earns, knowing nothing."""
    return generator.normal(0.00012, 0.008, BARS)


@dataclass(frozen=True)
class Trader:
    """Enters by the coin and holds for a while; knows nothing."""

    every: float = 15.0
    hold: float = 10.0
    both_sides: bool = True
    target: float = 0.0
    stop: float = 0.0

    def positions(self, moves: Floats, generator: np.random.Generator) -> tuple[Floats, Ints, Ints]:
        """Side held over each bar, and the first and last bar of each trade."""
        side = np.zeros(len(moves))
        entries, exits, bar = [], [], int(generator.geometric(1 / self.every))
        while bar < len(moves) - 1:
            sign = 1.0 if not self.both_sides or generator.random() < 0.5 else -1.0
            last = min(bar + int(generator.geometric(1 / self.hold)), len(moves) - 1)
            if self.target:
                path = np.cumsum(moves[bar : bar + 500]) * sign
                hits = np.flatnonzero((path >= self.target) | (path <= -self.stop))
                last = bar + (int(hits[0]) + 1 if len(hits) else len(path) - 1)
            side[bar:last] = sign
            entries.append(bar)
            exits.append(last)
            bar = last + int(generator.geometric(1 / self.every))
        return side, np.array(entries, dtype=np.int64), np.array(exits, dtype=np.int64)


Known = tuple[Floats, Ints, Ints]


def account(moves: Floats, known: Known) -> tuple[Floats, RoundTrips]:
    """Returns of an account that is wholly in the position, costs at both ends, and its trades."""
    side, entries, exits = known
    returns = side * moves
    np.subtract.at(returns, entries, COST)
    np.subtract.at(returns, np.minimum(exits, len(moves) - 1), COST)
    worth = np.concatenate([[1.0], np.cumprod(1 + returns)])
    trips = RoundTrips(
        entry=entries,
        exit=exits,
        gain=worth[exits] / worth[entries] - 1,
        cost=np.full(len(entries), 2 * COST),
        stake=side[entries],
    )
    return returns, trips


def searched(moves: Floats, tries: Iterator[Known], count: int, earlier: Earlier) -> tuple[Verdict, TrialTable]:
    """The verdict on the best of some tries."""
    span = Span(0, len(moves), YEAR, moves)
    table = TrialTable.blank(["try"], count, span)
    runs = []
    for row in range(count):
        returns, trips = account(moves, next(tries))
        table.record(row, [float(row)], TrialRun(START * np.cumprod(1 + returns), START, len(trips)), span)
        runs.append((returns, trips))
    best = table.best(Objective.SHARPE, 10)
    returns, trips = runs[best or 0]
    entered = random_entries(trips, np.cumprod(1 + moves), runs=500)
    luck = None if entered is None else entered.at_least(float(table.total_return[best or 0]))
    run = JudgedRun(returns, moves, len(trips), YEAR)
    verdict = judge(run, table=table if count > 1 else None, earlier=earlier, random_entries=luck)
    return verdict, table


def false_discoveries(
    market: Market, trader: Trader, tries: int, runs: int, *, jobs: int = 1, similar: int = 1, seed: int = 1
) -> tuple[float, float]:
    """Share of users told `unlikely_luck` by their last job, and by any of their jobs."""
    last = ever = 0
    for run in range(runs):
        generator = np.random.default_rng([seed, run])
        moves = market(generator)
        earlier, told = Earlier(), []
        for _ in range(jobs):
            drawn = _tries(moves, trader, similar, generator)
            verdict, table = searched(moves, drawn, tries, earlier)
            told.append(verdict.finding is Finding.UNLIKELY_LUCK)
            mine = tally(table)
            earlier = Earlier(*(a + b for a, b in zip(_parts(earlier), _parts(mine), strict=True)))
        last += told[-1]
        ever += any(told)
    return last / runs, ever / runs


def _parts(tally_: Earlier) -> tuple[int, float, float]:
    return tally_.trials, tally_.sharpe_sum, tally_.sharpe_squares


def _tries(moves: Floats, trader: Trader, similar: int, generator: np.random.Generator) -> Iterator[Known]:
    """Strategies, each followed by near copies of itself that skip a tenth of its trades."""
    while True:
        side, entries, exits = trader.positions(moves, generator)
        yield side, entries, exits
        for _ in range(similar - 1):
            keep = generator.random(len(entries)) > 0.1
            copy = side.copy()
            for begin, end in zip(entries[~keep], exits[~keep], strict=True):
                copy[begin:end] = 0
            yield copy, entries[keep], exits[keep]


def power(edge: float, tries: int, runs: int, *, seed: int = 7) -> float:
    """Share of searches that find a strategy after whose signal the market drifts by `edge` over ten bars."""
    found = 0
    for run in range(runs):
        generator = np.random.default_rng([seed, run])
        moves = gaussian(generator)
        signal = Trader(every=30, hold=10, both_sides=False).positions(moves, generator)
        for begin, end in zip(signal[1], signal[2], strict=True):
            moves[begin:end] += edge / 10
        others = _tries(moves, Trader(every=30, hold=10), 1, generator)

        def drawn(known: Known = signal, others: Iterator[Known] = others) -> Iterator[Known]:
            yield known
            yield from others

        verdict, _ = searched(moves, drawn(), tries, Earlier())
        found += verdict.finding is Finding.UNLIKELY_LUCK
    return found / runs


CASES: dict[str, Callable[[int], tuple[float, float]]] = {
    "one try, normal returns": lambda n: false_discoveries(gaussian, Trader(), 1, n),
    "one try, heavy tails": lambda n: false_discoveries(heavy, Trader(), 1, n),
    "one try, clustered volatility": lambda n: false_discoveries(clustered, Trader(), 1, n),
    "one try, long only in a rising market": lambda n: false_discoveries(rising, Trader(both_sides=False), 1, n),
    "one try, small targets and far stops": lambda n: false_discoveries(heavy, Trader(target=0.01, stop=0.08), 1, n),
    "best of 100, normal returns": lambda n: false_discoveries(gaussian, Trader(), 100, n),
    "best of 100, heavy tails": lambda n: false_discoveries(heavy, Trader(), 100, n),
    "best of 100, clustered volatility": lambda n: false_discoveries(clustered, Trader(), 100, n),
    "best of 100, long only in a rising market": lambda n: false_discoveries(rising, Trader(both_sides=False), 100, n),
    "best of 100, small targets and far stops": lambda n: false_discoveries(
        heavy, Trader(target=0.01, stop=0.08), 100, n
    ),
    "best of 100 near copies of 5": lambda n: false_discoveries(gaussian, Trader(), 100, n, similar=20),
    "10 jobs of 10 tries each": lambda n: false_discoveries(gaussian, Trader(), 10, n, jobs=10),
    "20 jobs of one try each": lambda n: false_discoveries(gaussian, Trader(), 1, n, jobs=20),
}


def main() -> None:
    """Prints both tables in Markdown."""
    parser = argparse.ArgumentParser(prog="python -m tests.calibration.false_discovery", description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    options = parser.parse_args()
    runs = options.runs
    print(f"| what knows nothing ({runs:,} runs each) | told skill at the level {LEVEL:.0%} | by any of its jobs |")
    print("|---|---|---|")
    for name, case in CASES.items():
        if options.only in name:
            last, ever = case(runs)
            print(f"| {name} | {last:.1%} | {ever:.1%} |", flush=True)
    print("\n| drift after the signal, over ten bars | found among 1 try | among 100 tries |\n|---|---|---|")
    for edge in (0.0, 0.005, 0.01, 0.02):
        if options.only in "power":
            few = max(20, runs // 5)
            print(f"| {edge:.1%} | {power(edge, 1, few):.0%} | {power(edge, 100, few):.0%} |", flush=True)


if __name__ == "__main__":
    main()
