"""Handler of `post_callback`: tells a web address that a job has ended."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from crypto_mcp.access.signing import callback_secret
from crypto_mcp.errors import InvalidRequest, Unavailable
from crypto_mcp.models.callbacks import Called
from crypto_mcp.notify.sending import Meaning, SendFailed
from crypto_mcp.notify.webhook import new_secret

if TYPE_CHECKING:
    from crypto_mcp.models.callbacks import CallbackParams
    from workers.job import Job

_LARGEST_RESULT = 65_536


class CallbackRefused(InvalidRequest):
    """The address took the callback for wrong, or must not be called."""

    code = "callback_refused"


class CallbackUnanswered(Unavailable):
    """The address does not answer, or not now."""

    code = "callback_unanswered"


async def post_callback(job: Job, params: CallbackParams) -> Called:
    """Posts how the job ended, signed with its client's secret; repeated by the queue where that may help."""
    pepper = job.services.settings.access.pepper
    if pepper is None:
        raise CallbackRefused("no pepper is set, and callbacks are signed", hint="Set CRYPTO_MCP_ACCESS__PEPPER.")
    secret = new_secret(callback_secret(pepper.get_secret_value(), job.client))
    event = await _event(job, params.job_id)
    try:
        return Called(status=await job.services.senders.webhooks.post(params.url, secret, job.id, event))
    except SendFailed as failed:
        if failed.meaning is Meaning.RETRY:
            raise CallbackUnanswered(failed.message, retry_after=failed.retry_after) from None
        raise CallbackRefused(failed.message, hint="Look at the address that was given as callback_url.") from None


async def _event(job: Job, ended: str) -> dict[str, Any]:
    """As Standard Webhooks has it: type, time, data. Results above 64 KB are fetched by `href`."""
    record, result = await job.services.jobs.get_with_answer(ended)
    data: dict[str, Any] = {
        "job_id": ended,
        "kind": record.kind,
        "status": record.state.value,
        "href": f"/v1/jobs/{ended}/result",
    }
    if record.error is not None:
        data["error"] = record.error.model_dump(exclude_none=True)
    if result is not None and len(result) <= _LARGEST_RESULT:
        data["result"] = orjson.Fragment(result)
    at = record.timings.finished_at or datetime.now(UTC)
    return {"type": f"job.{record.state.value}", "timestamp": at.isoformat(), "data": data}
