"""A worker under chaos: the product's own, but each end that the queue accepted is noted outside."""

from __future__ import annotations

from typing import Any

from crypto_mcp import logs
from crypto_mcp.jobs.desk import Desk
from crypto_mcp.settings import Settings
from tests.chaos.kinds import CATALOGUE, note
from workers.main import run

_finish = Desk.finish


async def _noted_finish(self: Desk, job_id: str, attempt: int, *args: Any, **kwargs: Any) -> bool:
    ended = await _finish(self, job_id, attempt, *args, **kwargs)
    if ended:
        note("ended", job_id, attempt)
    return ended


if __name__ == "__main__":
    Desk.finish = _noted_finish  # type: ignore[method-assign]
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    logs.configure(settings.log)
    run(settings, ["analysis:queue"], CATALOGUE)
