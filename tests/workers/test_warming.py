"""What a worker does while it is not warm yet."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from crypto_mcp.jobs.leases import known_workers
from crypto_mcp.models.answers import JobState
from tests.server.running import worker
from tests.workers import warming_kinds
from tests.workers.rig import Rig, until

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
async def _thawed() -> AsyncIterator[None]:
    warming_kinds.warm.clear()
    yield
    warming_kinds.warm.set()


async def _says_warm(rig: Rig) -> bool:
    return any(info is not None and info["warm"] for info in (await known_workers(rig.redis)).values())


async def test_a_kind_that_works_cold_is_answered_while_the_worker_warms_up(rig: Rig) -> None:
    """Its heartbeat says when it is warm."""
    async with worker(rig.settings, warming_kinds.CATALOGUE):
        await rig.ended(await rig.submit(warming_kinds.EAGER, n=1), JobState.DONE)
        assert not await _says_warm(rig)
        warming_kinds.warm.set()
        await until(lambda: _says_warm(rig))


async def test_other_kinds_stay_on_their_list_until_the_worker_is_warm(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a worker that is warm may take them."""
    monkeypatch.setattr(warming_kinds, "WORKS_COLD", False)
    async with worker(rig.settings, warming_kinds.CATALOGUE) as cold:
        job = await rig.submit(warming_kinds.EAGER, n=1)
        await until(lambda: _known(rig, cold.name))
        assert (await rig.jobs.get(job)).state is JobState.QUEUED
        warming_kinds.warm.set()
        await rig.ended(job, JobState.DONE)


async def _known(rig: Rig, name: str) -> bool:
    return name in await known_workers(rig.redis)


def test_a_worker_takes_jobs_before_the_libraries_that_draw_and_that_solve_are_imported() -> None:
    """They come while it warms up: the first analysis needs none of them."""
    program = (
        "import sys; from crypto_mcp.catalogue import CATALOGUE; from workers.handlers import prepare_process; "
        "prepare_process(CATALOGUE.on('analysis:queue')); "
        "print(*({'matplotlib', 'scipy.optimize', 'scipy.special', 'scipy.stats'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
