"""REST: many jobs in one request."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
from fastapi import Request, Response
from pydantic import ValidationError

from crypto_mcp.access.identity import current
from crypto_mcp.errors import CryptoMcpError, InvalidRequest
from crypto_mcp.job_kind import Catalogue
from crypto_mcp.models.answers import ErrorBody, JobState
from crypto_mcp.models.rest import Batch, BatchAnswers, BatchItem
from crypto_mcp.server.etags import JSON
from crypto_mcp.server.outcome import Outcome
from crypto_mcp.server.problems import described
from crypto_mcp.server.requests import read_json
from crypto_mcp.server.rest import IdempotencyKey, front_of
from crypto_mcp.server.routing import Routes
from crypto_mcp.server.schemas import input_schema
from crypto_mcp.validation import explain

if TYPE_CHECKING:
    from collections.abc import Iterable


def batch_routes(catalogue: Catalogue) -> Routes:
    """Submitting several jobs at once."""
    router = Routes(tags=["jobs"])
    offered = Catalogue(tuple(catalogue.tools()))
    router.bodies["/jobs"] = lambda: {
        "schema": input_schema(Batch),
        "example": {"jobs": [{"kind": kind.name, "params": dict(kind.example)} for kind in offered.tools()[:2]]},
    }

    @router.post(
        "/jobs",
        summary="Submit several jobs",
        response_model=BatchAnswers,
        responses=described(400, 409, 413, 415),
    )
    async def submit_batch(request: Request, idempotency_key: IdempotencyKey = None) -> Response:
        """Each for itself: one that is refused does not keep the others back. What a cache has is answered at once.

        A batch costs as much of the limit as its jobs one by one. Repeated with the same `Idempotency-Key` each job is
        the one of the first time.
        """
        batch = _checked(await read_json(request))
        front, trace = front_of(request), request.state.request_id
        await front.callers.rates.charge(current(), None, len(batch.jobs) - 1)

        async def one(place: int, item: BatchItem) -> Outcome:
            key = None if idempotency_key is None else f"{idempotency_key}:{place}"
            try:
                return await front.answering.call(
                    offered[item.kind], item.params, wait=0, trace=trace, idempotency_key=key
                )
            except CryptoMcpError as error:
                return Outcome(JobState.FAILED, error=ErrorBody.of(error))

        return _response(await asyncio.gather(*(one(place, item) for place, item in enumerate(batch.jobs))))

    return router


def _checked(body: Any) -> Batch:
    try:
        return Batch.model_validate(body)
    except ValidationError as error:
        raise InvalidRequest(explain(error), hint='Send {"jobs": [{"kind": ..., "params": {...}}, ...]}.') from None


def _response(outcomes: Iterable[Outcome]) -> Response:
    answers = [orjson.Fragment(outcome.to_json(_steps(outcome))) for outcome in outcomes]
    return Response(orjson.dumps({"answers": answers}), media_type=JSON)


def _steps(outcome: Outcome) -> list[dict[str, str]]:
    if outcome.status.finished:
        return []
    href = f"/v1/jobs/{outcome.job_id}/result?wait=20"
    return [{"method": "GET", "href": href, "why": "waits for the result"}]
