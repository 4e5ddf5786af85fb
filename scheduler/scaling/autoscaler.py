"""The leader's duty: look, decide, say, and (if told to) do."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson
import structlog
from redis.exceptions import RedisError

from crypto_mcp.errors import Unavailable
from crypto_mcp.jobs import keys
from crypto_mcp.jobs.scripting import unavailable
from scheduler.scaling.front_policy import FrontPolicy
from scheduler.scaling.policy import Bounds, Policy
from scheduler.scaling.seeing import Seeing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from redis.asyncio import Redis

    from crypto_mcp.jobs.client import JobClient
    from crypto_mcp.settings import ScalingSettings
    from scheduler.scaling.docker import Scales
    from scheduler.scaling.policy import Decision

log = structlog.get_logger(__name__)

GROUPS = {
    "worker-analysis": ("analysis:queue",),
    "worker-backtest": ("backtest:queue",),
    "worker-alerts": ("alerts:pending", "notifications:queue"),
}
"""Lists by the service that works on them."""

FRONT = "front"

_KEPT = 120


class Autoscaler:
    """Decides at every turn. Without `swarm` it only advises. `turn` raises `StoreUnavailable` if Redis is away."""

    def __init__(self, settings: ScalingSettings, jobs: JobClient, redis: Redis, swarm: Scales | None) -> None:
        self._settings = settings
        self._redis = redis
        self._swarm = swarm
        self._seeing = Seeing(jobs, redis)
        self._policies = {group: Policy(bounds) for group, bounds in bounds_of(settings).items()}
        self._front = FrontPolicy(*settings.front)
        self._said: dict[str, str] = {}

    async def turn(self) -> dict[str, Decision]:
        """The decisions of this turn, by service."""
        if self._settings.mode == "off":
            return {}
        seen = await self._seeing.look(GROUPS)
        wanted = await self._wanted()
        if wanted is None:
            return {}
        decisions = {}
        for group, observation in seen.items():
            told = replace(observation, replicas=wanted.get(group, observation.replicas))
            decisions[group] = decision = self._policies[group].decide(told)
            if decision.changes:
                await self._change(group, told.replicas, decision)
        replicas = {group: observation.replicas for group, observation in seen.items()}
        await self._fronts(wanted, replicas, decisions)
        await self._publish(replicas, decisions)
        return decisions

    async def _fronts(
        self, wanted: Mapping[str, int], replicas: dict[str, int], decisions: dict[str, Decision]
    ) -> None:
        """Front ends, by how busy they are."""
        reading = await self._seeing.look_at_fronts()
        if reading is None:
            return
        told = replace(reading, replicas=wanted.get(FRONT, reading.replicas))
        replicas[FRONT] = told.replicas
        decisions[FRONT] = decision = self._front.decide(told)
        if decision.changes:
            await self._change(FRONT, told.replicas, decision)

    async def _wanted(self) -> Mapping[str, int] | None:
        """What the swarm was told last, None if it does not say; living workers count where there is no swarm."""
        if self._swarm is None:
            return {}
        try:
            return await self._swarm.replicas()
        except Unavailable as error:
            self._say_once("swarm", error.message)
            return None

    async def _change(self, group: str, now: int, decision: Decision) -> None:
        what = {"service": group, "from": now, "to": decision.replicas, "reason": decision.reason}
        if self._settings.mode != "on" or self._swarm is None:
            self._say_once(group, f"{now} -> {decision.replicas}", reason=decision.reason)
            return
        try:
            await self._swarm.scale(group, decision.replicas)
        except Unavailable as error:
            log.warning("not scaled", error=error.message, **what)
        else:
            log.info("scaled", **what)

    def _say_once(self, subject: str, advice: str, **more: str) -> None:
        """Advice is not repeated at every turn."""
        if self._said.get(subject) != advice:
            self._said[subject] = advice
            log.info("scaling advice", subject=subject, advice=advice, **more)

    async def _publish(self, replicas: Mapping[str, int], decisions: Mapping[str, Decision]) -> None:
        """For metrics and `/health/infrastructure`: the newest decision of each service."""
        rows = {
            group: orjson.dumps(
                {
                    "replicas": replicas[group],
                    "wanted": decision.wanted,
                    "decided": decision.replicas,
                    "reason": decision.reason,
                    "mode": self._settings.mode,
                    "at": time.time(),
                }
            )
            for group, decision in decisions.items()
        }
        try:
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.hset(keys.SCALING, mapping=rows)
                for group, decision in decisions.items():
                    direction = "up" if decision.replicas > replicas[group] else "down"
                    if decision.changes:
                        pipe.hincrby(keys.SCALED, f"{group} {direction}", 1)
                pipe.expire(keys.SCALING, _KEPT)
                await pipe.execute()
        except (RedisError, OSError) as error:
            raise unavailable(error) from error


def bounds_of(settings: ScalingSettings) -> dict[str, Bounds]:
    """The bounds of each service."""
    given = {
        "worker-analysis": settings.analysis,
        "worker-backtest": settings.backtest,
        "worker-alerts": settings.alerts,
    }
    return {
        group: Bounds(
            least,
            most,
            target_wait=settings.target_wait,
            concurrency=settings.concurrency,
            cool_down=settings.cool_down,
        )
        for group, (least, most) in given.items()
    }
