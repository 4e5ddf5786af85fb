"""What a front end answers when it refuses, as the error it is."""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING

from pydantic import ValidationError

from crypto_mcp import errors
from crypto_mcp.access.signing import BadSignature
from crypto_mcp.errors import CryptoMcpError
from crypto_mcp.models.rest import Problem
from crypto_mcp.retry_after import asked_pause

if TYPE_CHECKING:
    import httpx2

    from crypto_mcp.models.answers import ErrorBody

_KNOWN: dict[str, type[CryptoMcpError]] = {
    each.code: each
    for each in (*vars(errors).values(), BadSignature)
    if isinstance(each, type) and issubclass(each, CryptoMcpError)
}
_FAMILIES: dict[int, type[CryptoMcpError]] = {
    HTTPStatus.UNAUTHORIZED: errors.Unauthorized,
    HTTPStatus.FORBIDDEN: errors.Forbidden,
    HTTPStatus.TOO_MANY_REQUESTS: errors.TooManyRequests,
    HTTPStatus.BAD_GATEWAY: errors.Unavailable,
    HTTPStatus.SERVICE_UNAVAILABLE: errors.Unavailable,
    HTTPStatus.GATEWAY_TIMEOUT: errors.TimedOut,
}


def problem_of(response: httpx2.Response) -> CryptoMcpError:
    """The error that a response tells of, its class by the code: of one this version does not know, the status'."""
    pause = asked_pause(response.headers.get("retry-after"))
    request_id = response.headers.get("x-request-id")
    try:
        said = Problem.model_validate_json(response.content, extra="ignore")
    except ValidationError:
        error = _of_another_program(response, pause)
    else:
        kind = _class(said.code, response.status_code)
        exact = said.retry_after if said.retry_after is not None else pause
        error = kind(said.detail, hint=said.hint, retry_after=exact)
        error.job_id, request_id = said.job_id, said.request_id
    error.request_id = request_id
    return error


def error_of(body: ErrorBody, job_id: str | None = None) -> CryptoMcpError:
    """The error inside an answer or a record, to be raised."""
    error = _class(body.code, body.status or 500)(body.message, hint=body.hint, retry_after=body.retry_after)
    error.job_id = job_id
    return error


def _of_another_program(response: httpx2.Response, pause: float | None) -> CryptoMcpError:
    """A proxy on the way, or no front end at all."""
    status, elsewhere = response.status_code, response.headers.get("location")
    message = f"{response.request.url.copy_with(query=None)} answered {status} and no problem+json"
    hint = f"It leads to {elsewhere}: give that address." if elsewhere else "Is it the address of a front end?"
    kind = errors.InvalidRequest if elsewhere else _family(status)
    return kind(message, hint=hint, retry_after=pause)


def _family(status: int) -> type[CryptoMcpError]:
    unknown = errors.InvalidRequest if 400 <= status < 500 else errors.InternalError
    return _FAMILIES.get(status, unknown)


@lru_cache(maxsize=256)
def _class(code: str, status: int) -> type[CryptoMcpError]:
    known, family = _KNOWN.get(code), _family(status)
    return known or type(family.__name__, (family,), {"code": code, "http_status": status})
