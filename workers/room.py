"""How many jobs of a list a worker may still take."""

from __future__ import annotations

import asyncio
from collections import deque


class Room:
    """Places for jobs. A place is held from before an envelope is taken until its job has ended."""

    def __init__(self, places: int) -> None:
        self.free = places
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> None:
        """Waits for a place and holds it."""
        while self.free == 0:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._wake()
                raise
        self.free -= 1

    def enter_at_once(self) -> int:
        """Holds all free places and says how many."""
        got, self.free = self.free, 0
        return got

    def leave(self, places: int = 1) -> None:
        """Gives places back."""
        self.free += places
        for _ in range(places):
            self._wake()

    def _wake(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
