"""From a list to a worker: takes what there is room for, wakes at once when something comes."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, TypeAlias

import structlog
from redis.exceptions import RedisError

from crypto_mcp.errors import StoreUnavailable
from crypto_mcp.jobs import keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis.asyncio import Redis

    from crypto_mcp.jobs.desk import Desk
    from workers.room import Room

Begin: TypeAlias = "Callable[[Intake, bytes], None]"

log = structlog.get_logger(__name__)

_PAUSE_AFTER_FAILURE = 0.25


class Intake:
    """One list's way into the worker.

    `begin(intake, raw)` is called with each envelope, a place in `room` held for it. Whoever handles the envelope calls
    `left(raw)` once it is no longer among the arrivals, and gives the place back when its job has ended.
    """

    def __init__(
        self,
        list_name: str,
        blocking: Redis,
        redis: Redis,
        desk: Desk,
        room: Room,
        begin: Callable[[Intake, bytes], None],
    ) -> None:
        self.list_name = list_name
        self.room = room
        self._blocking = blocking
        self._redis = redis
        self._desk = desk
        self._begin = begin
        self._arriving = keys.arriving(desk.worker, list_name)
        self._begun: Counter[bytes] = Counter()
        self._more_waiting = False

    async def run(self, block_for: float) -> None:
        """Until cancelled. A broken connection is waited out.

        Strays are looked for again and again: what a cut connection still had under way may move an envelope only after
        the look that follows the cut.
        """
        clock = asyncio.get_running_loop().time
        while True:
            try:
                await self._pick_up_strays()
                look_again = clock() + block_for
                while clock() < look_again:
                    await self._take(block_for)
            except (RedisError, OSError, StoreUnavailable) as error:
                log.warning("list out of reach", list=self.list_name, error=str(error))
                await asyncio.sleep(_PAUSE_AFTER_FAILURE)

    def left(self, raw: bytes) -> None:
        """An envelope that was begun is no longer among the arrivals."""
        self._begun[raw] -= 1
        if not self._begun[raw]:
            del self._begun[raw]

    async def _take(self, block_for: float) -> None:
        """One move: waits for an envelope when the list was empty, else takes as many as there is room for."""
        await self.room.enter()
        places = 1
        try:
            if self._more_waiting:
                places += self.room.enter_at_once()
                taken = await self._desk.take(self.list_name, places)
                self._more_waiting = len(taken) == places
            else:
                raw = await self._blocking.blmove(self.list_name, self._arriving, block_for, "RIGHT", "LEFT")  # type: ignore[arg-type]
                taken = [] if raw is None else [raw]
                self._more_waiting = bool(taken)
            for raw in taken:
                places -= 1
                self._start(raw)
        finally:
            self.room.leave(places)

    async def _pick_up_strays(self) -> None:
        """Begins what was put among the arrivals while the reply that told of it was lost with the connection."""
        seen: Counter[bytes] = Counter()
        for raw in reversed(await self._redis.lrange(self._arriving, 0, -1)):  # type: ignore[misc]
            seen[raw] += 1
            if seen[raw] > self._begun[raw]:
                await self.room.enter()
                self._start(raw)

    def _start(self, raw: bytes) -> None:
        self._begun[raw] += 1
        self._begin(self, raw)
