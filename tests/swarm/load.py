"""Steady calls through nginx and TLS, as automations make them, and a tally of what became of each.

Jobs are submitted over REST, each with an `Idempotency-Key` of its own: a submission that fails is counted, and
repeated with the same key until it is accepted, as docs/rest.md tells clients to do. Beside them an MCP client of the
official package opens a connection, calls a tool and closes, again and again.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import ssl
import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

_TIMEOUT = 30.0
_REPEAT_AFTER = 0.5
_LONGEST_PAUSE = 8.0
_REPEAT_FOR = 120.0


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that was not answered as it should be."""

    at: float
    how: str
    why: str


@dataclass(slots=True)
class Tally:
    """What became of the calls. Times are of `time.monotonic`."""

    submissions: int = 0
    mcp_calls: int = 0
    failures: list[Failure] = field(default_factory=list)
    accepted: dict[str, str] = field(default_factory=dict)
    never_accepted: int = 0

    def failed_since(self, at: float) -> Counter[str]:
        """Failures from a moment on, by how the call was made and what it met."""
        return Counter(f"{each.how} {each.why}" for each in self.failures if each.at >= at)


class Load:
    """Calls at a pace (submissions a second), spread over keys so that no client's limit is met."""

    def __init__(self, url: str, authority: str, keys: Sequence[str], pace: float) -> None:
        self.tally = Tally()
        self._url, self._pace = url, pace
        self._trusting = ssl.create_default_context(cafile=authority)
        self._keys = itertools.cycle(keys)
        self._work = some_work()
        self._stop = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Tally]:
        """Calls while inside; every call is over when it ends."""
        tasks = [asyncio.create_task(self._submit_steadily()), asyncio.create_task(self._call_over_mcp())]
        try:
            yield self.tally
        finally:
            self._stop.set()
            await asyncio.gather(*tasks)

    async def _submit_steadily(self) -> None:
        async with (
            httpx2.AsyncClient(base_url=self._url, verify=self._trusting, timeout=_TIMEOUT) as http,
            asyncio.TaskGroup() as group,
        ):
            while not self._stop.is_set():
                group.create_task(self._submit(http))
                await asyncio.sleep(1 / self._pace)

    async def _submit(self, http: httpx2.AsyncClient) -> None:
        kind, params = next(self._work)
        headers = {"Idempotency-Key": secrets.token_hex(12), "Authorization": f"Bearer {next(self._keys)}"}
        self.tally.submissions += 1
        until, pause = time.monotonic() + _REPEAT_FOR, _REPEAT_AFTER
        while time.monotonic() < until:
            why = await self._try(http, kind, params, headers)
            if why is None:
                return
            self.tally.failures.append(Failure(time.monotonic(), "rest", why))
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        self.tally.never_accepted += 1

    async def _try(
        self, http: httpx2.AsyncClient, kind: str, params: dict[str, Any], headers: dict[str, str]
    ) -> str | None:
        """None if the job was accepted, else what the call met."""
        try:
            answer = await http.post(f"/v1/jobs/{kind}", json=params, headers=headers)
            said = answer.json() if "json" in answer.headers.get("content-type", "") else {}
        except (httpx2.HTTPError, ValueError) as error:
            return type(error).__name__
        if answer.status_code not in (200, 202):
            return f"{answer.status_code} {said.get('code', '')}".strip()
        self.tally.accepted[said["job_id"]] = kind
        return None

    async def _call_over_mcp(self) -> None:
        headers = {"Authorization": f"Bearer {next(self._keys)}"}
        for number in itertools.count():
            if self._stop.is_set():
                return
            self.tally.mcp_calls += 1
            try:
                async with (
                    asyncio.timeout(_TIMEOUT),
                    httpx2.AsyncClient(headers=headers, verify=self._trusting, timeout=_TIMEOUT) as http,
                    Client(streamable_http_client(f"{self._url}/mcp", http_client=http)) as client,
                ):
                    answer = await client.call_tool("risk_assessment", _a_risk(50_000 + number))
                said = answer.structured_content or {}
                if said.get("status") not in ("done", "running", "queued", "retrying"):
                    self._mcp_failed(str((said.get("error") or {}).get("code", said.get("status"))))
            except Exception as error:  # noqa: BLE001 - whatever the client raises, the call has failed
                self._mcp_failed(_innermost(error))
            await asyncio.sleep(0.5)

    def _mcp_failed(self, why: str) -> None:
        self.tally.failures.append(Failure(time.monotonic(), "mcp", why))


def some_work() -> Iterator[tuple[str, dict[str, Any]]]:
    """Jobs without end, none equal to another, for every list that clients submit to."""
    for number in itertools.count(1):
        match number % 6:
            case 0:
                yield "historical_backtest", a_backtest(number)
            case 1 | 3 | 5:
                yield "risk_assessment", _a_risk(number)
            case 2:
                yield "analyze_crypto", {"symbol": "BTCUSDT", "timeframe": "1h", "bars": 300 + number % 700}
            case _:
                yield "alert_manager", {"action": "create", "condition": f"BTC > {900_000 + number}"}


def a_backtest(number: int) -> dict[str, Any]:
    """A backtest that differs from others by its number."""
    return {
        "symbols": [("BTCUSDT", "ETHUSDT", "SOLUSDT")[number % 3]],
        "timeframe": "4h",
        "strategy": "ema_cross",
        "parameters": {"fast": 3 + number % 40, "slow": 50 + (number // 40) % 140},
    }


def _a_risk(number: int) -> dict[str, Any]:
    return {"symbol": "BTCUSDT", "entry": str(20_000 + number), "stop": str(19_000 + number), "account_size": "10000"}


def _innermost(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__
