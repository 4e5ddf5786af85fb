"""Connections to Redis, as the queue needs them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from hiredis import pack_command
from redis.asyncio import Connection, Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeout

from crypto_mcp.errors import InvalidRequest
from crypto_mcp.jobs.scripting import unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import SecretStr

    from crypto_mcp.settings import RedisSettings

# A socket that says nothing for so long is cut: a dead peer behind a proxy sends no reset.
ANSWER_WITHIN = 5.0


class EvictingRedis(InvalidRequest):
    """The queue's Redis may evict keys, so jobs would be lost under memory pressure."""

    code = "evicting_redis"


class _Cancellable:
    """Sends without `asyncio.wait_for`.

    On Python 3.11 that loses a cancellation which comes just as the bytes are sent (cpython issue 86296): a worker told
    to stop then went on for ever. It also takes a task for each command.
    """

    socket_timeout: float | None

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        within, self.socket_timeout = self.socket_timeout, None  # without one of its own redis-py sends in place
        try:
            async with asyncio.timeout(within):
                await super().send_packed_command(command, check_health)  # type: ignore[misc]
        except TimeoutError:
            raise RedisTimeout("Timeout writing to socket") from None
        finally:
            self.socket_timeout = within


class _Packed:
    """Packs commands in C, as redis-py's blocking connections do: a script's call took a third of a job's time."""

    def pack_command(self, *args: Any) -> list[bytes]:
        if isinstance(args[0], str) and " " not in args[0]:
            try:
                return [pack_command(args)]
            except TypeError:  # such as a subclass of int, or what redis-py refuses in its own words
                pass
        return cast("list[bytes]", super().pack_command(*args))  # type: ignore[misc]

    def pack_commands(self, commands: Iterable[Iterable[Any]]) -> list[bytes]:
        return [b"".join([piece for command in commands for piece in self.pack_command(*command)])]


class _Tcp(_Cancellable, _Packed, Connection):
    pass


class _Tls(_Cancellable, _Packed, SSLConnection):
    pass


class _Unix(_Cancellable, _Packed, UnixDomainSocketConnection):
    pass


_CONNECTIONS = {"redis": _Tcp, "rediss": _Tls, "unix": _Unix}


def connect(url: SecretStr, settings: RedisSettings, *, answer_within: float | None = ANSWER_WITHIN) -> Redis:
    """A client that replies in bytes. Retries are ours: every caller knows what may be repeated."""
    text = url.get_secret_value()
    client: Redis = Redis.from_url(
        text,
        connection_class=_CONNECTIONS.get(urlsplit(text).scheme, Connection),
        socket_connect_timeout=settings.connect_timeout,
        socket_timeout=answer_within,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
    )
    return client


def database_number(url: SecretStr) -> int:
    """Number of the database a URL names; 0 if it names none."""
    path = urlsplit(url.get_secret_value()).path.strip("/")
    return int(path) if path.isdigit() else 0


def same_instance(one: SecretStr, other: SecretStr) -> bool:
    """Whether two URLs name databases of one Redis, so that one script can write both."""
    a, b = urlsplit(one.get_secret_value()), urlsplit(other.get_secret_value())
    return (a.scheme, a.netloc) == (b.scheme, b.netloc)


async def refuse_eviction(redis: Redis, *, allowed: bool) -> None:
    """Raises `EvictingRedis` if the instance has a policy under which jobs could be evicted."""
    try:
        reply = await redis.config_get("maxmemory-policy")
    except RedisError as error:
        if "config" not in str(error).lower():
            raise unavailable(error) from error
        return  # managed services forbid CONFIG; doctor says so
    policy = _text(next(iter(reply.values()), b"noeviction"))
    if policy != "noeviction" and not allowed:
        raise EvictingRedis(
            f"the queue's Redis has maxmemory-policy {policy}: under memory pressure it would evict jobs",
            hint="Run `CONFIG SET maxmemory-policy noeviction`, give the queues an instance of their own "
            "(CRYPTO_MCP_REDIS__QUEUE_URL), or accept the loss with --allow-eviction.",
        )


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
