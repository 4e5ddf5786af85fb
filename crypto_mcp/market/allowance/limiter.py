"""Asking leave before each request, of a count that all processes share through Redis (db 1).

Time is Redis's, corrected by what the provider's clock was measured to be ahead: windows turn when the provider's do.
"""

from __future__ import annotations

import math
import random
import time
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Protocol

import orjson
from redis.exceptions import RedisError

from crypto_mcp.market.allowance.asking import ALWAYS_RESERVED, RESERVED, Priority
from crypto_mcp.stores.cache import Outage

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.commands.core import AsyncScript

    from crypto_mcp.market.allowance.pool import Pool

_WITHOUT_REDIS = 1 / 16
"""Part of an allowance one process uses while Redis is away: half of an eighth, as if eight processes were running."""

_SPREAD = 0.15
"""Seconds over which those who waited for the same window come back."""


@dataclass(frozen=True, slots=True)
class Go:
    """The request may leave now. `window` is the one it was counted in."""

    window: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Not before so many seconds; `used` of `limit` are taken."""

    seconds: float
    used: int
    limit: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """Nobody may ask for so many seconds; `why` is what `Limiter.stop` was given."""

    seconds: float
    why: dict[str, Any]


Leave = Go | Wait | Stopped


@dataclass(frozen=True, slots=True)
class Said:
    """What a provider said of itself: weight used by its count, its limit, its time in ms; None if it did not."""

    used: int | None = None
    limit: int | None = None
    time: float | None = None


class Limiter(Protocol):
    """Keeps the count of pools. None of it raises: without its store it goes on with less."""

    async def reserve(self, pool: Pool, weight: int, priority: Priority) -> Leave:
        """Takes `weight` from the pool, or says when to ask again."""
        ...

    async def learn(self, pool: Pool, window: int, said: Said) -> None:
        """Takes the provider's word over ours. `window` as in `Go`."""
        ...

    async def stop(self, pool: Pool, seconds: float, why: dict[str, Any]) -> None:
        """Has everybody keep away from the pool, also those who start later."""
        ...

    async def knows_limit(self, pool: Pool) -> bool:
        """Whether the provider has told its limit within a day."""
        ...


@dataclass(slots=True)
class ProcessLimiter:
    """For one process alone: no Redis, or Redis away. `part` is the part of every allowance it may use."""

    part: float
    _used: dict[str, tuple[int, int]] = field(default_factory=dict)
    _stops: dict[str, tuple[float, dict[str, Any]]] = field(default_factory=dict)
    _limits: dict[str, int] = field(default_factory=dict)

    async def reserve(self, pool: Pool, weight: int, priority: Priority) -> Leave:
        """See `Limiter`."""
        now = time.time()
        until, why = self._stops.get(pool.name, (0.0, {}))
        if until > now:
            return Stopped(until - now, why)
        window = int(now // pool.seconds)
        begun, used = self._used.get(pool.name, (window, 0))
        used = used if begun == window else 0
        limit = self._limits.get(pool.name, pool.limit)
        left = (window + 1) * pool.seconds - now
        plan = limit * self.part * (0.5 if pool.halved else 1)
        reserved = max(ALWAYS_RESERVED[priority], RESERVED[priority] * left / pool.seconds)
        if used and used + weight > plan * (1 - reserved):
            return Wait(left + pool.guard / 1000, used, limit)
        self._used[pool.name] = window, used + weight
        return Go(window)

    async def learn(self, pool: Pool, window: int, said: Said) -> None:
        """See `Limiter`."""
        if said.limit is not None:
            self._limits[pool.name] = said.limit
        begun, used = self._used.get(pool.name, (window, 0))
        if said.used is not None and begun == window == int(time.time() // pool.seconds):
            self._used[pool.name] = window, max(used, said.used)

    async def stop(self, pool: Pool, seconds: float, why: dict[str, Any]) -> None:
        """See `Limiter`."""
        until = time.time() + seconds
        if until > self._stops.get(pool.name, (0.0, {}))[0]:
            self._stops[pool.name] = until, why

    async def knows_limit(self, pool: Pool) -> bool:
        """See `Limiter`."""
        return pool.name in self._limits


class SharedLimiter:
    """For all processes together. `part` is the part of every allowance they may use."""

    def __init__(self, redis: Redis, part: float) -> None:
        self._redis = redis
        self._part = part
        self._alone = ProcessLimiter(part * _WITHOUT_REDIS)
        self._outage = Outage("allowance")
        self._scripts = {name: redis.register_script(_source(name)) for name in ("reserve", "learn", "stop")}

    async def reserve(self, pool: Pool, weight: int, priority: Priority) -> Leave:
        """See `Limiter`."""
        part = self._part * (0.5 if pool.halved else 1)
        reply = await self._run(
            "reserve",
            _keys(pool, "window", "known", "stop"),
            (weight, pool.seconds * 1000, pool.limit, part, RESERVED[priority], ALWAYS_RESERVED[priority], pool.guard),
        )
        if reply is None:
            return await self._alone.reserve(pool, weight, priority)
        match reply:
            case [b"go", window, _, _]:
                return Go(int(window))
            case [b"stop", ms, why]:
                return Stopped(max(0, ms) / 1000, orjson.loads(why))
            case [_, ms, used, limit]:
                return Wait(ms / 1000 + random.uniform(0, _SPREAD), int(used), int(limit))  # noqa: S311 - no secret # nosec B311
        raise AssertionError(reply)

    async def learn(self, pool: Pool, window: int, said: Said) -> None:
        """See `Limiter`."""
        await self._alone.learn(pool, window, Said(limit=said.limit))
        words = ("" if value is None else value for value in (said.used, said.limit, said.time))
        await self._run("learn", _keys(pool, "window", "known"), (pool.seconds * 1000, pool.guard, window, *words))

    async def stop(self, pool: Pool, seconds: float, why: dict[str, Any]) -> None:
        """See `Limiter`."""
        await self._alone.stop(pool, seconds, why)
        await self._run("stop", _keys(pool, "stop"), (math.ceil(seconds * 1000), orjson.dumps(why)))

    async def knows_limit(self, pool: Pool) -> bool:
        """See `Limiter`."""
        if self._outage.lasts:
            return await self._alone.knows_limit(pool)
        try:
            return bool(await self._redis.hexists(_keys(pool, "known")[0], "limit"))  # type: ignore[misc]
        except (RedisError, OSError) as error:
            self._outage.begin(error)
            return await self._alone.knows_limit(pool)

    async def _run(self, name: str, keys: list[str], args: tuple[Any, ...]) -> Any:
        """The script's reply; None while Redis is away."""
        if self._outage.lasts:
            return None
        script: AsyncScript = self._scripts[name]
        try:
            reply = await script(keys=keys, args=args)
        except (RedisError, OSError) as error:
            self._outage.begin(error)
            return None
        self._outage.end()
        return reply


def _keys(pool: Pool, *names: str) -> list[str]:
    return [f"allowance:{pool.name}:{name}" for name in names]


@cache
def _source(name: str) -> str:
    return files("crypto_mcp.market.allowance").joinpath(f"{name}.lua").read_text()
