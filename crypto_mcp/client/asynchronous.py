"""The client for an event loop."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

import httpx2
import orjson

from crypto_mcp.client.connection import DEFAULT_URL, Connection
from crypto_mcp.client.exchange import Pause, unreachable
from crypto_mcp.client.following import Following
from crypto_mcp.client.operations import export_call
from crypto_mcp.client.problems import problem_of
from crypto_mcp.errors import CryptoMcpError
from crypto_mcp.job_kind import ParamsT, ResultT

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Mapping, Sequence
    from types import TracebackType

    from crypto_mcp.client.exchange import Call, Exchange
    from crypto_mcp.client.operations import AnyKind, Params
    from crypto_mcp.job_kind import JobKind, ListName
    from crypto_mcp.models.answers import Answer, JobRecord, JobState
    from crypto_mcp.models.rest import DeadLetter, Erased, Kind, StoredAnalysis

T = TypeVar("T")


class AsyncCryptoMcp:
    """A front end, asked from an event loop: `CryptoMcp`, awaited. Use it in an `async with`, or close it.

    Every method raises the errors of `crypto_mcp.errors`: by class, or by their stable `code`. What may be sent again
    is, after the pause that the front end asks for.

    Args:
        url: where the front end is.
        key: API key; a front end on this machine may need none.
        signing_secret: of that key (`crypto-mcp keys signing-secret`), for what must be signed; or the text of the
            private key (Ed25519, PEM) whose public half is registered for it (`crypto-mcp keys signing-key`).
        timeout: seconds for connecting, and for an answer that nobody waits with on purpose.
        retries: how often a request is sent again.
        longest_pause: seconds; a refusal that asks for a longer pause is raised at once, with its `retry_after`.
        verify: TLS context where the certificate is of a private authority.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        key: str | None = None,
        *,
        signing_secret: str | None = None,
        timeout: float = 10.0,
        retries: int = 3,
        longest_pause: float = 60.0,
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        self.url = url
        self._connection = Connection(
            url, key, signing_secret, timeout=timeout, retries=retries, longest_pause=longest_pause, verify=verify
        )
        self._ask = self._connection.operations
        self._http = httpx2.AsyncClient(**self._connection.options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes its connections."""
        await self._http.aclose()

    @overload
    async def ask(
        self, kind: JobKind[ParamsT, ResultT], params: ParamsT | Mapping[str, Any], *, within: float = ...,
        idempotency_key: str | None = ...,
    ) -> ResultT: ...  # fmt: skip
    @overload
    async def ask(
        self, kind: str, params: Params, *, within: float = ..., idempotency_key: str | None = ...
    ) -> dict[str, Any]: ...
    async def ask(
        self, kind: AnyKind, params: Params, *, within: float = 60.0, idempotency_key: str | None = None
    ) -> Any:
        """The result of a job, or of a cache; `TimedOut` if it is not there within so many seconds.

        A kind that changes something (`deposit`) goes with an idempotency key, made here if none is given: sent again
        after a failure it is still done once. Of a kind given by its name nobody knows, so give a key.
        """
        return await self._run(self._ask.ask(kind, params, within=within, idempotency_key=idempotency_key))

    @overload
    async def submit(
        self, kind: JobKind[ParamsT, ResultT], params: ParamsT | Mapping[str, Any], *, wait: float = ...,
        idempotency_key: str | None = ..., callback_url: str | None = ...,
    ) -> Answer[ResultT]: ...  # fmt: skip
    @overload
    async def submit(
        self, kind: str, params: Params, *, wait: float = ..., idempotency_key: str | None = ...,
        callback_url: str | None = ...,
    ) -> Answer[Any]: ...  # fmt: skip
    async def submit(
        self, kind: AnyKind, params: Params, *, wait: float = 0.0, idempotency_key: str | None = None,
        callback_url: str | None = None,
    ) -> Answer[Any]:  # fmt: skip
        """The answer if it is there within `wait` seconds, which the front end caps, else the job as it stands."""
        return await self._run(
            self._ask.submit(kind, params, wait=wait, idempotency_key=idempotency_key, callback_url=callback_url)
        )

    async def batch(
        self, jobs: Sequence[tuple[AnyKind, Params]], *, idempotency_key: str | None = None
    ) -> list[Answer[Any]]:
        """Any number of jobs, answered in their order; one that was refused has its `error`, and the others go on."""
        return await self._run(self._ask.batch(jobs, idempotency_key=idempotency_key))

    async def job(self, job_id: str, *, wait: float = 0.0) -> JobRecord:
        """How a job stands; with `wait` when it has ended, at the latest then."""
        return await self._run(self._ask.job(job_id, wait=wait))

    async def poll(self, job_id: str, *, within: float = 60.0, every: float = 0.25) -> AsyncIterator[JobRecord]:
        """How a job stands, again and again until it has ended or so many seconds are over."""
        until = time.monotonic() + within
        while True:
            record = await self.job(job_id)
            yield record
            if record.state.finished or time.monotonic() >= until:
                return
            await asyncio.sleep(every)

    async def events(self, job_id: str) -> AsyncIterator[JobRecord]:
        """How a job stands now, and each change as it happens, to its end; through streams that break on the way."""
        following = Following(job_id, self._ask.retrying)
        while not following.over:
            try:
                async with self._open(following.call) as response:
                    async for event in httpx2.EventSource(response):
                        if (record := following.read(event)) is not None:
                            yield record
            except CryptoMcpError as error:
                following.failed(error)
            if not following.over:
                await asyncio.sleep(following.pause)

    @overload
    async def wait(self, job_id: str, kind: JobKind[ParamsT, ResultT], *, within: float = ...) -> Answer[ResultT]: ...
    @overload
    async def wait(self, job_id: str, kind: None = ..., *, within: float = ...) -> Answer[Any]: ...
    async def wait(self, job_id: str, kind: AnyKind | None = None, *, within: float = 60.0) -> Answer[Any]:
        """The answer of a job, once it is there; the error of one that failed, `TimedOut` of one that goes on."""
        return await self._run(self._ask.waited(job_id, kind, within=within))

    @overload
    async def result(self, job_id: str, kind: JobKind[ParamsT, ResultT], *, wait: float = ...) -> Answer[ResultT]: ...
    @overload
    async def result(self, job_id: str, kind: None = ..., *, wait: float = ...) -> Answer[Any]: ...
    async def result(self, job_id: str, kind: AnyKind | None = None, *, wait: float = 0.0) -> Answer[Any]:
        """The answer of a job if it is there within `wait` seconds, else the job as it stands."""
        return await self._run(self._ask.result(job_id, kind, wait=wait))

    async def cancel(self, job_id: str) -> JobRecord:
        """Tells a job to stop. One that runs ends soon; one that has ended stays as it is."""
        return await self._run(self._ask.cancel(job_id))

    async def jobs(
        self, *, kind: str | None = None, state: JobState | str | None = None, limit: int | None = None
    ) -> AsyncIterator[JobRecord]:
        """Jobs of the last day, the newest first, page by page as they are read; at most `limit`."""
        listing = self._ask.jobs(kind, state, limit)
        while not listing.over:
            for each in await self._run(listing.page()):
                yield each

    async def analyses(
        self, symbol: str, *, timeframe: str | None = None, limit: int | None = None
    ) -> AsyncIterator[StoredAnalysis]:
        """Analyses of a symbol that were made in the last week, the newest first, page by page; at most `limit`."""
        listing = self._ask.analyses(symbol, timeframe, limit)
        while not listing.over:
            for each in await self._run(listing.page()):
                yield each

    async def kinds(self) -> list[Kind]:
        """What can be asked."""
        return await self._run(self._ask.kinds())

    async def file(self, path: str, query: Mapping[str, Any] | None = None, *, within: float = 60.0) -> bytes:
        """A picture or a report, such as `/v1/chart.png`, once it is made; `TimedOut` if it is not within so long."""
        return await self._run(self._ask.file(path, query or {}, within=within))

    async def health(self) -> dict[str, Any]:
        """What the front end can reach; also when that is not enough (`status` is `down`)."""
        return await self._run(self._ask.health())

    async def dead(self, list_name: ListName, *, limit: int = 50) -> list[DeadLetter]:
        """What failed for good on a list, the newest first."""
        return await self._run(self._ask.dead(list_name, limit))

    async def replay(self, list_name: ListName, job_id: str) -> str:
        """Puts a dead job back on its list; the id of the job it becomes. Signed."""
        return await self._run(self._ask.replay(list_name, job_id))

    async def drop(self, list_name: ListName, job_id: str) -> None:
        """Removes a dead job for good. Signed."""
        await self._run(self._ask.drop(list_name, job_id))

    async def export_user(self, user_id: str) -> AsyncIterator[dict[str, Any]]:
        """Everything that is kept of a user, a thing at a time; the last counts them. Signed."""
        async with self._open(export_call(user_id)) as response:
            async for line in response.aiter_lines():
                yield orjson.loads(line)

    async def erase_user(self, user_id: str) -> Erased:
        """Erases a user everywhere, for good; one that was cut off goes on when repeated. Signed."""
        return await self._run(self._ask.erase(user_id))

    async def request(self, call: Call) -> httpx2.Response:
        """Any other route, with the same key, repeats and errors."""
        return await self._run(self._ask.sent(call))

    async def _run(self, exchange: Exchange[T]) -> T:
        try:
            step = next(exchange)
            while True:
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    step = exchange.send(None)
                    continue
                try:
                    response = await self._http.send(
                        self._connection.request(self._http, step), auth=self._connection.auth(step)
                    )
                except httpx2.TransportError as error:
                    step = exchange.throw(error)
                else:
                    step = exchange.send(response)
        except StopIteration as end:
            result: T = end.value
            return result

    @asynccontextmanager
    async def _open(self, call: Call) -> AsyncIterator[httpx2.Response]:
        """The response of a call while its body still comes."""
        request = self._connection.request(self._http, call)
        try:
            response = await self._http.send(request, auth=self._connection.auth(call), stream=True)
            try:
                if response.status_code not in call.answers:
                    await response.aread()
                    raise problem_of(response)
                yield response
            finally:
                await response.aclose()
        except httpx2.TransportError as error:
            raise unreachable(error, self.url) from error
