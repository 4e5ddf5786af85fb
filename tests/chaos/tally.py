"""What became of the jobs, counted from the notes that workers left outside the queue."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LONGEST_WAIT = 15.0


@dataclass(frozen=True)
class Tally:
    """The figures of a run."""

    jobs: int
    lost: int
    dead: int
    finished_twice: int
    executed_more_than_once: int
    interrupted_by_kills: int
    slowest_reexecution_s: float

    @property
    def kept(self) -> bool:
        """Whether every promise held."""
        return self.lost == self.dead == self.finished_twice == 0 and self.slowest_reexecution_s <= LONGEST_WAIT

    def as_dict(self) -> dict[str, float]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Note:
    """One line of a worker's notes."""

    pid: int
    what: str
    job_id: str
    attempt: int
    at: float


def read_notes(folder: Path) -> list[Note]:
    """All notes, oldest first."""
    notes = []
    for file in folder.iterdir():
        for line in file.read_text().splitlines():
            what, job_id, attempt, at = line.split()
            notes.append(Note(int(file.name), what, job_id, int(attempt), float(at)))
    return sorted(notes, key=lambda n: n.at)


def count(notes: list[Note], states: Mapping[str, str], kills: Mapping[int, float]) -> Tally:
    """The figures, from notes, each job's last state by id, and when each worker was killed by pid."""
    began: dict[str, list[Note]] = defaultdict(list)
    ended: Counter[str] = Counter()
    for each in notes:
        if each.what == "began":
            began[each.job_id].append(each)
        else:
            ended[each.job_id] += 1
    waits = [wait for job_id, starts in began.items() for wait in _waits(starts, kills)]
    return Tally(
        jobs=len(states),
        lost=sum(state not in ("done", "dead") for state in states.values()),
        dead=sum(state == "dead" for state in states.values()),
        finished_twice=sum(times > 1 for times in ended.values()),
        executed_more_than_once=sum(len(starts) > 1 for starts in began.values()),
        interrupted_by_kills=len(waits),
        slowest_reexecution_s=round(max(waits, default=0.0), 2),
    )


def _waits(starts: list[Note], kills: Mapping[int, float]) -> list[float]:
    """Seconds from each kill that interrupted the job to its next start."""
    return [
        later.at - kills[first.pid]
        for first, later in itertools.pairwise(starts)
        if first.pid in kills and later.at > kills[first.pid]
    ]
