"""Requests without input or output: what is to be sent, what is to be waited for, when it is sent again.

An `Exchange` is a generator. It gives out a `Call`, and is sent the response or thrown the error of the transport; or a
`Pause`, and goes on when it is over. Whoever drives it does the waiting, in its own way: blocking, or on an event loop.
"""

from __future__ import annotations

import random
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import httpx2

from crypto_mcp.client.problems import problem_of
from crypto_mcp.errors import CryptoMcpError, QueueFull, TooManyRequests, Unavailable

T = TypeVar("T")

_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_NOT_ACCEPTED = (TooManyRequests, QueueFull)
_FIRST_PAUSE, _LONGEST_OWN_PAUSE = 0.25, 8.0


@dataclass(frozen=True, slots=True)
class Call:
    """A request.

    Attributes:
        method, path: `path` may have a query of its own, as the `next` of a page has.
        query: values for the query; None are left out.
        body: JSON.
        headers: beside the key's.
        patience: seconds that the front end may take on purpose, because it was asked to wait.
        repeatable: whether sending it twice does no more than sending it once.
        signed: whether the key's holder signs it (RFC 9421), if there is something to sign with.
        answers: statuses of an answer; others are problems.
    """

    method: str
    path: str
    query: Mapping[str, Any] = field(default_factory=dict)
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    patience: float = 0.0
    repeatable: bool = True
    signed: bool = False
    answers: tuple[int, ...] = (200, 201, 202, 204)


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing for so many seconds."""

    seconds: float


Exchange: TypeAlias = Generator[Call | Pause, httpx2.Response | None, T]


@dataclass(frozen=True, slots=True)
class Retrying:
    """When a request that failed is sent again.

    Attributes:
        times: how often, after the first time.
        longest: seconds of a `Retry-After` that are waited for; what asks for more is raised at once.
    """

    times: int = 3
    longest: float = 60.0

    def pause(self, error: CryptoMcpError, failures: int, *, repeatable: bool) -> float | None:
        """Seconds until it is worth another try after so many failures; None where it is not.

        What is not repeatable is repeated only if it was certainly not accepted. A job that failed (`job_id`) had its
        tries: whether it should be submitted anew is the caller's to say.
        """
        accepted_maybe = not isinstance(error, _NOT_ACCEPTED) and not _never_arrived(error)
        if error.job_id is not None or not error.retryable or (accepted_maybe and not repeatable):
            return None
        if failures > self.times or (error.retry_after or 0.0) > self.longest:
            return None
        if error.retry_after is None:
            own = min(_LONGEST_OWN_PAUSE, _FIRST_PAUSE * 2.0 ** (failures - 1))
            return own * random.uniform(0.5, 1.0)  # noqa: S311 - no secret # nosec B311
        return error.retry_after * random.uniform(1.0, 1.1)  # noqa: S311 - no secret: not all at once # nosec B311


def unreachable(error: httpx2.TransportError, url: str) -> Unavailable:
    """A failure of the transport as one of our errors."""
    told = Unavailable(
        f"no front end answers at {url} ({type(error).__name__})",
        hint="Start everything with `crypto-mcp run`, or correct the address.",
    )
    told.__cause__ = error
    return told


def sent(call: Call, url: str, retrying: Retrying, until: float | None = None) -> Exchange[httpx2.Response]:
    """The response of a call that succeeded, at the first try or a later one; raises what a front end tells.

    `until` (of the monotonic clock) is when nobody waits for it any more.
    """
    failures = 0
    while True:
        try:
            response = yield call
        except httpx2.TransportError as failed:
            error: CryptoMcpError = unreachable(failed, url)
        else:
            assert response is not None
            if response.status_code in call.answers:
                return response
            error = problem_of(response)
        failures += 1
        pause = retrying.pause(error, failures, repeatable=call.repeatable)
        if pause is None or (until is not None and time.monotonic() + pause > until):
            raise error
        yield Pause(pause)


def _never_arrived(error: CryptoMcpError) -> bool:
    return isinstance(error.__cause__, _NOT_SENT)
