"""What a client said and asked lately, shared by all front ends: `session:{client_id}` in Redis db 1, for an hour after
its last call.

A preference is a value for a parameter of that name, taken by every kind that has one and was not given it.
"""

from __future__ import annotations

import time
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from cachetools import LRUCache
from pydantic import Field, ValidationError
from redis.exceptions import RedisError

from crypto_mcp.errors import InvalidRequest, StoreUnavailable
from crypto_mcp.models.answers import Contract
from crypto_mcp.stores.cache import Outage
from crypto_mcp.validation import explain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel
    from redis.asyncio import Redis

    from crypto_mcp.job_kind import Catalogue, JobKind

TTL = 3600
_REMEMBERED = 2.0
_NOTED_AGAIN = 1.0
_MOST_REMEMBERED = 10_000
_NOTE = files("crypto_mcp.access").joinpath("session.lua").read_text()


class LastCall(Contract):
    """The newest call of a kind."""

    kind: str
    params: dict[str, Any]


class Session(Contract):
    """A client's session."""

    preferences: dict[str, Any] = Field({}, description="Values for parameters that a call does not give.")
    last: LastCall | None = Field(None, description="The newest call.")
    jobs: list[str] = Field([], description="Its newest jobs, the newest first.")
    symbols: list[str] = Field([], description="Symbols it asked about lately, the newest first.")
    log_level: str | None = Field(None, description="Least level of what MCP tells of its calls.")


class _Kept(NamedTuple):
    """What every call looks at."""

    preferences: dict[str, Any]
    log_level: str | None


_NOTHING_KEPT = _Kept({}, None)


class NothingToRepeat(InvalidRequest):
    """The client made no call within the last hour."""

    code = "nothing_to_repeat"
    http_status = 409


class Sessions:
    """Sessions of all clients. Where Redis is away a call goes on without; only asking for a session itself fails."""

    def __init__(self, redis: Redis, catalogue: Catalogue) -> None:
        self._redis = redis
        self._catalogue = catalogue
        self._note = redis.register_script(_NOTE)
        self._known: LRUCache[str, tuple[float, _Kept]] = LRUCache(_MOST_REMEMBERED)
        self._noted: LRUCache[str, tuple[float, str]] = LRUCache(_MOST_REMEMBERED)
        self._outage = Outage("Redis for sessions")

    async def of(self, client: str) -> Session:
        """The session, empty if there is none. `StoreUnavailable` if Redis does not answer."""
        try:
            kept = await self._redis.hgetall(_key(client))  # type: ignore[misc]
        except (RedisError, OSError) as error:
            raise _unavailable(error) from error
        return Session.model_validate({name.decode(): orjson.loads(value) for name, value in kept.items()})

    async def prefer(self, client: str, changes: Mapping[str, Any]) -> Session:
        """Sets preferences; None takes one back. `InvalidRequest` for what no kind takes."""
        for name, value in changes.items():
            if value is not None:
                self._check(name, value)
        session = await self.of(client)
        preferences = {name: value for name, value in {**session.preferences, **changes}.items() if value is not None}
        await self._keep(client, "preferences", preferences)
        return session.model_copy(update={"preferences": preferences})

    async def set_log_level(self, client: str, level: str) -> None:
        """Keeps the least level of what the client wants to be told. `StoreUnavailable` if Redis does not answer."""
        await self._keep(client, "log_level", level)

    async def log_level(self, client: str) -> str | None:
        """That level, if it set one."""
        return (await self._remembered(client)).log_level

    async def _keep(self, client: str, field: str, value: Any) -> None:
        try:
            async with self._redis.pipeline() as pipe:
                pipe.hset(_key(client), field, orjson.dumps(value).decode())
                pipe.expire(_key(client), TTL)
                await pipe.execute()
        except (RedisError, OSError) as error:
            raise _unavailable(error) from error
        self._known.pop(client, None)

    async def completed(self, client: str, kind: JobKind[Any, Any], arguments: Any) -> Any:
        """The arguments with what the client prefers for those it did not give."""
        if not isinstance(arguments, dict):
            return arguments
        preferred = (await self._remembered(client)).preferences
        fitting = {name: value for name, value in preferred.items() if name in kind.params.model_fields}
        return {**fitting, **arguments} if fitting else arguments

    async def note(self, client: str, kind: JobKind[Any, Any], params: BaseModel, job_id: str | None) -> None:
        """Remembers a call. The same again, answered by a cache, is not worth a write more than once a second."""
        if self._outage.lasts:
            return
        given = params.model_dump(mode="json", exclude_unset=True)
        last = orjson.dumps({"kind": kind.name, "params": given}).decode()
        at, noted = self._noted.get(client, (0.0, ""))
        if job_id is None and noted == last and time.monotonic() - at < _NOTED_AGAIN:
            return
        self._noted[client] = (time.monotonic(), last)
        symbol = given.get("symbol", "")
        try:
            await self._note(
                keys=[_key(client)], args=[last, job_id or "", symbol if isinstance(symbol, str) else "", TTL]
            )
        except (RedisError, OSError) as error:
            self._outage.begin(error)
        else:
            self._outage.end()

    async def repeated(self, client: str, changes: Mapping[str, Any]) -> tuple[JobKind[Any, Any], dict[str, Any]]:
        """The last call with some parameters changed. `NothingToRepeat` if there was none within the hour."""
        last = (await self.of(client)).last
        if last is None:
            raise NothingToRepeat("there is no earlier call to repeat", hint="Call the tool itself.")
        return self._catalogue[last.kind], {**last.params, **changes}

    async def _remembered(self, client: str) -> _Kept:
        at, known = self._known.get(client, (0.0, _NOTHING_KEPT))
        if time.monotonic() - at < _REMEMBERED or self._outage.lasts:
            return known
        try:
            preferences, level = await self._redis.hmget(_key(client), ["preferences", "log_level"])  # type: ignore[misc]
        except (RedisError, OSError) as error:
            self._outage.begin(error)
            return known
        self._outage.end()
        kept = _Kept(orjson.loads(preferences or b"{}"), orjson.loads(level or b"null"))
        self._known[client] = (time.monotonic(), kept)
        return kept

    def _check(self, name: str, value: Any) -> None:
        """Every kind that has such a parameter must accept the value."""
        takers = [kind for kind in self._catalogue.tools() if name in kind.params.model_fields and kind.example]
        if not takers:
            known = sorted({field for kind in self._catalogue.tools() for field in kind.params.model_fields})
            raise InvalidRequest(f"no kind has a parameter {name[:80]!r}", hint=f"Known: {', '.join(known)}.")
        for kind in takers:
            try:
                kind.params.model_validate({**kind.example, name: value})
            except ValidationError as error:
                raise InvalidRequest(explain(error), hint=f"{kind.name} would refuse it.") from None


def _key(client: str) -> str:
    return f"session:{client}"


def _unavailable(error: Exception) -> StoreUnavailable:
    return StoreUnavailable(
        f"Redis does not answer ({type(error).__name__})", hint="Sessions are back when it is.", retry_after=2
    )
