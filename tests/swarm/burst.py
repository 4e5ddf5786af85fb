"""Two thousand backtests at once: how soon the autoscaler raises replicas, drains the list, and lets them go again.

In the middle of it replicas are taken away by hand, so that workers are stopped with jobs in work.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.swarm.engine import docker
from tests.swarm.load import a_backtest
from tests.swarm.verdict import ask_inside, fate

if TYPE_CHECKING:
    from tests.swarm.engine import Stack

_SERVICE = "worker-backtest"


@dataclass(slots=True)
class _Seen:
    """Replicas at moments, seconds after the burst came: wanted by the swarm, and running."""

    began: float
    rows: list[tuple[float, int, int]] = field(default_factory=list)

    async def watch(self, stack: Stack) -> None:
        """Until cancelled."""
        while True:
            wanted, running = await stack.wanted(_SERVICE), len(await stack.containers(_SERVICE))
            self.rows.append((time.monotonic() - self.began, wanted, running))
            await asyncio.sleep(0.5)

    def first(self, column: int, beyond: int, after: float = 0.0) -> float | None:
        """When there were first more than so many."""
        return next((round(row[0], 1) for row in self.rows if row[0] >= after and row[column] > beyond), None)

    def last_down(self) -> float | None:
        """When the last replica went, of those that the burst had brought."""
        low = min(row[1] for row in self.rows[-3:])
        above = [row[0] for row in self.rows if row[1] > low]
        return round(above[-1], 1) if above else None


async def burst(stack: Stack, jobs: int, within: float) -> dict[str, Any]:
    """The figures; `lost` is what did not end."""
    await _calm(stack, within)
    before = await stack.wanted(_SERVICE)
    rows = [json.dumps(a_backtest(number)) for number in range(jobs)]
    seen = _Seen(time.monotonic())
    watching = asyncio.create_task(seen.watch(stack))
    try:
        ids = await ask_inside(stack, "submit", rows)
        put_s = time.monotonic() - seen.began
        taken = await _take_away(stack, seen, within)
        end = await fate(stack, ids, within)
        drained_s = time.monotonic() - seen.began
        await _calm(stack, within)
        await asyncio.sleep(2)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    return {
        "jobs": len(ids),
        "replicas_before": before,
        "put_s": round(put_s, 1),
        "more_wanted_after_s": seen.first(1, before),
        "more_running_after_s": seen.first(2, before),
        "most_replicas": max(row[2] for row in seen.rows),
        "taken_away_by_hand": taken,
        "drained_after_s": round(drained_s, 1),
        "jobs_a_second": round(len(ids) / drained_s, 1),
        "all_gone_after_s": seen.last_down(),
        **end.as_dict(),
    }


async def _take_away(stack: Stack, seen: _Seen, within: float) -> int:
    """Once several run: all but one are stopped in the middle of their work; how many that were."""
    deadline = time.monotonic() + within
    while not (running := [row for row in seen.rows if row[2] >= 2]) or seen.rows[-1][0] - running[0][0] < 10:
        if time.monotonic() > deadline:
            return 0
        await asyncio.sleep(0.5)
    now = seen.rows[-1][2]
    await docker("service", "scale", "--detach", f"{stack.service(_SERVICE)}=1")
    return now - 1


async def _calm(stack: Stack, within: float) -> None:
    """Until the autoscaler has taken away what an earlier load had brought."""
    deadline, low, since = time.monotonic() + within, await stack.wanted(_SERVICE), time.monotonic()
    while time.monotonic() < deadline and time.monotonic() - since < 45:
        await asyncio.sleep(1)
        now = await stack.wanted(_SERVICE)
        if now != low:
            low, since = now, time.monotonic()
