"""What else the machine did during a run: a figure taken on a busy machine should say so."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil


def _busy() -> float:
    """Seconds all cores were busy so far, whoever used them; the host's own use (steal) included."""
    times = psutil.cpu_times()
    waiting = times.idle + getattr(times, "iowait", 0.0)
    return float(sum(times) - waiting - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0))


def _ours() -> float:
    """Seconds this process and its ended children used."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


@contextmanager
def watched(section: str) -> Iterator[None]:
    """Prints how much of the machine was used by others; every child must have ended inside."""
    busy, ours, began = _busy(), _ours(), time.perf_counter()
    yield
    seconds = time.perf_counter() - began
    others = max(0.0, (_busy() - busy) - (_ours() - ours)) / seconds
    print(f"\n{section}: {seconds:.0f} s; others used {others:.2f} of {os.cpu_count()} cores", flush=True)
