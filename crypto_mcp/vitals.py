"""How this process's machine or container stands: processor and memory, as parts of what it may use.

In a container with limits its cgroup tells (v2, else v1), otherwise the kernel's figures of the whole machine.
https://docs.kernel.org/admin-guide/cgroup-v2.html, proc(5)
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_PROC = Path("/proc")
_UNLIMITED = 1 << 60


@dataclass(frozen=True, slots=True)
class Vital:
    """Percent of the processors and of the memory there are, this process's memory in MB, and its open files."""

    cpu_percent: float
    memory_percent: float
    rss_mb: float
    files: int


class Vitals:
    """Takes the pulse. Processor use is that since the last time, of the whole machine or container."""

    def __init__(self, cgroup: Path = _CGROUP, proc: Path = _PROC) -> None:
        self._cgroup, self._proc = cgroup, proc
        self._last = self._used()

    def take(self) -> Vital:
        """How it stands now."""
        before, self._last = self._last, self._used()
        passed = self._last[1] - before[1]
        busy = (self._last[0] - before[0]) / passed if passed > 0 else 0.0
        return Vital(
            round(min(100.0, 100 * busy), 1), round(self._memory(), 1), round(self._rss(), 1), self._open_files()
        )

    def _used(self) -> tuple[float, float]:
        """Seconds that processors were busy, and seconds they could have been."""
        allowed = self._processors()
        if allowed is not None:
            used = self._number("cpu.stat", "usage_usec")
            if used is not None:
                return used / 1e6, time.monotonic() * allowed
            used = self._number("cpuacct/cpuacct.usage")
            if used is not None:
                return used / 1e9, time.monotonic() * allowed
        words = (self._proc / "stat").read_text().split("\n", 1)[0].split()[1:9]
        ticks = [int(word) for word in words]
        return float(sum(ticks) - ticks[3] - ticks[4]), float(sum(ticks))

    def _processors(self) -> float | None:
        """How many processors the container may use; None if as many as there are."""
        text = self._text("cpu.max")
        if text is not None:
            quota, period = text.split()
            return None if quota == "max" else int(quota) / int(period)
        quota_us, period_us = self._number("cpu/cpu.cfs_quota_us"), self._number("cpu/cpu.cfs_period_us")
        return quota_us / period_us if quota_us and quota_us > 0 and period_us else None

    def _memory(self) -> float:
        limit = self._number("memory.max") or self._number("memory/memory.limit_in_bytes")
        if limit is not None and limit < _UNLIMITED:
            used = self._number("memory.current") or self._number("memory/memory.usage_in_bytes") or 0
            cached = self._number("memory.stat", "inactive_file")
            cached = cached or self._number("memory/memory.stat", "total_inactive_file") or 0
            return 100 * max(0.0, used - cached) / limit
        rows = dict(line.split(":", 1) for line in (self._proc / "meminfo").read_text().splitlines())
        total, free = (int(rows[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
        return 100 * (total - free) / total

    def _rss(self) -> float:
        pages = int((self._proc / "self" / "statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def _open_files(self) -> int:
        return sum(1 for _ in (self._proc / "self" / "fd").iterdir())

    def _text(self, name: str) -> str | None:
        try:
            return (self._cgroup / name).read_text().strip()
        except OSError:
            return None

    def _number(self, name: str, field: str | None = None) -> int | None:
        """A file's number, or that of one of its lines; None where there is none."""
        text = self._text(name)
        if text is None:
            return None
        if field is not None:
            text = next((line.split()[1] for line in text.splitlines() if line.startswith(f"{field} ")), "")
        return int(text) if text.lstrip("-").isdigit() else None
