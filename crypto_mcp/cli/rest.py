"""The front end, as the command line calls it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

import httpx2

from crypto_mcp.errors import CryptoMcpError, TimedOut, Unavailable
from crypto_mcp.local.ports import http_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

    from crypto_mcp.settings import Settings

_FIRST_WAIT = 0.25
_POLL = 0.25
_LONG_WAIT = 20.0
FINISHED = frozenset({"done", "failed", "cancelled", "dead"})
"""States in which nothing more happens to a job by itself."""


class FrontEnd:
    """A context manager. Raises `Unavailable` if nobody answers, and what the front end says is wrong."""

    def __init__(self, settings: Settings) -> None:
        self.url = http_url(settings.server.host, settings.server.port)
        self._http = httpx2.Client(base_url=self.url, timeout=settings.server.request_timeout + 5)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def jobs(self, *, state: str | None, kind: str | None, limit: int) -> list[dict[str, Any]]:
        """The newest jobs first."""
        wanted = {"state": state, "kind": kind, "limit": limit}
        jobs: list[dict[str, Any]] = self._ask(
            "GET", "/v1/jobs", params={name: value for name, value in wanted.items() if value is not None}
        )["jobs"]
        return jobs

    def submit(self, kind: str, params: Mapping[str, Any], *, wait: float = _FIRST_WAIT) -> dict[str, Any]:
        """A job's answer if it is there within `wait` seconds, else how the job stands."""
        return self._ask("POST", f"/v1/jobs/{kind}", params={"wait": wait}, json=dict(params))

    def follow(self, job_id: str, within: float) -> Iterator[dict[str, Any]]:
        """The job's record again and again until it has finished or `within` seconds are over."""
        deadline = time.monotonic() + within
        while True:
            record = self._ask("GET", f"/v1/jobs/{job_id}")
            yield record
            if record["state"] in FINISHED or time.monotonic() >= deadline:
                return
            time.sleep(_POLL)

    def result(self, job_id: str) -> dict[str, Any]:
        """The answer of a job."""
        return self._ask("GET", f"/v1/jobs/{job_id}/result")

    def chart(self, wanted: Mapping[str, Any], within: float) -> bytes:
        """A picture as PNG; `TimedOut` if it is not drawn within so many seconds."""
        return self.file("/v1/chart.png", within, wanted)

    def file(self, path: str, within: float, wanted: Mapping[str, Any] | None = None) -> bytes:
        """What a route of files answers; `TimedOut` if it is not made within so many seconds."""
        deadline = time.monotonic() + within
        while True:
            response = self._send("GET", path, params={**(wanted or {}), "wait": min(_LONG_WAIT, within)})
            if response.status_code == httpx2.codes.OK:
                return response.content
            self._read(response)
            if time.monotonic() >= deadline:
                name = path.rpartition("/")[2]
                raise TimedOut(f"no {name} within {within:g} s", hint="Are there workers? `crypto-mcp doctor` says.")

    def health(self) -> dict[str, Any]:
        """What the front end can reach; also when that is not enough."""
        return self._send("GET", "/health").json()  # type: ignore[no-any-return]

    def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        return self._read(self._send(method, path, **options))

    def _read(self, response: httpx2.Response) -> dict[str, Any]:
        try:
            body: dict[str, Any] = response.json()
        except ValueError:
            raise Unavailable(
                f"{self.url} answered {response.status_code} and no JSON", hint=f"Is it the front end? {_START}"
            ) from None
        if response.is_error:
            raise _told(body.get("code", "internal_error"), body.get("detail", ""), body.get("hint", ""))
        return body

    def _send(self, method: str, path: str, **options: Any) -> httpx2.Response:
        try:
            return self._http.request(method, path, **options)
        except httpx2.TransportError as error:
            raise Unavailable(f"no front end answers at {self.url} ({type(error).__name__})", hint=_START) from error


_START = "Start everything with `crypto-mcp run`, or set CRYPTO_MCP_SERVER__HOST and CRYPTO_MCP_SERVER__PORT."


def finished(answer: Mapping[str, Any]) -> bool:
    """Whether an answer is final."""
    return answer.get("status") in FINISHED


def _told(code: str, message: str, hint: str) -> CryptoMcpError:
    """An error of the front end as one of ours, with its code."""
    family = type("ToldByFrontEnd", (CryptoMcpError,), {"code": code})
    error: CryptoMcpError = family(message, hint=hint)
    return error
