"""Each container of the stack is killed (SIGKILL) in its turn, while calls come steadily."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.swarm.engine import docker, until

if TYPE_CHECKING:
    from tests.swarm.engine import Stack
    from tests.swarm.load import Tally

VICTIMS = (
    "front", "worker-analysis", "worker-backtest", "worker-alerts", "scheduler", "docker-gate", "redis-queue",
    "redis-cache", "mongodb", "postgresql", "nginx",
)  # fmt: skip
"""By service; of the scheduler it is the one that leads."""

_BACK_WITHIN = 600.0


async def kill_each(
    stack: Stack, tally: Tally, calm: float, victims: tuple[str, ...] = VICTIMS
) -> list[dict[str, Any]]:
    """For each victim: seconds until the service was whole again, and the calls that failed meanwhile, by reason."""
    rows = []
    for victim in victims:
        # The autoscaler may have put it to sleep; a backtest wakes it.
        await until(partial(_there, stack, victim), _BACK_WITHIN, f"{victim} runs")
        container = await stack.leader() if victim == "scheduler" else (await stack.containers(victim))[0]
        began, before = time.monotonic(), tally.submissions + tally.mcp_calls
        await docker("kill", "--signal", "KILL", container)
        back: float | None = None
        with contextlib.suppress(TimeoutError):
            back = await until(partial(stack.whole, victim, without=container), _BACK_WITHIN, f"{victim} is whole")
        await asyncio.sleep(calm)
        failed = tally.failed_since(began)
        rows.append(
            {
                "killed": "scheduler (leader)" if victim == "scheduler" else victim,
                "back_s": None if back is None else round(back, 1),
                "calls": tally.submissions + tally.mcp_calls - before,
                "failed": failed.total(),
                "by_reason": dict(failed),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    return rows


async def _there(stack: Stack, service: str) -> bool:
    return bool(await stack.containers(service))
