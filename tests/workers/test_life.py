"""A worker's life: starting, stopping in order, idling, living through outages of Redis."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from crypto_mcp.jobs import keys
from crypto_mcp.jobs.client import JobClient
from crypto_mcp.local.redis_server import RedisServer
from crypto_mcp.models.answers import JobState
from crypto_mcp.settings import QueueSettings
from tests.chaos.proxy import CuttingProxy
from tests.servers import free_ports
from tests.workers import kinds
from tests.workers.kinds import LIST
from tests.workers.rig import Rig, lines, until


async def test_sigterm_finishes_what_it_can_and_gives_back_the_rest(rig: Rig, tmp_path: Path) -> None:
    """Nothing new is taken, the short job ends, the long one is next on the list with its attempt not counted."""
    notes = tmp_path / "notes"
    worker = await rig.worker(max_jobs=2, shutdown_grace=2)
    short = await rig.submit(kinds.SLOW, seconds=1, n=1, file=str(notes))
    long = await rig.submit(kinds.SLOW, seconds=60, n=2, file=str(notes))
    waiting = await rig.submit(kinds.QUICK, n=3)
    for job in (short, long):
        await rig.reached(job, JobState.RUNNING)
    assert await worker.terminate() == 0
    assert (await rig.jobs.get(short)).state is JobState.DONE
    given_back = await rig.jobs.get(long)
    assert (given_back.state, given_back.attempts) == (JobState.QUEUED, 0)
    assert [json.loads(row)["id"] for row in await rig.redis.lrange(LIST, 0, -1)] == [waiting, long]  # type: ignore[misc]
    assert not await rig.redis.exists(keys.heartbeat(worker.name), keys.desk(worker.name))
    assert len(lines(notes)) == 2


async def test_an_idle_worker_stops_at_once(rig: Rig) -> None:
    worker = await rig.worker()
    assert await worker.terminate() == 0


async def test_an_idle_worker_costs_redis_under_two_commands_a_second(rig: Rig) -> None:
    """All default times a fifth as long, so that two seconds show what ten would; commands inside scripts count too."""
    faster = 5
    times = ("heartbeat_ttl", "heartbeat_every", "look_every", "block_for")
    await rig.worker(**{name: QueueSettings.model_fields[name].default / faster for name in times})
    await until(lambda: _waits(rig))
    await rig.redis.config_resetstat()
    await asyncio.sleep(4)
    stats: dict[str, dict[str, Any]] = await rig.redis.info("commandstats")
    ours = {"cmdstat_info", "cmdstat_config|resetstat"}
    calls = sum(row["calls"] for name, row in stats.items() if name not in ours)
    assert calls / 4 < 2 * faster, stats


async def _waits(rig: Rig) -> bool:
    """The worker is done with starting: it blocks on its list."""
    return bool((await rig.redis.info("clients"))["blocked_clients"])


async def test_a_redis_that_may_evict_jobs_is_refused(rig: Rig) -> None:
    await rig.redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        refused = rig.spawn()
        assert await asyncio.to_thread(refused.process.wait, 20) != 0
        assert "maxmemory-policy allkeys-lru" in (rig.folder / "workers.log").read_text()
        await rig.worker(allow_eviction="true")
    finally:
        await rig.redis.config_set("maxmemory-policy", "noeviction")


async def test_jobs_live_through_redis_being_killed_and_away(
    rig: Rig, redis_server: RedisServer, tmp_path: Path
) -> None:
    """What ran goes on, what waited is still there, nothing ends twice, the worker comes back by itself."""
    worker = await rig.worker()
    running = [await rig.submit(kinds.SLOW, seconds=1, n=n, file=str(tmp_path / "notes")) for n in range(4)]
    waiting = [await rig.submit(kinds.QUICK, n=n) for n in range(20)]
    for job in running:
        await rig.reached(job, JobState.RUNNING)
    await redis_server.kill()
    await asyncio.sleep(2)
    await redis_server.start()
    for job in [*running, *waiting]:
        record = await rig.ended(job, JobState.DONE)
        assert record.worker == worker.name
    assert len(lines(tmp_path / "notes")) == 4
    assert worker.process.poll() is None


async def test_cut_connections_lose_nothing(rig: Rig, redis_server: RedisServer) -> None:
    import random

    proxy = CuttingProxy(redis_server.port)
    await proxy.start()
    url = rig.settings.redis.queue_url.get_secret_value().replace(f":{redis_server.port}/", f":{proxy.port}/")
    await rig.worker(redis_url=url)
    jobs = [await rig.submit(kinds.SLOW, seconds=0.05, n=n) for n in range(100)]
    chance = random.Random(1)

    async def all_done() -> bool:
        proxy.cut(0.7, chance)
        await asyncio.sleep(0.2)
        records = await rig.jobs.recent(state=JobState.DONE, limit=1000)
        return {r.job_id for r in records} >= set(jobs)

    await until(all_done, 60)
    assert proxy.cuts > 5
    await proxy.stop()
    for job in jobs:
        assert await rig.places(job) == []


async def test_an_arrival_that_nobody_was_told_of_is_worked(rig: Rig) -> None:
    """As when a cut connection's last move is made late, when the worker has looked for strays already."""
    worker = await rig.worker()
    await until(lambda: _waits(rig))
    await rig.push({"kind": "quick", "params": {}, "id": "stray"}, keys.arriving(worker.name, LIST))
    await until(lambda: _done(rig, "stray"))
    assert await rig.places("stray") == []


