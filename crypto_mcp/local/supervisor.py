"""Keeps children running: whatever ends is started again, and said."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from crypto_mcp.local.child import ended
from crypto_mcp.local.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from crypto_mcp.local.child import Child

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 10.0
_STEADY = 30.0
"""A child that ran for so long has recovered: the next pause is short again."""


class Supervisor:
    """Owner of the children. `say` tells people what happens, one line at a time."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._stages: dict[int, list[Child]] = {}
        self._keepers: list[asyncio.Task[None]] = []

    async def start(self, child: Child, *, stage: int) -> None:
        """Starts a child, raising if it cannot be, and from then on keeps it running.

        A child of a higher stage uses those of lower ones.
        """
        self._stages.setdefault(stage, []).append(child)
        await child.start()
        self._keep_up(self._keep(child))

    def start_soon(self, child: Child, *, stage: int) -> None:
        """Starts a child in the background, trying until it runs, and keeps it running."""
        self._stages.setdefault(stage, []).append(child)
        self._keep_up(self._start_and_keep(child))

    def _keep_up(self, work: Coroutine[Any, Any, None]) -> None:
        self._keepers.append(asyncio.create_task(work))

    async def stop(self) -> None:
        """Ends the highest stage first, so that nobody loses what it uses before it has ended."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for stage in sorted(self._stages, reverse=True):
            await asyncio.gather(*(child.stop() for child in self._stages[stage]))

    async def _start_and_keep(self, child: Child) -> None:
        try:
            await child.start()
        except LocalError as error:
            self._say(f"{child.name} does not start, next try in {_FIRST_PAUSE:.1f} s: {error.message}")
            await self._start_again(child, _FIRST_PAUSE)
        await self._keep(child)

    async def _keep(self, child: Child) -> None:
        pause = _FIRST_PAUSE
        while True:
            since = time.monotonic()
            status = await child.exited()
            if time.monotonic() - since > _STEADY:
                pause = _FIRST_PAUSE
            self._say(f"{child.name} {ended(status)}. Starting it again in {pause:.1f} s. Its log: {child.log}")
            pause = await self._start_again(child, pause)

    async def _start_again(self, child: Child, pause: float) -> float:
        """Tries until the child runs; the pause to make should it end again soon."""
        while True:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            try:
                await child.start()
            except LocalError as error:
                self._say(f"{child.name} does not start, next try in {pause:.1f} s: {error.message}")
            else:
                self._say(f"{child.name} is back")
                return pause
