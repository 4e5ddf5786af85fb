"""What a failed attempt means for its job."""

from __future__ import annotations

import random
import secrets
from typing import TYPE_CHECKING, Any

import structlog
from arq.worker import Retry

from crypto_mcp.errors import CryptoMcpError, InternalError, TimedOut

if TYPE_CHECKING:
    from crypto_mcp.job_kind import JobKind

log = structlog.get_logger(__name__)

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 60.0


class Crashed(CryptoMcpError):
    """The workers that ran the job died, as often as the kind allows tries."""

    code = "worker_crashed"


def as_error(raised: Exception, kind: JobKind[Any, Any], *, timed_out: bool) -> CryptoMcpError:
    """What a handler raised, as an error with a code; a surprise is logged under a reference and not shown."""
    if timed_out:
        return TimedOut(
            f"{kind.name} took longer than {kind.timeout:g} s", hint="Ask for less at once, or try again later."
        )
    if isinstance(raised, CryptoMcpError):
        return raised
    if isinstance(raised, Retry):
        return _NotYet("the job asked to be run again", hint="Wait for it.")
    reference = secrets.token_hex(4)
    log.error("handler failed", kind=kind.name, reference=reference, exc_info=raised)
    return InternalError(
        f"{kind.name} failed unexpectedly (reference {reference})",
        hint="Report the reference; the log has the cause.",
    )


class _NotYet(CryptoMcpError):
    code = "retry_requested"
    retryable = True


def pause(raised: Exception, error: CryptoMcpError, attempt: int) -> float | None:
    """Seconds until the next attempt, None if there should be none.

    arq's `Retry` names its own time. Otherwise exponential backoff with full jitter (AWS Architecture Blog, 2015,
    "Exponential Backoff And Jitter"), never sooner than the error asks.
    """
    if isinstance(raised, Retry):
        return (raised.defer_score or 0) / 1000
    if not error.retryable and not isinstance(error, InternalError):
        return None
    ceiling = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0**attempt)
    return max(error.retry_after or 0.0, ceiling / 2 + random.uniform(0, ceiling / 2))  # noqa: S311 - no secret # nosec B311
