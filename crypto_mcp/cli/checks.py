"""What `crypto-mcp doctor` looks at. Each check answers with findings and raises nothing."""

from __future__ import annotations

import asyncio
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2
from redis.exceptions import RedisError

from crypto_mcp.cli.check_channels import channels
from crypto_mcp.cli.check_issuer import issuer
from crypto_mcp.cli.findings import Finding, Level
from crypto_mcp.cli.front_end import own_front_end
from crypto_mcp.errors import CryptoMcpError
from crypto_mcp.job_kind import LISTS
from crypto_mcp.jobs.connection import connect
from crypto_mcp.jobs.dead import DeadLetters
from crypto_mcp.jobs.leases import known_workers
from crypto_mcp.local.ports import is_free
from crypto_mcp.stores.mongo import MongoStore
from crypto_mcp.stores.postgres import PostgresStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pydantic import SecretStr

    from crypto_mcp.settings import Settings

_PACKAGES = ("mcp", "arq", "redis", "motor", "asyncpg", "ta-lib", "numba", "polars")


async def examine(settings: Settings) -> list[Finding]:
    """All checks, those that ask others at the same time."""
    asked = await asyncio.gather(
        _redis("Redis (cache)", settings.redis.cache_url, settings, keeps_jobs=False),
        _redis("Redis (sessions)", settings.redis.session_url, settings, keeps_jobs=False),
        _redis("Redis (queues)", settings.redis.queue_url, settings, keeps_jobs=True),
        _workers(settings),
        _mongo(settings),
        _postgres(settings),
        _exchange(settings),
        _front_end(settings),
        channels(settings.notify),
        issuer(settings.oauth),
    )
    return [*_python(), *(finding for findings in asked for finding in findings)]


def _python() -> list[Finding]:
    installed = []
    for name in _PACKAGES:
        try:
            installed.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            installed.append(f"{name} not installed")
    where = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info < (3, 11):  # noqa: UP036 - said to those who run it anyway
        return [Finding(Level.WRONG, "Python", where, "Use Python 3.11, 3.12 or 3.13.")]
    return [Finding(Level.FINE, "Python", where), Finding(Level.FINE, "Packages", ", ".join(installed))]


async def _redis(subject: str, url: SecretStr, settings: Settings, *, keeps_jobs: bool) -> list[Finding]:

    client = connect(url, settings.redis)
    try:
        began = time.perf_counter()
        await client.ping()
        took = f"{(time.perf_counter() - began) * 1000:.1f} ms"
        info: dict[str, Any] = await client.info()
        found = [Finding(Level.FINE, subject, f"{_place(url)}, Redis {info['redis_version']}, {took}")]
        return found + (_jobs_are_safe(subject, info) if keeps_jobs else [])
    except (RedisError, OSError) as error:
        return [_away(subject, url, error, "CRYPTO_MCP_REDIS__*_URL")]
    finally:
        await client.aclose()


def _jobs_are_safe(subject: str, info: dict[str, Any]) -> list[Finding]:
    found = []
    policy = info.get("maxmemory_policy", "unknown")
    if policy != "noeviction":
        found.append(
            Finding(
                Level.WRONG,
                subject,
                f"maxmemory-policy is {policy}: jobs may be evicted",
                "CONFIG SET maxmemory-policy noeviction, or give the queues their own instance.",
            )
        )
    if not info.get("aof_enabled"):
        found.append(
            Finding(
                Level.WRONG,
                subject,
                "no append-only file: a restart of Redis loses jobs",
                "CONFIG SET appendonly yes, and in redis.conf.",
            )
        )
    elif info.get("aof_last_write_status") != "ok":
        found.append(Finding(Level.WRONG, subject, "the append-only file cannot be written", "Is the disk full?"))
    return found or [Finding(Level.FINE, subject, "never evicts, appends to a file")]


