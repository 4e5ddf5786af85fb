"""Asking a provider over HTTP: the one place where a request leaves, is repeated, is refused, is shared.

In the order in which it happens: somebody else may be asking for the same (`flights`); nobody may ask at all while the
provider said to keep away, and nobody beyond its allowance (`allowance`); a host that is away is not tried by everybody
(`breaker`); what passes is tried again (stamina).
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import httpx2
import orjson
import stamina
import structlog
import zstandard

from crypto_mcp.errors import CryptoMcpError, SourceUnavailable
from crypto_mcp.market.allowance.asking import asking
from crypto_mcp.market.allowance.limiter import Said, Stopped
from crypto_mcp.market.allowance.turns import Halted, Turns
from crypto_mcp.market.breaker import FIRST_BREATHER, Breaker
from crypto_mcp.market.refusals import Passing, SourceForbidden, Stop
from crypto_mcp.market.sharing import Sharing
from crypto_mcp.trust import trust

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from crypto_mcp.market.allowance.limiter import Go
    from crypto_mcp.market.allowance.pool import Pool
    from crypto_mcp.market.flights import Flights
    from crypto_mcp.market.refusals import Judge
    from crypto_mcp.settings import MarketSettings

log = structlog.get_logger(__name__)

T = TypeVar("T")
Params = dict[str, str | int]

_CONNECTIONS = 24
_KEPT_OPEN_FOR = 30.0
"""Seconds an idle connection is kept: making one anew costs three round trips."""

_INTRODUCED_AGAIN_AFTER = 60.0
"""Seconds after which a provider that did not tell its limit is asked for it again."""

_SHARED_HEADERS = ("x-sandbox", "x-sandbox-shift-ms", "x-sandbox-replay")
_STOP_KINDS = {kind.code: kind for kind in (SourceUnavailable, SourceForbidden)}


@dataclass(frozen=True, slots=True)
class Provider:
    """An outside system as it is spoken to.

    Attributes:
        name: as results name it.
        base_url: with the path all routes begin with.
        pools: what every request counts for, unless it says otherwise.
        judge: reads its refusals.
        headers: sent with each request, such as a key.
        used_header: in which it tells what was used of the first pool; empty if it does not.
    """

    name: str
    base_url: str
    pools: tuple[Pool, ...]
    judge: Judge
    headers: Mapping[str, str]
    used_header: str = ""


@dataclass(frozen=True, slots=True)
class Reply(Generic[T]):
    """A good answer.

    Attributes:
        body: what `read` made of its JSON.
        headers: those that say where it is from.
        seconds: the provider took.
        stamp: what the asking call passed as `stamp`: of a shared answer that of whoever asked.
    """

    body: T
    headers: Mapping[str, str]
    seconds: float
    stamp: float

    @property
    def sandbox(self) -> bool:
        """Whether a sandbox answered, whatever the settings call it."""
        return "x-sandbox" in self.headers


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """What to ask.

    Attributes:
        path, params: of the request.
        read: checks the JSON and raises `BadSourceData`; what it refuses is not shared as an answer.
        cost: what the request counts for, by pool; empty: `weight` in each of the provider's pools.
        keep: seconds for which the answer serves other processes too; 0: they ask themselves.
        stamp: comes back in the reply, see there.
        first: asks without the limit being known.
    """

    path: str
    read: Callable[[Any], T]
    params: Params = field(default_factory=dict)
    weight: int = 1
    cost: Mapping[Pool, int] = field(default_factory=dict)
    keep: float = 0.0
    stamp: float = 0.0
    first: bool = False


class ProviderHttp:
    """GET. One for a process and provider."""

    def __init__(self, provider: Provider, settings: MarketSettings, sharing: Sharing | None = None) -> None:
        self.provider = provider
        self._client = httpx2.AsyncClient(
            base_url=provider.base_url,
            verify=trust(provider.base_url),
            timeout=settings.timeout,
            limits=httpx2.Limits(max_connections=_CONNECTIONS, keepalive_expiry=_KEPT_OPEN_FOR),
            headers={"accept": "application/json", "user-agent": "crypto-mcp", **provider.headers},
        )
        self.host = self._client.base_url.host
        self._urls: dict[str, httpx2.URL] = {}
        self._attempts = settings.attempts
        self._sharing = sharing or Sharing.alone(settings)
        self._turns = Turns(self._sharing.limiter, self.host)
        self._breaker = Breaker()
        self._introduce: Callable[[], Awaitable[Any]] | None = None
        self._introduce_from = 0.0
        self._introducing = asyncio.Lock()

    def introduce_by(self, ask: Callable[[], Awaitable[Any]]) -> None:
        """`ask` is called before the first request unless the limit is known: it asks for it (with `first`) and tells
        it by `learn_limit`. Should it fail, the published limit counts.
        """
        self._introduce = ask

    async def ask(self, question: Question[T]) -> Reply[T]:
        """The answer.

        Raises:
            SourceUnavailable: it does not answer, or refuses for now: `retry_after` says when to come back.
            SourceRefuses: it will never answer that.
        """
        if self._introduce is not None and not question.first:
            await self._make_acquaintance()
        if not question.keep or self._sharing.flights is None or asking().alone:
            return (await self._ask(question))[0]
        return await self._shared(question, self._sharing.flights)

    async def _shared(self, question: Question[T], flights: Flights) -> Reply[T]:
        own: list[Reply[T]] = []

        async def fetch() -> bytes:
            reply, content = await self._ask(question)
            own.append(reply)
            return _packed(reply, content)

        packed = await flights.get(self._key(question), question.keep, fetch)
        return own[0] if own else _unpacked(packed, question.read)

    async def learn_limit(self, pool: Pool, limit: int) -> None:
        """The provider said how much it allows."""
        await self._sharing.limiter.learn(pool, -1, Said(limit=limit))

    async def learn_time(self, milliseconds: float) -> None:
        """The provider's clock showed this just now."""
        for pool in self.provider.pools:
            await self._sharing.limiter.learn(pool, -1, Said(time=milliseconds))

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()

    def _url(self, path: str) -> httpx2.URL:
        """Made once: a path is parsed three times on its way otherwise."""
        if path not in self._urls:
            self._urls[path] = self._client.build_request("GET", path).url
        return self._urls[path]

    def _key(self, question: Question[Any]) -> str:
        asked = "&".join(f"{name}={value}" for name, value in sorted(question.params.items()))
        return f"market:{self.provider.name}:{self._client.base_url.netloc.decode()}{question.path}?{asked}"

    async def _make_acquaintance(self) -> None:
        async with self._introducing:
            ask = self._introduce
            if ask is None or time.monotonic() < self._introduce_from:
                return
            try:
                if not await self._sharing.limiter.knows_limit(self.provider.pools[0]):
                    await ask()
            except CryptoMcpError as error:
                self._introduce_from = time.monotonic() + _INTRODUCED_AGAIN_AFTER
                log.info("the provider's limit is not known yet", provider=self.provider.name, error=error.message)
            else:
                self._introduce = None

    async def _ask(self, question: Question[T]) -> tuple[Reply[T], bytes]:
        """The answer and its body as it came."""
        self._look_at_breaker()
        attempts = 1 if self._breaker.trying else self._attempts
        self._breaker.try_one()
        try:
            async for attempt in stamina.retry_context(
                on=Passing, attempts=attempts, timeout=None, wait_initial=0.1, wait_max=2.0, wait_jitter=0.2
            ):
                with attempt:
                    response, seconds = await self._once(question)
                    body = question.read(_json(response))
                    return Reply(body, response.headers, seconds, question.stamp), response.content
        except Passing as error:
            self._breaker.failed(str(error))
            raise self._away() from error
        raise AssertionError("unreachable")

    async def _once(self, question: Question[Any]) -> tuple[httpx2.Response, float]:
        cost = question.cost or dict.fromkeys(self.provider.pools, question.weight)
        try:
            async with self._turns.turn(cost) as leaves:
                began = time.monotonic()
                try:
                    response = await self._client.get(self._url(question.path), params=question.params)
                except httpx2.RequestError as error:
                    raise Passing(f"{type(error).__name__} {error}".strip()) from error
                seconds = time.monotonic() - began
                await self._learn(response, leaves)
                if response.status_code == HTTPStatus.OK:
                    self._breaker.answered()
                    return response, seconds
                raise await self._refusal(response, next(iter(cost)))
        except Halted as halted:
            raise _still(halted.stopped) from None

    async def _learn(self, response: httpx2.Response, leaves: dict[Pool, Go]) -> None:
        said = response.headers.get(self.provider.used_header, "") if self.provider.used_header else ""
        pool = self.provider.pools[0]
        if said.isdigit() and pool in leaves:
            await self._sharing.limiter.learn(pool, leaves[pool].window, Said(used=int(said)))

    async def _refusal(self, response: httpx2.Response, pool: Pool) -> Exception:
        judgement = self.provider.judge(response, self.host)
        if isinstance(judgement, Passing):
            return judgement
        self._breaker.answered()
        if not isinstance(judgement, Stop):
            return judgement
        if judgement.limit is not None:
            await self.learn_limit(pool, judgement.limit)
        said = f"{self.host} {judgement.why}"
        log.warning("provider refuses for now", provider=self.provider.name, why=said, seconds=judgement.seconds)
        why = {"code": judgement.kind.code, "message": said, "hint": judgement.hint}
        await self._sharing.limiter.stop(pool, judgement.seconds, why)
        return judgement.kind(
            said,
            hint=judgement.hint or f"Try again in {judgement.seconds:.0f} seconds.",
            retry_after=round(judgement.seconds, 1),
        )

    def _look_at_breaker(self) -> None:
        left = self._breaker.open_for
        if left > 0:
            raise SourceUnavailable(
                f"{self.host} does not answer: {self._breaker.known}; not asked again for {left:.0f} seconds",
                hint=f"Try again in {max(1, left):.0f} seconds.",
                retry_after=round(max(1.0, left), 1),
            )

    def _away(self) -> SourceUnavailable:
        return SourceUnavailable(
            f"{self.host} does not answer: {self._breaker.known}",
            hint="Try again in a minute.",
            retry_after=round(max(FIRST_BREATHER, self._breaker.open_for), 1),
        )


def _still(stopped: Stopped) -> SourceUnavailable:
    """The provider's refusal, told to those who come while it lasts."""
    why = stopped.why
    kind = _STOP_KINDS.get(why["code"], SourceUnavailable)
    left = max(1.0, stopped.seconds)
    hint = why["hint"] or f"Try again in {left:.0f} seconds."
    return kind(f"{why['message']}; not asked again before that is over", hint=hint, retry_after=round(left, 1))


def _json(response: httpx2.Response) -> Any:
    try:
        return orjson.loads(response.content)
    except orjson.JSONDecodeError as error:
        raise Passing("the answer is no JSON") from error


def _packed(reply: Reply[Any], content: bytes) -> bytes:
    head = {name: reply.headers[name] for name in _SHARED_HEADERS if name in reply.headers}
    said = orjson.dumps({"headers": head, "seconds": reply.seconds, "stamp": reply.stamp})
    return zstandard.compress(said + b"\n" + content, 1)


def _unpacked(packed: bytes, read: Callable[[Any], T]) -> Reply[T]:
    said, _, content = zstandard.decompress(packed).partition(b"\n")
    head = orjson.loads(said)
    return Reply(read(orjson.loads(content)), head["headers"], head["seconds"], head["stamp"])
