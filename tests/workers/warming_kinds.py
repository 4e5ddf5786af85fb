"""A kind whose warm-up takes until a test says so."""

from __future__ import annotations

import threading

from crypto_mcp.job_kind import Catalogue, JobKind
from tests.workers.kinds import LIST, Ask, Told
from workers.job import Job

WORKS_COLD = True
warm = threading.Event()


def warm_up() -> None:
    assert warm.wait(30)


async def eager(_: Job, params: Ask) -> Told:
    return Told(n=params.n)


EAGER = JobKind(
    "eager", LIST, Ask, Told, "tests.workers.warming_kinds:eager", "eager", "eager", timeout=60.0, max_tries=3
)
CATALOGUE = Catalogue((EAGER,))
