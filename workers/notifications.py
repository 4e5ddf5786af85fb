"""Handlers of `notifications:queue`."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog

from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.models.notifications import ReportResult
from crypto_mcp.notify import replies
from crypto_mcp.notify.entries import document_of, key_of, notification_of
from crypto_mcp.notify.meta import failure
from crypto_mcp.notify.pacing import Wait
from crypto_mcp.notify.sending import Meaning, SendFailed
from workers.job import Resting

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from crypto_mcp.models.notifications import Delivery, Notification, ReportParams, StatusReport
    from workers.job import Job
    from workers.services import Services

log = structlog.get_logger(__name__)

_FORGOTTEN_AFTER = timedelta(seconds=90)
_MOST_AT_ONCE = 1000
_KNOWN_WITHIN = 20.0
"""Seconds after which a state of a message that nobody knows is somebody else's."""


async def send_notification(job: Job, params: Notification) -> Delivery:
    """Sends it by the owner's channel. Waiting for a turn costs no attempt."""
    outcome = await job.services.dispatcher.deliver(params)
    if isinstance(outcome, Wait):
        raise Resting(min(60.0, max(0.02, outcome.seconds)))
    return outcome


async def note_delivery(job: Job, params: ReportParams) -> ReportResult:
    """Writes down how far messages came, and does what people who wrote ask for."""
    applied = unknown = 0
    for status in params.statuses:
        known = await _noted(job, status)
        applied += known is True
        unknown += known is None
    for heard in params.heard:
        if heard.word == "moved" and heard.sealed and heard.mark:
            applied += bool(await job.services.channels.moved(heard.marks, heard.sealed, heard.mark))
            continue
        channels = await job.services.channels.heard(heard.marks, heard.at, heard.word)
        applied += bool(channels)
        if heard.word != "other" and channels:
            await replies.confirm(job.services.senders, job.services.channels, job.services.limits, channels[0], heard)
    return ReportResult(applied=applied, unknown=unknown)


async def submit_all(services: Services, notifications: Sequence[Notification]) -> None:
    """Submits notifications; twice is once. When this returns they are in the ledger too: a Redis that forgets loses
    none of them. Whoever takes a job before that writes the same down itself.
    """
    if not notifications:
        return
    kind, submit = CATALOGUE["send_notification"], services.jobs.submit
    documents = [document_of(each, None) | {"_id": key_of(each.owner, each.notification_id)} for each in notifications]
    await asyncio.gather(
        *(submit(kind, each, job_id=each.job_id, client=each.owner, share=False) for each in notifications),
        services.mongo.notifications.accept_all(documents),
    )


async def resubmit_forgotten(services: Services, now: datetime) -> int:
    """Gives notifications that are open and have no job any more a job again; how many."""
    entries = await services.mongo.notifications.forgotten(now - _FORGOTTEN_AFTER, _MOST_AT_ONCE)
    records = await services.jobs.several([each.get("job_id") or notification_of(each).job_id for each in entries])
    lost = [entry for entry, record in zip(entries, records, strict=True) if record is None or record.state.finished]
    for entry in lost:
        await _give_job(services, entry, f"{int(now.timestamp()) // 60 % 100_000}")
    if lost:
        log.warning("notifications without a job were given one", count=len(lost))
    return len(lost)


async def _noted(job: Job, status: StatusReport) -> bool | None:
    """Whether it was news; None if the message is not ours. `Resting` while it may yet become known."""
    ledger = job.services.mongo.notifications
    ours, further = status.message_id, status.status != "failed"
    if ours and further and await ledger.reached(ours, status.status, status.provider_id, status.at):
        return True
    message = await ledger.find_message(status.message_id, status.provider_id)
    if message is None:
        if (datetime.now(UTC) - status.at).total_seconds() < _KNOWN_WITHIN:
            raise Resting(1.0)
        return None
    if status.status != "failed":
        news = await ledger.reached(message["_id"], status.status, status.provider_id, status.at)
        if not news and job.attempt > 1:  # who noted it before may have been killed before what it carries was told
            await ledger.spread(message["_id"], status.status, status.at)
        return news
    log.info("message not delivered", provider=status.provider, message_id=message["_id"], code=status.code)
    await job.services.dispatcher.failed_later(message, _why(status))
    await _reopen(job, message["notifications"])
    return True


def _why(status: StatusReport) -> SendFailed:
    if status.provider == "meta":
        return failure({"code": status.code})
    return SendFailed(Meaning.FINAL, f"{status.provider}_error", "the message was not delivered")


async def _reopen(job: Job, keys: Iterable[str]) -> None:
    """Notifications that are open again get a job again; its id says which turn it is, so that there is one."""
    for key in keys:
        entry = await job.services.mongo.notifications.notification(key)
        if entry is not None and entry.get("open"):
            await _give_job(job.services, entry, f"{entry['turn']}.{entry['attempts']}")


async def _give_job(services: Services, entry: dict[str, Any], turn: str) -> None:
    """An open notification gets another job; the ledger says which, so that it can be looked after."""
    told = notification_of(entry)
    job_id = f"{told.job_id}-{turn}"
    await services.mongo.notifications.has_job(entry["_id"], job_id)
    await services.jobs.submit(CATALOGUE["send_notification"], told, job_id=job_id, client=told.owner, share=False)
