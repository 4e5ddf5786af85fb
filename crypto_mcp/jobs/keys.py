"""Names of the keys in Redis db 2. The Lua scripts beside know them too; nobody else does."""

from __future__ import annotations

RECENT = "jobs:recent"
EVENTS = "jobs:events"
STATS = "jobs:stats"
SCALING = "scaling:decisions"
BACKUP = "operations:backup"
RAISED = "operations:raised"
FRONT_VITALS = "operations:front:"
SCALED = "scaling:changes"
WORKERS = "workers"
HELD_LENGTHS = "held:lengths"
WATCH = "feed:watch"
"""Hash: what each owner wants watched live; the feed's, and here because it names users."""

# Names a pusher may not choose for its reply list: they are ours.
RESERVED_PREFIXES = (
    "job:",
    "jobs:",
    "desk:",
    "arriving:",
    "worker:",
    "workers",
    "dead:",
    "same:",
    "idempotency:",
    "cancels:",
    "answer:",
    "front:",
    "leader:",
    "scheduler:",
    "scaling:",
    "operations:",
    "health:",
    "share:",
    "held:",
)


def job(job_id: str) -> str:
    """Hash: the record of a job."""
    return f"job:{job_id}"


def answer(job_id: str) -> str:
    """String: the result of a finished job, JSON."""
    return f"answer:{job_id}"


def arriving(worker: str, list_name: str) -> str:
    """List: what a worker took from a list and has not yet put on its desk."""
    return f"arriving:{worker}:{list_name}"


def desk(worker: str) -> str:
    """Sorted set: a worker's own arq queue; job ids scored by when they start, in ms."""
    return f"desk:{worker}"


def heartbeat(worker: str) -> str:
    """String with a TTL: there while the worker lives. Also the channel on which it is spoken to."""
    return f"worker:{worker}"


def cancels(worker: str) -> str:
    """Set: jobs on the worker's desk that are to be cancelled."""
    return f"cancels:{worker}"


def dead(list_name: str) -> str:
    """List: what failed for good, newest left."""
    return f"dead:{list_name}"


def idempotency(client: str, key: str) -> str:
    """String with a TTL: the job that an Idempotency-Key of a client stands for, and what it asked."""
    return f"idempotency:{client}:{key}"


def front(name: str) -> str:
    """Channel on which a front end hears of the jobs it waits for."""
    return f"front:{name}"


def scheduler(host: str) -> str:
    """String with a TTL: there while a scheduler runs on that host."""
    return f"scheduler:{host}"


def host_part(hostname: str) -> str:
    """A host's name as it stands in names of workers: letters, digits and dashes, 40 at most."""
    return "".join(c if c.isalnum() else "-" for c in hostname)[:40]


def leader(name: str) -> str:
    """String with a TTL: who leads, and the fencing token."""
    return f"leader:{name}"
