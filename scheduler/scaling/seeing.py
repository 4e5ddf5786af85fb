"""What the policy gets to see of the lists: depths and ages as they are, rates from what rose since the last looks."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

import orjson
from redis.exceptions import RedisError

from crypto_mcp.jobs import keys
from crypto_mcp.jobs.leases import known_workers
from crypto_mcp.jobs.scripting import unavailable
from scheduler.scaling.front_policy import FrontReading
from scheduler.scaling.policy import Observation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from redis.asyncio import Redis

    from crypto_mcp.jobs.client import JobClient

_RATES_OVER = 60.0


@dataclass(frozen=True, slots=True)
class _Look:
    at: float
    ended: int
    run_ms: int
    inside: int


class Seeing:
    """Looks at lists; the rates are those of the last minute."""

    def __init__(self, jobs: JobClient, redis: Redis) -> None:
        self._jobs = jobs
        self._redis = redis
        self._looks: dict[str, deque[_Look]] = {}

    async def look(self, groups: Mapping[str, Sequence[str]]) -> dict[str, Observation]:
        """Every group of lists that one service works on; `replicas` is the number of its living workers.

        Raises `StoreUnavailable`.
        """
        lists = [name for names in groups.values() for name in names]
        depths, ages, totals = await self._jobs.depths(*lists), await self._jobs.ages(*lists), await self._jobs.totals()
        alive = [info for info in (await known_workers(self._redis)).values() if info is not None]
        seen = {}
        for group, names in groups.items():
            workers = [info for info in alive if set(_strings(info.get("lists"))) & set(names)]
            depth, held = sum(depths[name] for name in names), sum(int(str(w.get("held", 0))) for w in workers)
            mine = [total for total in totals if total.list in names]
            run_ms = sum(total.counts.get("run_ms", 0) for total in mine)
            look = _Look(time.monotonic(), sum(total.ended for total in mine), run_ms, depth + held)
            arrivals, finished, service = self._rates(group, look)
            seen[group] = Observation(
                at=look.at,
                replicas=len(workers),
                depth=depth,
                held=held,
                oldest=max((ages[name] or 0.0 for name in names), default=0.0),
                arrivals=arrivals,
                service=service,
                finished=finished,
            )
        return seen

    async def look_at_fronts(self) -> FrontReading | None:
        """Averages of what front ends say of themselves; None while none says anything. Raises `StoreUnavailable`."""
        try:
            names = [key async for key in self._redis.scan_iter(f"{keys.FRONT_VITALS}*", count=500)]
            texts = [text for text in (await self._redis.mget(names) if names else []) if text is not None]
        except (RedisError, OSError) as error:
            raise unavailable(error) from error
        said = [orjson.loads(text) for text in texts]
        if not said:
            return None
        hosts = {name.decode().rsplit("-", 1)[0] for name in names}
        return FrontReading(
            at=time.monotonic(),
            replicas=len(hosts),
            cpu=fmean(each["cpu_percent"] for each in said),
            memory=fmean(each["memory_percent"] for each in said),
            p95_ms=fmean(each["p95_ms"] or 0.0 for each in said),
            calls=sum(each["calls"] for each in said),
        )

    def _rates(self, group: str, look: _Look) -> tuple[float, float, float]:
        """Arrivals and ends a second, and the seconds a job took, since the oldest look that is kept."""
        looks = self._looks.setdefault(group, deque())
        if looks and look.ended < looks[-1].ended:
            looks.clear()  # Redis was emptied
        while looks and looks[0].at < look.at - _RATES_OVER:
            looks.popleft()
        looks.append(look)
        first = looks[0]
        passed, ended = look.at - first.at, look.ended - first.ended
        if passed <= 0:
            return 0.0, 0.0, 0.0
        came = max(0, ended + look.inside - first.inside)
        return came / passed, ended / passed, (look.run_ms - first.run_ms) / 1000 / ended if ended else 0.0


def _strings(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else []
