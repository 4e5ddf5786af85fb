"""How many replicas a list needs. Pure: observations in, decisions out; no clock, no input or output.

Work that comes at `arrivals` jobs a second and takes `service` seconds each keeps `arrivals * service` jobs in work at
any time (Little's law, L = lambda W; Little 1961). A replica works on `concurrency` of them, and is planned to be busy
for `_BUSY` of its time, because waits grow without bound as that nears 1. What already waits is to be gone within the
target wait. Replicas come at once and go slowly: only what was too many for the whole cool-down, on average, is taken
away, and none while the last change is younger than that: a new replica works after seconds, so that one too few is
cheaper than one too many.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

_BUSY = 0.9
_ALMOST = 0.05
"""Part of a replica that is not worth another one."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the policy may do.

    Attributes:
        least, most: replicas.
        target_wait: seconds a job may wait, as a rule.
        start_up: seconds until a new replica takes its first job.
        concurrency: jobs a replica really works on side by side.
        cool_down: seconds for which replicas must have been too many before some are taken away.
    """

    least: int
    most: int
    target_wait: float = 5.0
    start_up: float = 4.0
    concurrency: float = 2.0
    cool_down: float = 20.0


@dataclass(frozen=True, slots=True)
class Observation:
    """A list at one moment.

    Attributes:
        at: seconds, of any steady clock.
        replicas: those that are wanted at the moment.
        depth: jobs that wait.
        held: jobs that workers have.
        oldest: seconds the next job has waited.
        arrivals: jobs a second that came lately.
        service: seconds a job was worked on lately, on average; 0 while unknown.
        finished: jobs a second that ended lately.
    """

    at: float
    replicas: int
    depth: int
    held: int = 0
    oldest: float = 0.0
    arrivals: float = 0.0
    service: float = 0.0
    finished: float = 0.0


@dataclass(frozen=True, slots=True)
class Decision:
    """How many replicas there are to be, how many the load alone wants, and why."""

    replicas: int
    wanted: int
    reason: str
    changes: bool


@dataclass(slots=True)
class Policy:
    """Decides for one list; remembers what it wanted, when it changed something, and how much a replica can do."""

    bounds: Bounds
    _wanted: deque[tuple[float, int]] = field(default_factory=deque)
    _changed_at: float = -math.inf
    _rate: float = 0.0

    def decide(self, seen: Observation) -> Decision:
        """How many replicas there are to be from now on."""
        self._learn(seen)
        need, why = self._need(seen)
        wanted = min(max(need, self.bounds.least), self.bounds.most)
        if wanted < need:
            why += f", bound {self.bounds.most}"
        self._remember(seen.at, wanted)
        if wanted > seen.replicas:
            return self._changed(seen, wanted, wanted, why)
        lasting = min(seen.replicas, math.ceil(sum(count for _, count in self._wanted) / len(self._wanted) - _ALMOST))
        if lasting >= seen.replicas:
            return Decision(seen.replicas, wanted, why, changes=False)
        if seen.at - self._changed_at < self.bounds.cool_down or not self._covers(seen.at):
            return Decision(seen.replicas, wanted, f"{why}; cools down", changes=False)
        return self._changed(seen, lasting, wanted, f"{why}; {lasting} were enough for {self.bounds.cool_down:g} s")

    def _need(self, seen: Observation) -> tuple[int, str]:
        rate = self._rate or self.bounds.concurrency
        if seen.depth == seen.held == 0 and seen.arrivals == 0:
            return 0, "nothing to do"
        steady = seen.arrivals / (rate * _BUSY)
        late = seen.oldest > self.bounds.target_wait
        within = max(self.bounds.start_up if late else self.bounds.target_wait, 1.0)
        clearing = (seen.arrivals + seen.depth / within) / rate
        why = f"{seen.arrivals:.2f} jobs/s, {rate:.2f} jobs/s a replica, {seen.depth} wait, oldest {seen.oldest:.1f} s"
        least = 1 if seen.depth or seen.held else 0
        return max(least, math.ceil(min(max(steady, clearing), 1e6) - _ALMOST)), why

    def _learn(self, seen: Observation) -> None:
        """What a replica can do: by the time a job takes, or by what was done while more waited than could be."""
        if seen.depth > 0 and seen.replicas > 0 and seen.finished > 0 and seen.held >= seen.replicas:
            measured = seen.finished / seen.replicas
        elif seen.service > 0:
            measured = self.bounds.concurrency / seen.service
        else:
            return
        self._rate = measured if not self._rate else 0.9 * self._rate + 0.1 * measured

    def _remember(self, at: float, wanted: int) -> None:
        self._wanted.append((at, wanted))
        while len(self._wanted) > 1 and self._wanted[1][0] <= at - self.bounds.cool_down:
            self._wanted.popleft()

    def _covers(self, at: float) -> bool:
        return at - self._wanted[0][0] >= self.bounds.cool_down

    def _changed(self, seen: Observation, replicas: int, wanted: int, why: str) -> Decision:
        self._changed_at = seen.at
        return Decision(replicas, wanted, why, changes=True)


@dataclass(slots=True)
class Threshold:
    """The plain rule to compare with: one replica for so many waiting jobs, as KEDA's Redis list scaler has it.

    Its defaults: 5 jobs a replica, and a stabilisation window of 300 s before replicas go (KEDA, Redis Lists;
    Kubernetes, HorizontalPodAutoscaler, `behavior`).
    """

    bounds: Bounds
    jobs_a_replica: int = 5
    window: float = 300.0
    _wanted: deque[tuple[float, int]] = field(default_factory=deque)

    def decide(self, seen: Observation) -> Decision:
        """How many replicas there are to be from now on."""
        need = math.ceil(seen.depth / self.jobs_a_replica)
        wanted = min(max(need, self.bounds.least), self.bounds.most)
        self._wanted.append((seen.at, wanted))
        while self._wanted[0][0] < seen.at - self.window:
            self._wanted.popleft()
        lasting = max(count for _, count in self._wanted)
        replicas = max(wanted, min(lasting, seen.replicas))
        return Decision(replicas, wanted, f"{seen.depth} wait", changes=replicas != seen.replicas)
