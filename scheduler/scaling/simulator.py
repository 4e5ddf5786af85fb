"""A policy on a load, without Docker and without waiting: what jobs waited and what it cost. Pure.

    python -m scheduler.scaling.simulator [--seed N] [--recorded FILE]

Replicas take a while to come and go at once after the job they have; each has `concurrency` processors, which take jobs
in the order they came. The policy sees what the real one sees, as often.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from scheduler.scaling.load import LOADS, Arrival, recorded
from scheduler.scaling.policy import Bounds, Decision, Observation, Policy, Threshold

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

EVERY = 5.0
_RATES_OVER = 60.0


class Decides(Protocol):
    """A policy."""

    def decide(self, seen: Observation) -> Decision:
        """How many replicas there are to be from now on."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a policy made of a load.

    Attributes:
        jobs: number of jobs.
        p50, p95, worst: seconds jobs waited.
        replica_hours: hours of all replicas, from being wanted to being gone.
        changes: times the number of replicas was changed.
        oscillations: times a change in one direction followed one in the other within five minutes.
    """

    jobs: int
    p50: float
    p95: float
    worst: float
    replica_hours: float
    changes: int
    oscillations: int


@dataclass(frozen=True, slots=True)
class Fixed:
    """As many as there may be, always: the least wait, at the highest price."""

    bounds: Bounds

    def decide(self, seen: Observation) -> Decision:
        """The most."""
        return Decision(self.bounds.most, self.bounds.most, "fixed", changes=self.bounds.most != seen.replicas)


class Simulation:
    """One run of a policy over a load."""

    def __init__(self, load: Sequence[Arrival], policy: Decides, bounds: Bounds) -> None:
        self._load, self._policy, self._bounds = load, policy, bounds
        self._slots = int(bounds.concurrency)
        self._waiting: deque[Arrival] = deque()
        self._busy: list[float] = []
        self._ready: list[float] = []
        self._replicas = bounds.least
        self._running = bounds.least
        self._waits: list[float] = []
        self._turns: list[tuple[float, int]] = []
        self._came: deque[float] = deque()
        self._ended: deque[tuple[float, float]] = deque()

    def run(self) -> Outcome:
        """Until every job is done and the replicas had time to go."""
        upcoming = iter(self._load)
        following = next(upcoming, None)
        end = (self._load[-1].at if self._load else 0.0) + 900.0
        cost = 0.0
        now = 0.0
        while now <= end or self._waiting or self._busy:
            while following is not None and following.at <= now + EVERY:
                self._serve_until(following.at)
                self._waiting.append(following)
                self._came.append(following.at)
                self._take(following.at)
                following = next(upcoming, None)
            self._serve_until(now + EVERY)
            cost += self._replicas * EVERY / 3600
            self._decide(now + EVERY)
            now += EVERY
        return self._outcome(cost)

    def _serve_until(self, moment: float) -> None:
        """Ends jobs and brings replicas in the order in which that happens."""
        while True:
            ends = self._busy[0] if self._busy else np.inf
            comes = self._ready[0] if self._ready else np.inf
            if min(ends, comes) > moment:
                return
            if ends <= comes:
                heapq.heappop(self._busy)
                self._take(ends)
            else:
                heapq.heappop(self._ready)
                self._running += 1
                self._take(comes)

    def _take(self, moment: float) -> None:
        while self._waiting and len(self._busy) < self._running * self._slots:
            job = self._waiting.popleft()
            self._waits.append(moment - job.at)
            heapq.heappush(self._busy, moment + job.takes)
            self._ended.append((moment + job.takes, job.takes))

    def _decide(self, now: float) -> None:
        decision = self._policy.decide(self._seen(now))
        change = decision.replicas - self._replicas
        if change > 0:
            for _ in range(change):
                heapq.heappush(self._ready, now + self._bounds.start_up)
        for _ in range(-change):
            if self._ready:
                self._ready.remove(max(self._ready))
                heapq.heapify(self._ready)
            else:
                self._running -= 1
        if change:
            self._turns.append((now, change))
        self._replicas = decision.replicas

    def _seen(self, now: float) -> Observation:
        while self._came and self._came[0] < now - _RATES_OVER:
            self._came.popleft()
        recent = [(at, takes) for at, takes in self._ended if now - _RATES_OVER <= at <= now]
        self._ended = deque((at, takes) for at, takes in self._ended if at >= now - _RATES_OVER)
        return Observation(
            at=now,
            replicas=self._replicas,
            depth=len(self._waiting),
            held=len(self._busy),
            oldest=now - self._waiting[0].at if self._waiting else 0.0,
            arrivals=len(self._came) / _RATES_OVER,
            service=float(np.mean([takes for _, takes in recent])) if recent else 0.0,
            finished=len(recent) / _RATES_OVER,
        )

    def _outcome(self, cost: float) -> Outcome:
        waits = np.array(self._waits or [0.0])
        reversals = sum(1 for (a, x), (b, y) in itertools.pairwise(self._turns) if (x > 0) != (y > 0) and b - a < 300)
        p50, p95 = np.percentile(waits, [50, 95])
        return Outcome(len(self._waits), float(p50), float(p95), float(waits.max()), cost, len(self._turns), reversals)


def policies(bounds: Bounds) -> dict[str, Callable[[], Decides]]:
    """What is compared: ours, the plain rule, and a number of replicas that never changes."""
    return {
        "ours": lambda: Policy(bounds),
        "threshold": lambda: Threshold(bounds),
        "fixed": lambda: Fixed(bounds),
    }


def compare(loads: dict[str, Sequence[Arrival]], bounds: Bounds) -> dict[tuple[str, str], Outcome]:
    """Every policy on every load."""
    return {
        (load, name): Simulation(jobs, make(), bounds).run()
        for load, jobs in loads.items()
        for name, make in policies(bounds).items()
    }


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description="Compare policies of scaling on loads.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--load", help="only this load")
    parser.add_argument("--most", type=int, default=8)
    parser.add_argument("--recorded", type=Path, help="a file made by `crypto-mcp jobs --json`")
    asked = parser.parse_args()
    loads: dict[str, Sequence[Arrival]] = {
        name: make(asked.seed) for name, make in LOADS.items() if asked.load in (None, name)
    }
    if asked.recorded:
        loads = {asked.recorded.name: recorded(asked.recorded.read_text().splitlines())}
    print("| load | policy | jobs | wait p50 s | wait p95 s | worst s | replica-hours | changes | oscillations |")
    print("|---|---|---|---|---|---|---|---|---|")
    for (load, policy), got in compare(loads, Bounds(least=0, most=asked.most)).items():
        print(
            f"| {load} | {policy} | {got.jobs} | {got.p50:.1f} | {got.p95:.1f} | {got.worst:.1f} "
            f"| {got.replica_hours:.1f} | {got.changes} | {got.oscillations} |"
        )


if __name__ == "__main__":
    main()
