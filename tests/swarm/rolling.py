"""Every program of ours is replaced by another version of its image, one container at a time, under load, and back."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

from tests.swarm.engine import docker, until

if TYPE_CHECKING:
    from tests.swarm.engine import Stack
    from tests.swarm.load import Tally

PROGRAMS = ("front", "worker-analysis", "worker-backtest", "worker-alerts", "scheduler")
_WITHIN = 900.0


async def roll(stack: Stack, tally: Tally, calm: float) -> list[dict[str, Any]]:
    """For each program: seconds the update took, and the calls that failed meanwhile, by reason."""
    rows = []
    for program in PROGRAMS:
        began, before = time.monotonic(), tally.submissions + tally.mcp_calls
        await _update(stack, program)
        await asyncio.sleep(calm)
        failed = tally.failed_since(began)
        rows.append(
            {
                "updated": program,
                "took_s": round(time.monotonic() - began - calm, 1),
                "calls": tally.submissions + tally.mcp_calls - before,
                "failed": failed.total(),
                "by_reason": dict(failed),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    return rows


async def _update(stack: Stack, program: str) -> None:
    """To the same image under another name, which the swarm takes for a new version."""
    service = stack.service(program)
    (found,) = json.loads(await docker("service", "inspect", service))
    image = found["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
    other = image.removesuffix("-rolled") if image.endswith("-rolled") else f"{image}-rolled"
    await docker("tag", image, other)
    await docker("service", "update", "--detach", "--no-resolve-image", "--image", other, service)

    async def over() -> bool:
        (now,) = json.loads(await docker("service", "inspect", service))
        state = (now.get("UpdateStatus") or {}).get("State")
        if state in ("paused", "rollback_started", "rollback_completed", "rollback_paused"):
            raise TimeoutError(f"{program} was not updated but {state}: {now['UpdateStatus'].get('Message')}")
        return state == "completed" and now["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] == other

    await until(over, _WITHIN, f"{program} is updated")