async def test_redis_memory_does_not_grow_under_steady_load(rig: Rig) -> None:
    """Records and answers expire: after their time as many keys are left as before, however many jobs there were."""
    rig.jobs = JobClient(rig.redis, rig.settings.queue.model_copy(update={"recent": 50}))
    await rig.worker(record_ttl=1, answer_ttl=1)
    for job in [await rig.submit(kinds.QUICK, n=n, size=1000) for n in range(500)]:
        await until(lambda job=job: _over(rig, job))

    async def only_the_standing_keys() -> bool:
        left = [key.decode() async for key in rig.redis.scan_iter("*")]
        return not [key for key in left if key.startswith(("job:", "answer:", "same:", "arriving:", "cancels:"))]

    await until(only_the_standing_keys)
    assert await rig.redis.zcard(keys.RECENT) <= 50


async def _done(rig: Rig, job: str) -> bool:
    return bool(await rig.redis.hget(keys.job(job), "state") == b"done")  # type: ignore[misc]


async def _over(rig: Rig, job: str) -> bool:
    state = await rig.redis.hget(keys.job(job), "state")  # type: ignore[misc]
    return state in (None, b"done")


async def test_a_cache_on_another_redis_is_written_too(rig: Rig, tmp_path: Path) -> None:
    other = RedisServer(tmp_path / "cache", free_ports(1)[0], "other")
    await other.start()
    try:
        rig.settings = rig.settings.model_copy(
            update={"redis": rig.settings.redis.model_copy(update={"cache_url": _secret(other.url(0))})}
        )
        await rig.worker()
        await rig.ended(await rig.submit(kinds.CACHED, n=3), JobState.DONE)
        async with Redis.from_url(other.url(0)) as cache:
            await until(lambda: _cached(cache))
            assert 0 < await cache.ttl("cached:3") <= 90
    finally:
        await other.kill()


def _secret(url: str) -> Any:
    from pydantic import SecretStr

    return SecretStr(url)


async def _cached(cache: Redis) -> bool:
    return bool(await cache.exists("cached:3"))


async def test_one_process_may_work_on_several_lists(rig: Rig) -> None:
    await rig.worker("notifications:queue", LIST)
    await rig.push("garbage", "notifications:queue")
    await rig.ended(await rig.submit(kinds.QUICK), JobState.DONE)
    await until(lambda: _dead(rig, "notifications:queue"))


async def _dead(rig: Rig, name: str) -> bool:
    return bool(await rig.redis.llen(keys.dead(name)) == 1)


async def test_a_second_sigterm_changes_nothing(rig: Rig) -> None:
    worker = await rig.worker(shutdown_grace=2)
    job = await rig.submit(kinds.SLOW, seconds=1)
    await rig.reached(job, JobState.RUNNING)
    worker.send(signal.SIGTERM)
    assert await worker.terminate() == 0
    assert (await rig.jobs.get(job)).state is JobState.DONE
