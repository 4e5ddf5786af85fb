"""REST: a route for every kind of the catalogue that is offered to clients, and those that follow a job."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias
from urllib.parse import urlencode

from fastapi import Header, Query, Request, Response

from crypto_mcp.access.identity import current
from crypto_mcp.job_kind import Catalogue
from crypto_mcp.models.answers import Answer, JobRecord, JobState, NextStep
from crypto_mcp.models.rest import JobList, Kind, KindList
from crypto_mcp.server.drawing import result_steps
from crypto_mcp.server.etags import NOT_MODIFIED, tagged
from crypto_mcp.server.problems import described, problem
from crypto_mcp.server.requests import read_json
from crypto_mcp.server.routing import Routes
from crypto_mcp.server.schemas import input_schema

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from crypto_mcp.job_kind import JobKind
    from crypto_mcp.server.front import Front
    from crypto_mcp.server.outcome import Outcome

_COME_BACK = {"Retry-After": "1"}
_JOB_FAILED = described(403, 404, 409, 410, 500, 504)
"""What a job may have failed with, beside what any route answers."""

Wait = Annotated[
    float,
    Query(
        ge=0, allow_inf_nan=False, description="Seconds to wait for the job's end; capped below the request timeout."
    ),
]
IdempotencyKey = Annotated[
    str | None,
    Header(min_length=1, max_length=200, description="A request repeated with it gets the job of the first."),
]


CallbackUrl = Annotated[
    str | None, Query(max_length=2000, description="https address that is told of the job's end, signed.")
]
UrlCheck: TypeAlias = "Callable[[str], Awaitable[object]]"


def front_of(request: Request) -> Front:
    """The open connections of this process."""
    front: Front = request.state.front
    return front


def catalogue_routes(catalogue: Catalogue, may_be_called: UrlCheck) -> Routes:
    """What the catalogue offers: a submission route for every kind, and their list.

    `may_be_called(url)` raises if callbacks must not go to an address.
    """
    router = Routes()
    offered = Catalogue(tuple(catalogue.tools()))

    @cache
    def listed() -> bytes:
        return KindList(kinds=[kind_entry(kind) for kind in offered]).model_dump_json().encode()

    for kind in offered:
        _add_submission(router, kind, may_be_called)

    @router.post("/jobs/{kind}", include_in_schema=False)
    async def submit_unknown(kind: str) -> None:
        offered[kind]  # raises UnknownKind, with the nearest names

    @router.get("/kinds", tags=["kinds"], summary="What can be asked", response_model=KindList, responses=NOT_MODIFIED)
    async def list_kinds(request: Request) -> Response:
        return tagged(request, await asyncio.to_thread(listed))  # the first takes a tenth of a second

    return router


job_routes = Routes(tags=["jobs"])


@job_routes.get(
    "/jobs",
    summary="Recent jobs, the newest first",
    response_model=JobList,
    responses={**NOT_MODIFIED, **described(404)},
)
async def list_jobs(
    request: Request,
    kind: Annotated[str | None, Query(max_length=100, description="Only of this kind.")] = None,
    state: Annotated[JobState | None, Query(description="Only in this state.")] = None,
    after: Annotated[str | None, Query(max_length=64, description="Those that follow this job.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> Response:
    """Jobs of all kinds that the client asked for; finished ones are kept for a day. Operators see those of others."""
    identity = current()
    client = None if identity.may("jobs:all") else identity.client
    records = await front_of(request).jobs.recent(kind=kind, state=state, client=client, after=after, limit=limit)
    found, headers = JobList(jobs=records), {}
    if len(records) == limit:
        asked = {"kind": kind, "state": state, "after": records[-1].job_id, "limit": limit}
        href = f"/v1/jobs?{urlencode({name: value for name, value in asked.items() if value is not None})}"
        found.next = [NextStep(method="GET", href=href, why="older ones")]
        headers["Link"] = f'<{href}>; rel="next"'
    return tagged(request, found.model_dump_json(exclude_none=True).encode(), headers)


@job_routes.get(
    "/jobs/{job_id}",
    summary="A job as it stands",
    response_model=JobRecord,
    responses={**NOT_MODIFIED, **described(404)},
)
async def get_job(request: Request, job_id: str, wait: Wait = 0) -> Response:
    """State, progress, attempts and timings. With `wait` it answers when the job ends, at the latest then."""
    record = await front_of(request).answering.status(job_id, wait=wait)
    body = record.model_dump_json(exclude_none=True).encode()
    return tagged(request, body, None if record.state.finished else _COME_BACK)


@job_routes.get(
    "/jobs/{job_id}/result",
    summary="The answer of a job",
    response_model=Answer[Any],
    responses={202: {"model": Answer[Any], "description": "Not finished yet."}, **NOT_MODIFIED, **_JOB_FAILED},
)
async def get_result(request: Request, job_id: str, wait: Wait = 0) -> Response:
    """What the submission would have answered. A failed job is a problem with the code and status of its error."""
    return answer(request, await front_of(request).answering.result(job_id, wait=wait))


@job_routes.delete(
    "/jobs/{job_id}",
    summary="Cancel a job",
    response_model=JobRecord,
    responses={202: {"model": JobRecord, "description": "It runs, and was told to stop."}, **described(403, 404)},
)
async def cancel_job(request: Request, job_id: str) -> Response:
    """A finished job stays as it is."""
    record = await front_of(request).answering.cancel(job_id)
    return _record(record, 200 if record.state.finished else 202)


def _add_submission(router: Routes, kind: JobKind[Any, Any], may_be_called: UrlCheck) -> None:
    async def submit(
        request: Request, wait: Wait = 0, callback_url: CallbackUrl = None, idempotency_key: IdempotencyKey = None
    ) -> Response:
        arguments = await read_json(request)
        if callback_url is not None:
            await may_be_called(callback_url)
        outcome = await front_of(request).answering.call(
            kind,
            arguments,
            wait=wait,
            trace=request.state.request_id,
            idempotency_key=idempotency_key,
            callback_url=callback_url,
        )
        return answer(request, outcome, result_steps(kind, outcome, arguments))

    envelope = Answer[kind.result]  # type: ignore[name-defined]  # a type that is known only now
    path = f"/jobs/{kind.name}"
    router.bodies[path] = lambda: {"schema": input_schema(kind.params), "example": dict(kind.example)}
    router.add_api_route(
        path,
        submit,
        methods=["POST"],
        tags=["submit"],
        name=kind.name,
        operation_id=kind.name,
        summary=kind.title,
        description=kind.summary,
        response_model=envelope,
        responses={
            202: {"model": envelope, "description": "Accepted, not finished yet."},
            **described(400, 413, 415),
            **_JOB_FAILED,
        },
    )


def answer(request: Request, outcome: Outcome, steps: Sequence[Mapping[str, str]] = ()) -> Response:
    """200 with a result, 202 while the job is under way, a problem if it has failed."""
    if outcome.failed and outcome.error is not None:
        return problem(request.scope, outcome.error.status or 500, outcome.error, job_id=outcome.job_id)
    if outcome.status.finished:
        body = outcome.to_json(steps)
        return tagged(request, body) if request.method == "GET" else _json(body)
    href = f"/v1/jobs/{outcome.job_id}"
    step = {"method": "GET", "href": f"{href}/result?wait=20", "why": "waits for the result"}
    return _json(outcome.to_json([step]), 202, {"Location": href, **_COME_BACK})


def kind_entry(kind: JobKind[Any, Any]) -> Kind:
    """The whole contract of a kind."""
    return Kind(
        name=kind.name,
        title=kind.title,
        summary=kind.summary,
        href=f"/v1/jobs/{kind.name}",
        list=kind.list,
        params_schema=kind.params.model_json_schema(),
        result_schema=kind.result.model_json_schema(mode="serialization"),
        example=dict(kind.example),
        timeout=kind.timeout,
        max_tries=kind.max_tries,
        cached_seconds=kind.cache.ttl if kind.cache else 0,
        scope=kind.scope,
    )


def _record(record: JobRecord, status: int) -> Response:
    """Without what has no value."""
    return _json(record.model_dump_json(exclude_none=True).encode(), status)


def _json(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(body, status, headers, "application/json")
