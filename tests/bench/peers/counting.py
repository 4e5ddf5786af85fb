"""What every system's no-op does: count itself. The worker says when the last of a batch has run."""

from __future__ import annotations

import itertools
import os
import time

BATCH = int(os.environ.get("BENCH_BATCH", "0"))

_numbers = itertools.count(1)  # also safe in threads: next() of a count is one step
_began = 0.0


def count() -> None:
    """Called by each no-op; prints the seconds from the first to the last of the batch."""
    global _began  # noqa: PLW0603 - one counter a process is the point
    number = next(_numbers)
    if number == 1:
        _began = time.perf_counter()
    if number == BATCH:
        print(f"batch {time.perf_counter() - _began:.6f}", flush=True)
