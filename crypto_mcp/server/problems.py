"""Errors over REST: RFC 9457 problem details with our stable codes, never a traceback."""

from __future__ import annotations

import secrets
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from crypto_mcp.errors import CryptoMcpError, InternalError, InvalidRequest
from crypto_mcp.models.answers import ErrorBody

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.types import Scope

    from crypto_mcp.server.challenges import Challenges

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"

_HINTS = {
    404: "GET / lists what there is; /docs describes it.",
    405: "The Allow header names the methods that are.",
}


def surprise(error: BaseException) -> InternalError:
    """What to tell of an error nobody foresaw: a reference to the log line that has it all."""
    reference = secrets.token_hex(4)
    log.error("request failed", reference=reference, exc_info=error)
    return InternalError(
        f"the request failed unexpectedly (reference {reference})", hint="Report the reference; the log has the cause."
    )


def problem(
    scope: Scope,
    status: int,
    error: ErrorBody,
    *,
    job_id: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem as a response to the request of this scope."""
    fields: dict[str, Any] = {
        "type": f"urn:crypto-mcp:problem:{error.code}",
        "title": error.code.replace("_", " ").capitalize(),
        "status": status,
        "detail": error.message,
        "code": error.code,
        "hint": error.hint,
        "instance": scope["path"],
        "request_id": scope.get("state", {}).get("request_id", ""),
    }
    optional = {"job_id": job_id, "retry_after": error.retry_after}
    fields |= {name: value for name, value in optional.items() if value is not None}
    sent = dict(headers or {})
    if error.retry_after is not None:
        sent["Retry-After"] = str(max(1, round(error.retry_after)))
    if status == HTTPStatus.UNAUTHORIZED:
        sent.setdefault("WWW-Authenticate", 'Bearer realm="crypto-mcp"')
    return Response(orjson.dumps(fields), status, sent, MEDIA_TYPE)


def refusal(scope: Scope, error: CryptoMcpError) -> Response:
    """The answer to a request of this scope that ends with an error of ours."""
    challenges: Challenges | None = scope.get("state", {}).get("challenges")
    challenge = challenges.of(error) if challenges is not None else None
    headers = {} if challenge is None else {"WWW-Authenticate": challenge}
    return problem(scope, error.http_status, ErrorBody.of(error), headers=headers)


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Problem responses as OpenAPI has them."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def install(app: FastAPI) -> None:
    """Has every error of the app answered as a problem."""
    app.add_exception_handler(CryptoMcpError, _ours)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)


async def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, CryptoMcpError)
    return refusal(request.scope, error)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.BAD_REQUEST:  # what FastAPI makes of a body that is no text
        return refusal(request.scope, InvalidRequest("the body is not JSON in UTF-8"))
    name = HTTPStatus(error.status_code).phrase
    body = ErrorBody(
        code=name.lower().replace(" ", "_"),
        message=f"{request.method} {request.url.path}: {name.lower()}",
        hint=_HINTS.get(error.status_code, ""),
    )
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = _methods(request) or headers.get("Allow", "")
    return problem(request.scope, error.status_code, body, headers=headers)


def _methods(request: Request) -> str:
    """All that the documented resource at this path takes: Starlette tells those of the first route alone."""
    fitting: dict[str, set[str]] = {}
    for route in request.app.routes:
        if isinstance(route, Route) and route.include_in_schema and route.path_regex.match(request.url.path):
            fitting.setdefault(route.path, set()).update(route.methods or ())
    return ", ".join(sorted(fitting[min(fitting, key=lambda path: path.count("{"))])) if fitting else ""


async def _invalid(request: Request, error: Exception) -> Response:
    """Query parameters and headers that do not fit."""
    assert isinstance(error, RequestValidationError)
    said = "; ".join(f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors()[:5])
    return await _ours(request, InvalidRequest(said, hint="/docs describes the parameters."))