async def _workers(settings: Settings) -> list[Finding]:
    """Every list has a living worker, and nothing died."""

    client = connect(settings.redis.queue_url, settings.redis)
    try:
        workers = await known_workers(client)
        dead = await DeadLetters(client, settings.queue).counts()
    except CryptoMcpError:
        return []  # said already
    finally:
        await client.aclose()
    alive = [info for info in workers.values() if info is not None]
    found = [Finding(Level.FINE, "Workers", f"{len(alive)} alive")] if alive else []
    for name in LISTS:
        if not any(name in _lists(info) for info in alive):
            hint = f"crypto-mcp worker {name}"
            found.append(Finding(Level.WARNING, "Workers", f"nobody works on {name}", hint))
        if dead[name]:
            hint = f"crypto-mcp dead list {name}"
            found.append(Finding(Level.WARNING, "Workers", f"{dead[name]} jobs of {name} failed for good", hint))
    return found


def _lists(info: dict[str, object]) -> list[str]:
    lists = info.get("lists")
    return lists if isinstance(lists, list) else []


async def _mongo(settings: Settings) -> list[Finding]:

    store = MongoStore(settings.mongo)
    try:
        return await _ask("MongoDB", settings.mongo.url, store.ping, "CRYPTO_MCP_MONGO__URL")
    finally:
        await store.close()


async def _postgres(settings: Settings) -> list[Finding]:

    store = PostgresStore(settings.postgres)
    try:
        return await _ask("PostgreSQL", settings.postgres.url, store.ping, "CRYPTO_MCP_POSTGRES__URL")
    finally:
        await store.close()


async def _ask(subject: str, url: SecretStr, ping: Callable[[], Awaitable[None]], setting: str) -> list[Finding]:
    began = time.perf_counter()
    try:
        await ping()
    except CryptoMcpError as error:
        return [_away(subject, url, error, setting)]
    return [Finding(Level.FINE, subject, f"{_place(url)}, {(time.perf_counter() - began) * 1000:.1f} ms")]


async def _exchange(settings: Settings) -> list[Finding]:

    url = settings.market.binance_url
    try:
        async with httpx2.AsyncClient(timeout=settings.market.timeout) as client:
            began = time.perf_counter()
            response = await client.get(f"{url}/api/v3/ping")
            took = f"{(time.perf_counter() - began) * 1000:.0f} ms"
    except httpx2.HTTPError as error:
        hint = "Is this machine online? `crypto-mcp run` without --live brings its own exchange."
        return [Finding(Level.WRONG, "Exchange", f"{url} does not answer ({type(error).__name__})", hint)]
    if response.is_error:
        hint = "451 and 403 mean that it does not serve this country; set CRYPTO_MCP_MARKET__BINANCE_URL."
        return [Finding(Level.WRONG, "Exchange", f"{url} answers {response.status_code}", hint)]
    return [Finding(Level.FINE, "Exchange", f"{url}, {took}")]


async def _front_end(settings: Settings) -> list[Finding]:

    def ask() -> dict[str, Any]:
        with own_front_end(settings) as client:
            return client.health() | {"url": client.url}

    try:
        health = await asyncio.to_thread(ask)
    except CryptoMcpError as error:
        return _port_of_front_end(settings, error)
    if health.get("status") == "ok":
        return [Finding(Level.FINE, "Front end", f"{health['url']}, version {health.get('version')}")]
    away = [f"{name}: {said.get('reason')}" for name, said in health.get("checks", {}).items() if "reason" in said]
    level = Level.WARNING if health.get("status") == "degraded" else Level.WRONG
    return [Finding(level, "Front end", f"{health['url']} is {health.get('status')}; {'; '.join(away)}")]


def _port_of_front_end(settings: Settings, error: CryptoMcpError) -> list[Finding]:

    port = settings.server.port
    if is_free(port):
        return [Finding(Level.WRONG, "Front end", error.message, error.hint)]
    hint = "End that program, or set CRYPTO_MCP_SERVER__PORT to another port."
    return [Finding(Level.WRONG, "Front end", f"port {port} is taken by a program that is not the front end", hint)]


def _away(subject: str, url: SecretStr, error: Exception, setting: str) -> Finding:
    said = error.message if isinstance(error, CryptoMcpError) else f"{type(error).__name__}: {error}"
    hint = f"Start everything with `crypto-mcp run`, or correct {setting}."
    return Finding(Level.WRONG, subject, f"{_place(url)} does not answer ({said})", hint)


def _place(url: SecretStr) -> str:
    """Host, port and path of a URL, without its login."""

    parts = urlsplit(url.get_secret_value())
    return f"{parts.hostname}:{parts.port}{parts.path if parts.path != '/' else ''}"
