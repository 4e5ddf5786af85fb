"""What the fork server of `tests.forked` imports once: the worker, and the engines of its nursery, warm."""

from __future__ import annotations

import tests.workers.kinds
import workers.main
from workers.backtest_runs import warming

__all__ = ["tests", "workers"]

for _ in warming():
    pass
