"""One request on behalf of all who want the same at the same time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Calling it runs `work`, or joins the run that is under way: its result is shared, and so is its failure.

    A caller that is cancelled leaves the run to the others.
    """

    def __init__(self, work: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._work = work
        self._running: asyncio.Task[T] | None = None

    async def __call__(self) -> T:
        """See the class."""
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._work())
            self._running.add_done_callback(_look_at)
        return await asyncio.shield(self._running)


def _look_at(task: asyncio.Task[Any]) -> None:
    """A failure that nobody waits for any more is no surprise."""
    if not task.cancelled():
        task.exception()
