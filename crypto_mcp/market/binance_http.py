"""Asking Binance: the one place where a request leaves, is repeated, is refused.

Wire facts: https://developers.binance.com/docs/binance-spot-api-docs (rest-api, errors). Errors are told apart by their
code, messages may change.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpx2
import orjson
import stamina
import structlog

from crypto_mcp.errors import InvalidRequest, SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crypto_mcp.settings import MarketSettings

log = structlog.get_logger(__name__)

INVALID_SYMBOL, ILLEGAL_CHARACTERS = -1121, -1100
_PASSING = frozenset({-1000, -1001, -1006, -1007, -1008})
_IM_A_TEAPOT = 418  # an IP ban, not a joke
_PAUSE_WITHOUT_ADVICE = 60.0
_PAUSE_AFTER_FORBIDDEN = 300.0
_AT_ONCE = 8
"""Requests on their way at a time: when the first is refused, no more than these can follow it into a ban."""

_KEPT_OPEN_FOR = 30.0
"""Seconds an idle connection is kept: making one anew costs three round trips."""

_FAILURES_IN_A_ROW, _BREATHER = 3, 5.0
"""After so many calls that failed in all their attempts, calls fail at once for so many seconds."""

_BANNED_UNTIL = re.compile(r"banned until (\d{13})")


class SourceRefuses(InvalidRequest):
    """The exchange refuses this request for good: asked again it will say the same."""

    code = "source_refuses"

    def __init__(self, message: str, *, hint: str = "", binance_code: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.binance_code = binance_code


class SourceForbidden(SourceUnavailable):
    """The exchange does not serve this location: a setting has to change, time alone will not help."""

    code = "source_forbidden"
    retryable = False


class _Passing(Exception):
    """Worth another try within this call."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A good answer: its JSON, its headers, and the seconds the exchange took."""

    body: Any
    headers: Mapping[str, str]
    seconds: float


class BinanceHttp:
    """GET with retries for what passes, and a latch for what must not be repeated.

    While the latch is on no request leaves: asking on during a 429 turns it into a ban, and asking on during a ban
    lengthens it. `_once` is the only place that sends, so a limit shared with others belongs there.
    """

    def __init__(self, settings: MarketSettings) -> None:
        self._client = httpx2.AsyncClient(
            base_url=settings.binance_url,
            timeout=settings.timeout,
            limits=httpx2.Limits(max_connections=_AT_ONCE, keepalive_expiry=_KEPT_OPEN_FOR),
            headers={"accept": "application/json", "user-agent": "crypto-mcp"},
        )
        self.host = self._client.base_url.host
        self._attempts = settings.attempts
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self._latched_until = 0.0
        self._latched_by: SourceUnavailable | None = None
        self._failures = 0

    async def get(self, path: str, params: Mapping[str, str | int] | None = None) -> Reply:
        """The answer; `SourceUnavailable` with when to come back, or `SourceRefuses`."""
        try:
            async for attempt in stamina.retry_context(
                on=_Passing, attempts=self._attempts, timeout=None, wait_initial=0.1, wait_max=2.0, wait_jitter=0.2
            ):
                with attempt:
                    return await self._once(path, params or {})
        except _Passing as error:
            raise self._failed(str(error)) from error
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()

    async def _once(self, path: str, params: Mapping[str, str | int]) -> Reply:
        async with self._at_once:
            self._check_latch()
            began = time.monotonic()
            try:
                response = await self._client.get(path, params=dict(params))
            except httpx2.RequestError as error:
                raise _Passing(f"{type(error).__name__} {error}".strip()) from error
            if response.status_code != HTTPStatus.OK:
                raise self._refusal(response)
            reply = Reply(_json(response), response.headers, time.monotonic() - began)
        self._failures = 0
        return reply

    def _check_latch(self) -> None:
        left = self._latched_until - time.monotonic()
        if left > 0 and self._latched_by is not None:
            raise type(self._latched_by)(
                f"{self._latched_by.message}; not asked again before that is over",
                hint=self._latched_by.hint if not self._latched_by.retryable else f"Try again in {left:.0f} seconds.",
                retry_after=round(left, 1),
            )

    def _refusal(self, response: httpx2.Response) -> Exception:
        """What an answer other than 200 means."""
        code, message = _error_body(response)
        status = response.status_code
        if status in (HTTPStatus.TOO_MANY_REQUESTS, _IM_A_TEAPOT):
            why = "has banned this address" if status == _IM_A_TEAPOT else "asks to slow down"
            return self._latch(_pause(response, message), why)
        if status == HTTPStatus.FORBIDDEN:
            return self._latch(_PAUSE_AFTER_FORBIDDEN, "forbids requests from this address")
        if status == HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS:
            elsewhere = "Set CRYPTO_MCP_MARKET__BINANCE_URL to a host that does, such as the public market data host."
            return self._latch(_PAUSE_AFTER_FORBIDDEN, "does not serve this location", SourceForbidden, elsewhere)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or code in _PASSING:
            return _Passing(f"HTTP {status}, code {code}" if code else f"HTTP {status}")
        return SourceRefuses(
            f"{self.host} refuses the request: {message[:200]} (HTTP {status}, code {code})",
            hint="Check symbol, timeframe and number of bars.",
            binance_code=code,
        )

    def _latch(
        self, seconds: float, why: str, kind: type[SourceUnavailable] = SourceUnavailable, hint: str = ""
    ) -> SourceUnavailable:
        """No request leaves for so long. A shorter pause does not end a longer one."""
        error = kind(
            f"{self.host} {why}", hint=hint or f"Try again in {seconds:.0f} seconds.", retry_after=round(seconds, 1)
        )
        until = time.monotonic() + seconds
        if until > self._latched_until:
            self._latched_until, self._latched_by = until, error
            log.warning("exchange refuses for now", host=self.host, why=why, seconds=round(seconds, 1))
        return error

    def _failed(self, why: str) -> SourceUnavailable:
        """All attempts of a call failed; when that happens again and again, the next callers need not wait for it."""
        self._failures += 1
        if self._failures >= _FAILURES_IN_A_ROW:
            return self._latch(_BREATHER, f"does not answer: {why}")
        return SourceUnavailable(
            f"{self.host} does not answer: {why}", hint="Try again in a minute.", retry_after=_BREATHER
        )


def _json(response: httpx2.Response) -> Any:
    try:
        return orjson.loads(response.content)
    except orjson.JSONDecodeError as error:
        raise _Passing("the answer is no JSON") from error


def _error_body(response: httpx2.Response) -> tuple[int, str]:
    """Code and message; a firewall answers in HTML, then 0 and nothing."""
    try:
        body = orjson.loads(response.content)
        return int(body["code"]), str(body["msg"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return 0, ""


def _pause(response: httpx2.Response, message: str) -> float:
    """Seconds to keep away: the later of the header and the time a ban's message names."""
    try:
        advised = float(response.headers.get("retry-after", _PAUSE_WITHOUT_ADVICE))
    except ValueError:
        advised = _PAUSE_WITHOUT_ADVICE
    if until := _BANNED_UNTIL.search(message):
        advised = max(advised, int(until.group(1)) / 1000 - time.time())
    return max(1.0, advised)
