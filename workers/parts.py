"""Jobs that are made of other jobs: parts go onto a list that all workers share; nobody is held while they are worked.

The handler that waits for parts is run again and again, and finds each time what is done. Parts have ids made from the
parent's and their own parameters: whoever dies meanwhile, a part is submitted once and worked to its end, and a parent
that begins again goes on where it was.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from crypto_mcp.errors import Cancelled, CryptoMcpError, StoreUnavailable, UnknownJob
from crypto_mcp.jobs.envelope import params_digest
from crypto_mcp.models.answers import JobState
from workers.job import Resting

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from pydantic import BaseModel

    from crypto_mcp.job_kind import JobKind
    from crypto_mcp.models.answers import JobRecord
    from workers.job import Job

AT_ONCE = 32
"""Parts of one job that wait or run at the same time: other jobs on the list come between them."""

_LOOK_AGAIN = 0.2
_WATCH_EVERY = 0.5


class PartFailed(CryptoMcpError):
    """A part of the job ended without a result."""

    code = "part_failed"


async def gathered(job: Job, kind: JobKind[Any, Any], parts: Sequence[BaseModel], doing: str) -> list[bytes]:
    """The results of all parts as JSON, in their order.

    Raises:
        Resting: not all of them are done; the handler is to be run again.
        PartFailed: one of them failed.
    """
    jobs = job.services.jobs
    ids = [f"{job.id}.{params_digest(kind, part)[:12]}" for part in parts]
    records = dict(zip(ids, await jobs.several(ids), strict=True))
    done = [name for name, record in records.items() if record is not None and record.state is JobState.DONE]
    for record in records.values():
        _check(record)
    if len(done) == len(ids):
        answers = await jobs.answers(ids)
        if all(answer is not None for answer in answers):
            return [answer for answer in answers if answer is not None]
        raise PartFailed("parts were done so long ago that their results are gone", hint="Ask again.")
    free = AT_ONCE - sum(record is not None and not record.state.finished for record in records.values())
    missing = [(name, part) for (name, record), part in zip(records.items(), parts, strict=True) if record is None]
    for name, part in missing[: max(0, free)]:
        await jobs.submit(kind, part, job_id=name, client=job.client, trace=job.trace, share=False)
    await job.progress(len(done) / len(ids), f"{doing}: {len(done)} of {len(ids)} parts")
    raise Resting(_LOOK_AGAIN)


def _check(record: JobRecord | None) -> None:
    if record is None or not record.state.finished or record.state is JobState.DONE:
        return
    error = record.error
    said = f"{error.message} [{error.code}]" if error else f"it is {record.state}"
    raise PartFailed(f"a part of the job failed: {said}", hint=error.hint if error else "Ask again.")


async def while_wanted(job: Job, parent: str, work: Awaitable[Any]) -> Any:
    """The result of a part's work; `Cancelled` as soon as the job it belongs to has ended."""
    task = asyncio.ensure_future(work)
    try:
        while True:
            if await _ended(job, parent):
                raise Cancelled("the job that this part belongs to has ended")
            done, _ = await asyncio.wait([task], timeout=_WATCH_EVERY)
            if done:
                return await task
    finally:
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _ended(job: Job, parent: str) -> bool:
    try:
        return (await job.services.jobs.get(parent)).state.finished
    except UnknownJob:
        return True
    except StoreUnavailable:
        return False
