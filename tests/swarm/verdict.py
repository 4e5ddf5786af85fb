"""What became of accepted jobs, asked of the queue itself."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.swarm.engine import DockerFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.swarm.engine import Stack

_INSIDE = Path(__file__).with_name("inside.py")
_WITNESS = "worker-alerts"


@dataclass(frozen=True, slots=True)
class Fate:
    """Of so many accepted jobs.

    Attributes:
        accepted: what callers were told.
        finished: jobs that ended, however.
        lost: jobs that nobody knows any more, or that did not end in time.
        dead: jobs given up after their last attempt.
        failed: by code, jobs that ended with an error of their own.
    """

    accepted: int
    finished: int
    lost: int
    dead: int
    failed: dict[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


async def fate(stack: Stack, job_ids: Sequence[str], within: float) -> Fate:
    """Waits until all jobs have ended, or the time is over."""
    deadline = time.monotonic() + within
    while True:
        said = await ask_inside(stack, "states", job_ids)
        if not said["open"] or time.monotonic() > deadline:
            break
        await asyncio.sleep(2)
    counts = said["counts"]
    finished = sum(count for state, count in counts.items() if state in ("done", "failed", "cancelled", "dead"))
    return Fate(len(job_ids), finished, len(job_ids) - finished, counts.get("dead", 0), said["errors"])


async def ask_inside(stack: Stack, what: str, lines: Sequence[str]) -> Any:
    """What `inside.py` prints in a container of the stack; tried again while that is being replaced."""
    given = "".join(f"{line}\n" for line in lines)
    for _ in range(10):
        try:
            said = await stack.inside(_WITNESS, "python", "-c", _INSIDE.read_text(), what, given=given)
        except DockerFailed as error:
            failure = error
            await asyncio.sleep(3)
        else:
            return json.loads(said.strip().splitlines()[-1])
    raise failure
