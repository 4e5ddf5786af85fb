"""What the front end can reach."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

import crypto_mcp
from crypto_mcp.errors import CryptoMcpError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_WITHIN = 1.0


@dataclass(slots=True)
class Check:
    """One system outside. `probe` returns if it answers; what it said holds for `good_for` seconds."""

    name: str
    probe: Callable[[], Awaitable[Any]]
    good_for: float = 1.0
    needed: bool = False
    _said: dict[str, Any] = field(default_factory=dict)
    _until: float = 0.0
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def state(self) -> dict[str, Any]:
        """`ok` with the milliseconds it took, or `away` with the reason."""
        async with self._asking:
            if time.monotonic() >= self._until:
                self._said = await self._ask()
                self._until = time.monotonic() + self.good_for
            return self._said

    async def _ask(self) -> dict[str, Any]:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(_WITHIN):
                await self.probe()
        except TimeoutError:
            return {"status": "away", "reason": f"no answer within {_WITHIN:g} s"}
        except CryptoMcpError as error:
            return {"status": "away", "reason": error.message}
        except (RedisError, OSError) as error:
            return {"status": "away", "reason": str(error) or type(error).__name__}
        return {"status": "ok", "ms": round((time.perf_counter() - began) * 1000, 2)}


class Health:
    """All checks, asked at once."""

    def __init__(self, checks: list[Check]) -> None:
        self._checks = checks

    async def report(self) -> dict[str, Any]:
        """`status` is `ok`, `degraded` (something is away, calls are still accepted) or `down`, and each check."""
        states = await asyncio.gather(*(check.state() for check in self._checks))
        away = [check for check, said in zip(self._checks, states, strict=True) if said["status"] != "ok"]
        status = "down" if any(check.needed for check in away) else "degraded" if away else "ok"
        checks = {check.name: said for check, said in zip(self._checks, states, strict=True)}
        return {"status": status, "version": crypto_mcp.__version__, "checks": checks}
