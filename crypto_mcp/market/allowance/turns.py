"""Waiting for one's turn: few at a time, in order of arrival, and no longer than the caller's patience."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from crypto_mcp.errors import SourceUnavailable
from crypto_mcp.market.allowance.asking import Priority, asking
from crypto_mcp.market.allowance.limiter import Go, Stopped, Wait

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from crypto_mcp.market.allowance.limiter import Limiter
    from crypto_mcp.market.allowance.pool import Pool

AT_ONCE = {Priority.INTERACTIVE: 8, Priority.SCAN: 8, Priority.ARCHIVE: 2}
"""Requests of a process on their way at a time, by priority and pool: when the first is refused, no more than these can
follow it into a ban. Those on their way hold up nobody of another priority."""

_LOOK_AGAIN = 5.0
"""Longest sleep between two looks: a limit may be raised, a stop may come."""


class SourceBusy(SourceUnavailable):
    """The allowance of the provider is used up for longer than the caller would wait; nothing was asked."""

    code = "source_busy"


class Halted(Exception):
    """Nobody may ask the provider at present."""

    def __init__(self, stopped: Stopped) -> None:
        super().__init__()
        self.stopped = stopped


class Turns:
    """Turns of one provider. One for a process and provider."""

    def __init__(self, limiter: Limiter, host: str) -> None:
        self._limiter = limiter
        self._host = host
        self._slots: dict[tuple[str, Priority], asyncio.Semaphore] = {}
        self._wait: dict[tuple[str, Priority], Wait] = defaultdict(lambda: Wait(1.0, 0, 0))

    @asynccontextmanager
    async def turn(self, pools: Mapping[Pool, int]) -> AsyncIterator[dict[Pool, Go]]:
        """A place and leave to ask at the given weights. Leave it as soon as the answer is there.

        Raises:
            SourceBusy: it would take longer than the caller's patience (`retry_after` says how long).
            Halted: the provider said to keep away.
        """
        priority, patience = asking().priority, asking().patience
        deadline = time.monotonic() + patience
        spot = (next(iter(pools)).name, priority)
        slot = self._slots.setdefault(spot, asyncio.Semaphore(AT_ONCE[priority]))
        try:
            async with asyncio.timeout(max(0.001, patience)):
                await slot.acquire()
        except TimeoutError:
            raise self._busy(self._wait[spot], patience) from None
        try:
            yield {pool: await self._leave(pool, weight, deadline, patience) for pool, weight in pools.items()}
        finally:
            slot.release()

    async def _leave(self, pool: Pool, weight: int, deadline: float, patience: float) -> Go:
        priority = asking().priority
        while True:
            leave = await self._limiter.reserve(pool, weight, priority)
            if isinstance(leave, Go):
                return leave
            if isinstance(leave, Stopped):
                raise Halted(leave)
            self._wait[pool.name, priority] = leave
            if time.monotonic() + leave.seconds > deadline:
                raise self._busy(leave, patience)
            await asyncio.sleep(min(leave.seconds, _LOOK_AGAIN))

    def _busy(self, wait: Wait, patience: float) -> SourceBusy:
        taken = f"{wait.used} of {wait.limit} are taken" if wait.limit else "many are waiting"
        return SourceBusy(
            f"the allowance of {self._host} is used up ({taken}) for longer than {patience:g} seconds",
            hint=f"Try again in {max(1, wait.seconds):.0f} seconds.",
            retry_after=round(max(1.0, wait.seconds), 1),
        )
