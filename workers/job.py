"""A job as its handler sees it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crypto_mcp.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from workers.services import Services

_PROGRESS_EVERY = 0.1


class Resting(Exception):
    """A handler that waits for other jobs raises it: the job gives its place free and its handler is run again later.

    That counts as no attempt. What the handler did before it does again, or finds done.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"rests for {seconds:g} s")
        self.seconds = seconds


@dataclass(slots=True)
class Job:
    """What a handler may know of its job, and what it may use.

    Handlers are `async def handler(job: Job, params: P) -> R`. They raise a `CryptoMcpError` to fail (repeated by the
    queue when it is retryable), or arq's `Retry` to be run again at a time of their choice.
    """

    id: str
    kind: str
    attempt: int
    max_tries: int
    client: str
    trace: str
    services: Services
    _report: Callable[[float, str], Awaitable[None]] = field(repr=False)
    _reported_at: float = 0.0

    async def progress(self, fraction: float, words: str = "") -> None:
        """Tells whoever watches how far the job is, at most ten times a second."""
        now = time.monotonic()
        if now - self._reported_at < _PROGRESS_EVERY and fraction < 1:
            return
        self._reported_at = now
        try:
            await self._report(min(1.0, max(0.0, fraction)), words[:200])
        except StoreUnavailable:
            return  # progress is a courtesy; the job goes on
