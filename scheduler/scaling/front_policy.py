"""How many front ends there are to be: by how busy they are and how long they take. Pure.

As many as bring the fullest of processors, memory and response time to its target, as Kubernetes' horizontal pod
autoscaler computes it (`ceil(replicas * value / target)`, no change within a tenth):
https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details
Response time counts only where more front ends could shorten it: many calls take long because they wait for a job, or
for a machine that is busy with other things, and a handful of calls says nothing.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from scheduler.scaling.policy import Decision

CPU_TARGET = 60.0
MEMORY_TARGET = 75.0
RESPONSE_TARGET_MS = 500.0
_TOLERANCE = 0.1
_STABLE_FOR = 120.0
_LEAST_CALLS = 20
_BUSY = 0.5
"""Part of the processors' target from which response time is taken for the front ends' own."""


@dataclass(frozen=True, slots=True)
class FrontReading:
    """Averages of all front ends: percent of processors and memory, 95th percentile in ms; replicas wanted; and the
    calls of the last minute, of all of them together."""

    at: float
    replicas: int
    cpu: float
    memory: float
    p95_ms: float
    calls: int = 0


@dataclass(slots=True)
class FrontPolicy:
    """Remembers what it wanted: front ends go only after two minutes in which fewer were enough."""

    least: int
    most: int
    _wanted: deque[tuple[float, int]] = field(default_factory=deque)

    def decide(self, seen: FrontReading) -> Decision:
        """How many there are to be from now on."""
        shares = {
            "processors": seen.cpu / CPU_TARGET,
            "memory": seen.memory / MEMORY_TARGET,
        }
        if seen.calls >= _LEAST_CALLS and shares["processors"] >= _BUSY:
            shares["response time"] = seen.p95_ms / RESPONSE_TARGET_MS
        what, share = max(shares.items(), key=lambda item: item[1])
        need = seen.replicas if abs(share - 1) <= _TOLERANCE else math.ceil(seen.replicas * min(share, 4.0))
        wanted = min(max(need, self.least), self.most)
        self._wanted.append((seen.at, wanted))
        while len(self._wanted) > 1 and self._wanted[1][0] <= seen.at - _STABLE_FOR:
            self._wanted.popleft()
        lasting = max(count for _, count in self._wanted)
        stable = seen.at - self._wanted[0][0] >= _STABLE_FOR
        replicas = wanted if wanted > seen.replicas or (lasting < seen.replicas and stable) else seen.replicas
        replicas = lasting if replicas < seen.replicas else replicas
        why = f"{what} at {share:.0%} of its target"
        return Decision(replicas, wanted, why, changes=replicas != seen.replicas)
