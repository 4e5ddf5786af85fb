"""`make chaos ONLY=retention`: three years of daily backups, by restic's own clock; what is kept at the end?"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from scheduler.backup.repository import FULL, Repository

END = datetime(2026, 3, 20, 3, tzinfo=UTC)
KEEP = (14, 12, 12)


def expected(days: list[datetime]) -> set[datetime]:
    """The newest backup of the last 14 days, 12 weeks and 12 months that have one; computed without restic."""
    kept: set[datetime] = set()
    names = (lambda d: d.date(), lambda d: d.isocalendar()[:2], lambda d: (d.year, d.month))
    for count, name in zip(KEEP, names, strict=True):
        newest: dict[object, datetime] = {}
        for day in sorted(days):
            newest[name(day)] = day
        kept |= set(sorted(newest.values())[-count:])
    return kept


async def run(years: float, every: int) -> bool:
    """Whether exactly what is expected is kept, and all of it is sound."""
    with tempfile.TemporaryDirectory(prefix="retention-") as folder:
        repository = Repository(str(Path(folder) / "repository"), "a-key")
        await repository.prepare()
        data = Path(folder) / "data"
        data.mkdir()
        days = [END - timedelta(days=back) for back in range(int(years * 365), -1, -every)]
        for number, day in enumerate(days):
            (data / "counter").write_text(str(number))
            await repository.keep([data], FULL, at=day)
            if number % 30 == 29:
                await repository.forget(KEEP)
        await repository.forget(KEEP)
        await repository.check()
        kept = {snapshot.at.astimezone(UTC) for snapshot in await repository.snapshots()}
    wanted = expected(days)
    print(json.dumps({"backups": len(days), "kept": len(kept), "expected": len(wanted), "right": kept == wanted}))
    return kept == wanted


def main() -> None:
    """Prints a line of figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--years", type=float, default=3.0)
    parser.add_argument("--every", type=int, default=1, help="days between two backups")
    options = parser.parse_args()
    sys.exit(0 if asyncio.run(run(options.years, options.every)) else 1)


if __name__ == "__main__":
    main()
