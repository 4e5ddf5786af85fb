"""Every hour the equity of every portfolio is sampled, by a job whose id is the hour: twice asked is once done."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.models.portfolio import SampleParams

if TYPE_CHECKING:
    from crypto_mcp.jobs.client import JobClient

log = structlog.get_logger(__name__)


class EquitySampling:
    """Submits the job of each hour once. Raises `StoreUnavailable` if the queue is away; the next turn tries again."""

    def __init__(self, jobs: JobClient) -> None:
        self._jobs = jobs
        self._last: datetime | None = None

    async def turn(self, now: datetime) -> str | None:
        """The id of the job, where this hour's was not submitted by us yet."""
        hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        if hour == self._last:
            return None
        job_id = f"equity-{hour:%Y%m%dT%H}"
        await self._jobs.submit(CATALOGUE["sample_portfolios"], SampleParams(at=hour), job_id=job_id)
        self._last = hour
        log.info("equity is to be sampled", hour=hour.isoformat(), job_id=job_id)
        return job_id
