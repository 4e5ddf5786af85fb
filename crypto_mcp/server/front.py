"""What a front-end process holds: one client of the queue, one subscription, its caches."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

import httpx2

from crypto_mcp.access.directory import Directory
from crypto_mcp.access.keyring import Keyring
from crypto_mcp.access.rates import RateLimits
from crypto_mcp.access.sessions import Sessions
from crypto_mcp.access.signatures import Signatures
from crypto_mcp.errors import SourceUnavailable
from crypto_mcp.jobs.client import JobClient
from crypto_mcp.jobs.connection import connect
from crypto_mcp.jobs.dead import DeadLetters
from crypto_mcp.jobs.waiting import Watcher
from crypto_mcp.server.answering import Answering
from crypto_mcp.server.callers import Callers
from crypto_mcp.server.health import Check, Health
from crypto_mcp.server.infrastructure import Performance
from crypto_mcp.server.pulse import telling
from crypto_mcp.server.recording import Recorder
from crypto_mcp.stores.cache import MemoryCache, ResultCache
from crypto_mcp.stores.executions import Executions
from crypto_mcp.stores.mongo import MongoStore
from crypto_mcp.stores.tool_log import ToolLog
from crypto_mcp.trust import trust

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from redis.asyncio import Redis

    from crypto_mcp.access.tokens import AccessTokens
    from crypto_mcp.job_kind import Catalogue
    from crypto_mcp.settings import AccessSettings, OAuthSettings, Settings
    from crypto_mcp.stores.postgres import PostgresStore

_CACHE_ANSWERS_WITHIN = 0.5
_MARKET_CHECKED_EVERY = 15.0


@dataclass(frozen=True, slots=True)
class Front:
    """The open connections, as tools and routes use them."""

    answering: Answering
    jobs: JobClient
    dead: DeadLetters
    stored: MongoStore
    health: Health
    callers: Callers
    connections: Mapping[str, Redis]
    cache: ResultCache
    tool_log: ToolLog | None
    performance: Performance
    keyring: Keyring | None
    tokens: AccessTokens | None
    executions: Executions | None
    signatures: Signatures | None


def prepare(settings: Settings) -> None:
    """What takes time and is the same in each process, done before they are forked."""
    trust(settings.market.binance_url)
    if "postgres" in settings.model_fields_set:
        import_module("crypto_mcp.stores.postgres")


@asynccontextmanager
async def open_front(settings: Settings, catalogue: Catalogue) -> AsyncIterator[Front]:
    """Connects when first used: a store that is away at the start does not keep the front end from starting."""
    async with AsyncExitStack() as stack:
        queue = connect(settings.redis.queue_url, settings.redis)
        answers = connect(settings.redis.cache_url, settings.redis, answer_within=_CACHE_ANSWERS_WITHIN)
        sessions = connect(settings.redis.session_url, settings.redis, answer_within=_CACHE_ANSWERS_WITHIN)
        mongo = MongoStore(settings.mongo)
        http = await stack.enter_async_context(httpx2.AsyncClient(verify=trust(settings.market.binance_url)))
        for close in (queue.aclose, answers.aclose, sessions.aclose, mongo.close):
            stack.push_async_callback(close)
        watcher = await stack.enter_async_context(Watcher(lambda: connect(settings.redis.queue_url, settings.redis)))
        checks = [
            Check("queue", queue.ping, needed=True),
            Check("cache", answers.ping),
            Check("mongodb", mongo.ping),
            Check("market", _market(http, settings.market.binance_url), good_for=_MARKET_CHECKED_EVERY),
        ]
        keyring = tool_log = executions = None
        if "postgres" in settings.model_fields_set:
            from crypto_mcp.stores.postgres import PostgresStore

            postgres = PostgresStore(settings.postgres)
            stack.push_async_callback(postgres.close)
            checks.append(Check("postgresql", postgres.ping))
            keyring, executions = _keyring(postgres, settings.access), Executions(postgres)
            tool_log = await stack.enter_async_context(ToolLog(postgres, settings.server.spool))
        callers = Callers(RateLimits(sessions, settings.access), Sessions(sessions, catalogue), Recorder(tool_log))
        jobs = JobClient(queue, settings.queue)
        memory = MemoryCache(settings.server.memory_cache)
        results = ResultCache(answers, memory)
        answering = Answering(catalogue, jobs, watcher, results, mongo, settings, callers)
        performance = Performance()
        await stack.enter_async_context(telling(queue, performance))
        yield Front(
            answering=answering,
            jobs=jobs,
            dead=DeadLetters(queue, settings.queue),
            stored=mongo,
            health=Health(checks),
            callers=callers,
            connections={"queue": queue, "cache": answers, "sessions": sessions},
            cache=results,
            tool_log=tool_log,
            performance=performance,
            keyring=keyring,
            tokens=None if settings.oauth.issuer is None else await stack.enter_async_context(_tokens(settings.oauth)),
            executions=executions,
            signatures=_signatures(sessions, settings.access),
        )


def _keyring(postgres: PostgresStore, settings: AccessSettings) -> Keyring | None:
    """Without a pepper there are no keys."""
    if settings.pepper is None:
        return None
    pepper = settings.pepper.get_secret_value()
    return Keyring(Directory(postgres, pepper), pepper)


@asynccontextmanager
async def _tokens(settings: OAuthSettings) -> AsyncIterator[AccessTokens]:
    from crypto_mcp.access.issuer import IssuerKeys
    from crypto_mcp.access.tokens import AccessTokens

    async with httpx2.AsyncClient() as http:
        yield AccessTokens(settings, IssuerKeys(settings, http))


def _signatures(redis: Redis, settings: AccessSettings) -> Signatures | None:
    """None where nothing has to be signed."""
    if settings.pepper is None or not settings.signatures:
        return None
    return Signatures(redis, settings.pepper.get_secret_value())


def _market(http: httpx2.AsyncClient, base_url: str) -> Callable[[], Awaitable[None]]:
    async def ping() -> None:
        try:
            response = await http.get(f"{base_url}/api/v3/ping")
        except httpx2.HTTPError as error:
            raise SourceUnavailable(f"the market source does not answer ({type(error).__name__})") from error
        if response.is_error:
            raise SourceUnavailable(f"the market source answers {response.status_code}")

    return ping
