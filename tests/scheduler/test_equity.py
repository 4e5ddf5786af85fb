"""The equity of portfolios is sampled once an hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from crypto_mcp.jobs.client import JobClient
from crypto_mcp.jobs.connection import connect
from scheduler.equity import EquitySampling

if TYPE_CHECKING:
    from crypto_mcp.settings import Settings

NOW = datetime(2026, 5, 4, 10, 20, tzinfo=UTC)


async def test_an_hour_is_sampled_once_whoever_leads(settings: Settings) -> None:
    """A scheduler that takes over asks for the same job, which is there already."""
    redis = connect(settings.redis.queue_url, settings.redis)
    jobs = JobClient(redis, settings.queue)
    first, second = EquitySampling(jobs), EquitySampling(jobs)
    assert await first.turn(NOW) == "equity-20260504T10"
    assert await first.turn(NOW + timedelta(minutes=20)) is None
    await second.turn(NOW)
    assert (await jobs.depths("analysis:queue"))["analysis:queue"] == 1
    await second.turn(NOW + timedelta(hours=1))
    assert (await jobs.depths("analysis:queue"))["analysis:queue"] == 2
    await redis.aclose()
