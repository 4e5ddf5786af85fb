"""What the front end counts, for Prometheus. Labels come from the catalogue, routes and error codes, none from callers.

The processes of one front end share a folder (`PROMETHEUS_MULTIPROC_DIR`, made at the start), so that whichever of them
is scraped answers for all. What only Redis knows (lists, workers) is read when scraped.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from redis.exceptions import RedisError

import crypto_mcp
from crypto_mcp.errors import StoreUnavailable
from crypto_mcp.job_kind import LISTS
from crypto_mcp.jobs.leases import known_workers
from crypto_mcp.jobs.operations import standing
from crypto_mcp.notify.counts import Counts

if TYPE_CHECKING:
    from starlette.types import Scope

    from crypto_mcp.jobs.client import Total
    from crypto_mcp.jobs.operations import Standing
    from crypto_mcp.server.front import Front

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

REQUESTS = Counter("crypto_mcp_requests", "HTTP requests by route and status.", ["route", "status"])
REQUEST_SECONDS = Histogram("crypto_mcp_request_seconds", "Time of an HTTP request.", ["route"], buckets=_SECONDS)
CALLS = Counter(
    "crypto_mcp_calls", "Calls of a kind, by end and by where the answer was.", ["kind", "status", "cached"]
)
CALL_SECONDS = Histogram("crypto_mcp_call_seconds", "Time of a call of a kind.", ["kind"], buckets=_SECONDS)
ERRORS = Counter("crypto_mcp_errors", "Calls of a kind that failed or were refused, by code.", ["kind", "code"])


def count_request(scope: Scope, status: int, seconds: float) -> None:
    """A request was answered."""
    route = _route(scope)
    REQUESTS.labels(route, status).inc()
    REQUEST_SECONDS.labels(route).observe(seconds)


def count_call(kind: str, status: str, cached_in: str | None, code: str | None, seconds: float) -> None:
    """A call of a kind was answered or refused; `code` of its error, if it has one."""
    CALLS.labels(kind, status, cached_in or "no").inc()
    CALL_SECONDS.labels(kind).observe(seconds)
    if code is not None:
        ERRORS.labels(kind, code).inc()


async def exposition(front: Front) -> bytes:
    """Everything, in Prometheus's text format."""
    counted: CollectorRegistry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        counted = CollectorRegistry()
        MultiProcessCollector(counted)  # type: ignore[no-untyped-call]
    return generate_latest(counted) + generate_latest(await _now(front))


async def _now(front: Front) -> CollectorRegistry:
    """How lists, workers and caches stand."""
    registry = CollectorRegistry()
    Gauge("crypto_mcp_info", "Version.", ["version"], registry=registry).labels(crypto_mcp.__version__).set(1)
    depth = Gauge("crypto_mcp_queue_depth", "Jobs waiting on a list.", ["list"], registry=registry)
    shares = Gauge(
        "crypto_mcp_queue_held_back", "Jobs waiting for their clients' shares of a list.", ["list"], registry=registry
    )
    age = Gauge("crypto_mcp_queue_oldest_seconds", "Age of the job that waits longest.", ["list"], registry=registry)
    dead = Gauge("crypto_mcp_dead", "Entries of a dead list.", ["list"], registry=registry)
    workers = Gauge("crypto_mcp_workers", "Workers by state.", ["state"], registry=registry)
    held = Gauge("crypto_mcp_jobs_held", "Jobs that living workers have on their desks.", registry=registry)
    up = Gauge("crypto_mcp_queue_up", "Whether the queue's Redis answers.", registry=registry)
    try:
        depths, ages, counts = await front.jobs.depths(*LISTS), await front.jobs.ages(*LISTS), await front.dead.counts()
        totals = await front.jobs.totals()
        operations = await standing(front.connections["queue"])
        known, held_back = await known_workers(front.connections["queue"]), await front.jobs.held(*LISTS)
    except StoreUnavailable:
        up.set(0)
        return registry
    up.set(1)
    await _told(front, registry)
    for name in LISTS:
        depth.labels(name).set(depths[name])
        shares.labels(name).set(held_back[name])
        age.labels(name).set(ages[name] or 0.0)
        dead.labels(name).set(counts.get(name, 0))
    _ended(registry, totals)
    _operations(registry, operations)
    alive = [info for info in known.values() if info is not None]
    workers.labels("alive").set(len(alive))
    workers.labels("lost").set(len(known) - len(alive))
    held.set(sum(int(str(info.get("held", 0))) for info in alive))
    return registry


async def _told(front: Front, registry: CollectorRegistry) -> None:
    told = Counter(
        "crypto_mcp_notifications", "Messages by who carries them and what became of them.", ["sender", "outcome"],
        registry=registry,
    )  # fmt: skip
    with contextlib.suppress(RedisError, OSError):
        for labels, count in (await Counts(front.connections["sessions"]).all()).items():
            told.labels(*labels).inc(count)


def _ended(registry: CollectorRegistry, totals: list[Total]) -> None:
    """What workers ended, of all workers there ever were: the counts are in Redis."""
    labels = ["list", "kind"]
    ended = Counter("crypto_mcp_jobs_ended", "Jobs that ended.", [*labels, "state"], registry=registry)
    waited = Counter("crypto_mcp_jobs_wait_seconds", "Seconds that ended jobs had waited.", labels, registry=registry)
    ran = Counter("crypto_mcp_jobs_run_seconds", "Seconds that ended jobs had run.", labels, registry=registry)
    for total in totals:
        for what, count in total.counts.items():
            if what == "wait_ms":
                waited.labels(total.list, total.kind).inc(count / 1000)
            elif what == "run_ms":
                ran.labels(total.list, total.kind).inc(count / 1000)
            else:
                ended.labels(total.list, total.kind, what).inc(count)


def _operations(registry: CollectorRegistry, said: Standing) -> None:
    """What the leading scheduler says of scaling, alerts and backups."""
    decided = Gauge("crypto_mcp_scaling_replicas", "Replicas the autoscaler wants.", ["service"], registry=registry)
    for service, row in said.scaling.items():
        decided.labels(service).set(row["decided"])
    scaled = Counter("crypto_mcp_scaling_changes", "Changes made.", ["service", "direction"], registry=registry)
    for name, count in said.scaled.items():
        scaled.labels(*name.split(" ", 1)).inc(count)
    raised = Gauge("crypto_mcp_system_alerts", "Subjects of a system alert.", ["rule"], registry=registry)
    for rule, count in said.raised.items():
        raised.labels(rule).set(count)
    for what in ("full_at", "tail_at", "failed_at"):
        if what in said.backup:
            name = f"crypto_mcp_backup_{what.removesuffix('_at')}_timestamp_seconds"
            Gauge(name, "When a backup was last made, extended, or failed.", registry=registry).set(said.backup[what])


def _route(scope: Scope) -> str:
    """The route's template, never the path that was asked for."""
    route = scope.get("route")
    path = getattr(route, "path", None)
    if isinstance(path, str):  # of a router that was included it lacks the prefix
        return f"/v1{path}" if scope["path"].startswith("/v1/") and not path.startswith("/v1") else path
    return "/mcp" if scope["path"] in ("/mcp", "/mcp/") else "other"
