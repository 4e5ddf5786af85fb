"""Every error a caller may meet, on one screen.

CryptoMcpError
├── InvalidRequest              the caller's input is wrong: change it, do not repeat it
│   ├── UnknownKind
│   ├── UnknownSymbol
│   ├── UnknownJob
│   ├── NotEnoughData
│   └── IdempotencyConflict
├── Unavailable                 something outside is away: repeat it later
│   ├── SourceUnavailable       an exchange or data provider
│   ├── StoreUnavailable        Redis, MongoDB or PostgreSQL
│   └── QueueFull
├── TimedOut                    a job ran longer than its kind allows
├── Cancelled
├── AccessRefused               who asks may not, or not now
│   ├── Unauthorized
│   ├── Forbidden
│   └── TooManyRequests
│       └── TooManyJobs
└── InternalError               our fault: logged with a reference, never with a traceback outside

Codes are stable: clients branch on `code`, people read `message` and do what `hint` says.
"""

from __future__ import annotations

from typing import ClassVar


class CryptoMcpError(Exception):
    """Base of all errors with a stable `code`, a `message` and a `hint` saying what to do.

    `retryable` says whether the same request may succeed later, `retry_after` in how many seconds.
    `http_status` is what REST answers. A client that was told the error by a front end knows `job_id` and `request_id`.
    """

    code: ClassVar[str] = "internal_error"
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = _writable(message)
        self.hint = _writable(hint)
        self.retry_after = retry_after
        self.job_id: str | None = None
        self.request_id: str | None = None


def _writable(text: str) -> str:
    """Without what UTF-8 cannot say, such as the undecodable bytes of a file name."""
    return text.encode("utf-8", "replace").decode()


class InvalidRequest(CryptoMcpError):
    """The input breaks the contract of the kind it was sent to."""

    code = "invalid_request"
    http_status = 422


class UnknownKind(InvalidRequest):
    """No job kind, or tool, of that name."""

    code = "unknown_kind"
    http_status = 404


class UnknownSymbol(InvalidRequest):
    """The exchange lists no such symbol."""

    code = "unknown_symbol"


class UnknownJob(InvalidRequest):
    """No job of that id, or its record has expired."""

    code = "unknown_job"
    http_status = 404


class NotEnoughData(InvalidRequest):
    """The symbol has fewer closed bars than the calculation needs."""

    code = "not_enough_data"


class IdempotencyConflict(InvalidRequest):
    """The Idempotency-Key was used before with other parameters."""

    code = "idempotency_conflict"
    http_status = 409


class Unavailable(CryptoMcpError):
    """Something the answer needs is away; the request may be repeated."""

    code = "unavailable"
    http_status = 503
    retryable = True


class SourceUnavailable(Unavailable):
    """An exchange or data provider does not answer, or refuses for now."""

    code = "source_unavailable"


class StoreUnavailable(Unavailable):
    """Redis, MongoDB or PostgreSQL does not answer."""

    code = "store_unavailable"


class QueueFull(Unavailable):
    """As many jobs wait for a list as may; this one was not accepted."""

    code = "queue_full"


class TimedOut(CryptoMcpError):
    """A job ran longer than its kind allows."""

    code = "timed_out"
    http_status = 504
    retryable = True


class Cancelled(CryptoMcpError):
    """The job was cancelled on request."""

    code = "cancelled"
    http_status = 409


class AccessRefused(CryptoMcpError):
    """Who asks may not do this, or not now."""

    code = "access_refused"
    http_status = 403


class Unauthorized(AccessRefused):
    """No key, or one that is unknown, expired or revoked."""

    code = "unauthorized"
    http_status = 401


class Forbidden(AccessRefused):
    """The key is good, and may not do this."""

    code = "forbidden"
    http_status = 403


class TooManyRequests(AccessRefused):
    """More than a client or an address may ask for within a minute."""

    code = "too_many_requests"
    http_status = 429
    retryable = True


class TooManyJobs(TooManyRequests):
    """As many jobs of a client wait as may; this one was not accepted."""

    code = "too_many_jobs"


class InternalError(CryptoMcpError):
    """Our fault. The message carries a reference to the log line, nothing of the inside."""
