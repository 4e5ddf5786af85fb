"""The autoscaler: what its policy does on simulated loads, and what it sees and says of a real queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.jobs import keys
from crypto_mcp.jobs.client import JobClient
from crypto_mcp.models.analysis import AnalyzeParams
from crypto_mcp.models.timeframes import Timeframe
from crypto_mcp.settings import ScalingSettings
from scheduler.scaling.autoscaler import Autoscaler
from scheduler.scaling.front_policy import FrontPolicy, FrontReading
from scheduler.scaling.load import Arrival, bursts, recorded, sparse
from scheduler.scaling.policy import Bounds, Observation, Policy, Threshold
from scheduler.scaling.simulator import Simulation

if TYPE_CHECKING:
    from crypto_mcp.settings import Settings

BOUNDS = Bounds(least=0, most=8)

observations = st.builds(
    Observation,
    at=st.just(0.0),
    replicas=st.integers(0, 8),
    depth=st.integers(0, 10_000),
    held=st.integers(0, 200),
    oldest=st.floats(0, 10_000),
    arrivals=st.floats(0, 1000),
    service=st.floats(0, 1000),
    finished=st.floats(0, 1000),
)


@hypothesis_settings(max_examples=50)
@given(st.lists(observations, min_size=1, max_size=6), st.integers(0, 4))
def test_whatever_is_seen_the_bounds_hold_and_work_is_never_left_without_a_worker(
    seen: list[Observation], least: int
) -> None:
    """Replicas stay within the bounds, and where a job waits there is at least one."""
    policy = Policy(Bounds(least=least, most=8))
    for number, each in enumerate(seen):
        observation = Observation(**{name: getattr(each, name) for name in each.__slots__} | {"at": number * 5.0})
        decision = policy.decide(observation)
        assert min(least, observation.replicas) <= decision.replicas <= 8
        assert decision.replicas >= 1 or not observation.depth
        assert decision.reason


def test_a_burst_is_met_at_once_and_replicas_go_only_after_the_cool_down() -> None:
    """2,000 jobs bring all replicas in one step; they stay for the cool-down, then go, to none."""
    policy = Policy(BOUNDS)
    assert policy.decide(Observation(at=0, replicas=0, depth=2000)).replicas == 8
    idle = [policy.decide(Observation(at=at, replicas=8, depth=0)) for at in range(5, 20, 5)]
    assert {decision.replicas for decision in idle} == {8}
    replicas = 8
    for at in range(20, 80, 5):
        replicas = policy.decide(Observation(at=at, replicas=replicas, depth=0)).replicas
    assert replicas == 0


def test_on_bursts_it_waits_no_longer_than_a_plain_threshold_for_less() -> None:
    """The same 95th percentile of waits at most 80 % of the replica-hours, and a third of the changes."""
    load = bursts(seed=7, hours=2)
    ours, plain = Simulation(load, Policy(BOUNDS), BOUNDS).run(), Simulation(load, Threshold(BOUNDS), BOUNDS).run()
    assert ours.jobs == plain.jobs == len(load)
    assert ours.p95 <= plain.p95 * 1.02
    assert ours.replica_hours <= 0.8 * plain.replica_hours
    assert ours.changes < plain.changes


def test_sleeping_workers_cost_little_and_wake_up() -> None:
    """A long job every quarter of an hour: all are done, for less than half of what the threshold takes."""
    load = sparse(seed=3, hours=6)
    ours, plain = Simulation(load, Policy(BOUNDS), BOUNDS).run(), Simulation(load, Threshold(BOUNDS), BOUNDS).run()
    assert ours.jobs == len(load)
    assert ours.worst < 10 + 4 + 5
    assert ours.replica_hours < 0.7 * plain.replica_hours


def test_a_recorded_load_is_read_in_the_order_it_came() -> None:
    """Lines of `crypto-mcp jobs --json`, newest first as it prints them."""
    lines = ['{"submitted_at": 105.0, "run_ms": 1500}', "", '{"submitted_at": 100.0, "run_ms": 200}']
    assert recorded(lines) == [Arrival(0.0, 0.2), Arrival(5.0, 1.5)]


async def test_it_sees_what_waits_and_says_what_it_would_do(settings: Settings) -> None:
    """Without a swarm it advises: the decision and its reason are in Redis, for metrics."""
    async with Redis.from_url(settings.redis.queue_url.get_secret_value()) as redis:
        jobs = JobClient(redis, settings.queue)
        for timeframe in (Timeframe.H1, Timeframe.H4):
            await jobs.submit(CATALOGUE["analyze_crypto"], AnalyzeParams(symbol="BTCUSDT", timeframe=timeframe))
        decisions = await Autoscaler(ScalingSettings(mode="advice"), jobs, redis, None).turn()
        assert decisions["worker-analysis"].replicas == 1
        assert "2 wait" in decisions["worker-analysis"].reason
        assert decisions["worker-backtest"].replicas == 0
        kept = await redis.hgetall(keys.SCALING)
        assert orjson.loads(kept[b"worker-analysis"])["decided"] == 1
        await Autoscaler(ScalingSettings(mode="off"), jobs, redis, None).turn()


async def test_what_ended_is_counted_by_list_and_kind(settings: Settings) -> None:
    """A cancelled job is one that ended; waits and run times are only of those that ran."""
    async with Redis.from_url(settings.redis.queue_url.get_secret_value()) as redis:
        jobs = JobClient(redis, settings.queue)
        submitted = await jobs.submit(CATALOGUE["analyze_crypto"], AnalyzeParams(symbol="BTCUSDT"))
        assert await jobs.totals() == []
        await jobs.cancel(submitted.job_id)
        (total,) = await jobs.totals()
        assert (total.list, total.kind, dict(total.counts)) == ("analysis:queue", "analyze_crypto", {"cancelled": 1})
        assert total.ended == 1


def test_front_ends_come_when_one_figure_is_high_and_go_after_two_calm_minutes() -> None:
    """Busy or slow: more at once, within the bounds. Within a tenth of the target: nothing. Idle: fewer, later.

    Calls that take long while processors idle wait for something else, and more front ends would not help them.
    """
    policy = FrontPolicy(2, 8)
    assert policy.decide(FrontReading(at=0, replicas=2, cpu=90, memory=40, p95_ms=100)).replicas == 3
    assert policy.decide(FrontReading(at=2, replicas=3, cpu=20, memory=40, p95_ms=5000, calls=900)).changes is False
    assert policy.decide(FrontReading(at=3, replicas=3, cpu=45, memory=40, p95_ms=5000, calls=9)).changes is False
    assert policy.decide(FrontReading(at=5, replicas=3, cpu=45, memory=40, p95_ms=1500, calls=900)).replicas == 8
    assert policy.decide(FrontReading(at=10, replicas=8, cpu=62, memory=40, p95_ms=100)).changes is False
    calm = [policy.decide(FrontReading(at=at, replicas=8, cpu=10, memory=10, p95_ms=20)) for at in range(15, 130, 5)]
    assert {decision.replicas for decision in calm} == {8}
    assert policy.decide(FrontReading(at=140, replicas=8, cpu=10, memory=10, p95_ms=20)).replicas == 2
