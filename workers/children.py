"""CPU-bound work in a child process, so that the loop that renews the heartbeat stays free.

Cancelling the awaiting job, its timeout included, kills the child at once.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from anyio import CapacityLimiter, to_process

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")

_PR_SET_PDEATHSIG = 1

_cores = CapacityLimiter(os.cpu_count() or 1)


async def run_in_child(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """`function(*args, **kwargs)` in a child process, at most one a core; everything must be picklable."""
    return await to_process.run_sync(_with_parent, partial(function, *args, **kwargs), cancellable=True, limiter=_cores)


def _with_parent(work: Callable[[], R]) -> R:
    """Works, and dies with the worker: a child whose parent was killed would compute for nobody."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    return work()
