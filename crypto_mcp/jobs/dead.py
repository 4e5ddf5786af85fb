"""What failed for good: looking at it, replaying it, dropping it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from pydantic import ValidationError
from redis.exceptions import RedisError

from crypto_mcp.errors import InvalidRequest
from crypto_mcp.job_kind import LISTS
from crypto_mcp.jobs import keys
from crypto_mcp.jobs.envelope import Envelope, new_id
from crypto_mcp.jobs.scripting import Scripts, unavailable
from crypto_mcp.models.rest import DeadLetter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from redis.asyncio import Redis

    from crypto_mcp.settings import QueueSettings

_PAGE, _MANY = 100, 1000


class NoDeadLetter(InvalidRequest):
    """No entry of that id in the dead list."""

    code = "unknown_dead_letter"
    http_status = 404


class NotReplayable(InvalidRequest):
    """The entry cannot become a job again."""

    code = "not_replayable"
    http_status = 409


class DeadLetters:
    """The `dead:{list}` lists. Every method raises `StoreUnavailable` when Redis does not answer."""

    def __init__(self, redis: Redis, settings: QueueSettings) -> None:
        self._redis = redis
        self._settings = settings
        self._scripts = Scripts(redis)

    async def counts(self) -> dict[str, int]:
        """Entries by list."""
        try:
            pipe = self._redis.pipeline(transaction=False)
            for name in LISTS:
                pipe.llen(keys.dead(name))
            return dict(zip(LISTS, await pipe.execute(), strict=True))
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    async def entries(self, list_name: str, *, limit: int = 50, offset: int = 0) -> list[DeadLetter]:
        """Entries, newest first."""
        rows = await self._rows(list_name, offset, limit)
        return [DeadLetter.model_validate(orjson.loads(row)) for row in rows]

    async def show(self, list_name: str, job_id: str) -> DeadLetter:
        """One entry; `NoDeadLetter` if it is not there."""
        return DeadLetter.model_validate(orjson.loads(await self._find(list_name, job_id)))

    async def replay(self, list_name: str, letter_id: str) -> str:
        """Puts an entry's envelope back on its list as a fresh job and returns that job's id.

        The job keeps its id, so that effects it had before it died are repeated onto themselves.
        """
        row = await self._find(list_name, letter_id)
        letter = DeadLetter.model_validate(orjson.loads(row))
        body, envelope = _pushed(letter)
        job_id = envelope.id or (letter.job_id if letter.attempts else new_id())
        outcome = await self._scripts.run(
            "replay",
            (keys.dead(list_name), list_name),
            (
                row,
                job_id,
                orjson.dumps(body | {"id": job_id}),
                envelope.kind,
                envelope.reply_to or "",
                envelope.client or "",
                envelope.trace or "",
                self._settings.recent,
            ),
        )
        if outcome == b"busy":
            raise NotReplayable(f"a job {job_id} is under way", hint="Wait for it, then replay this entry.")
        if outcome == b"gone":
            raise _none(list_name, letter_id)
        return job_id

    async def drop(self, list_name: str, job_id: str) -> None:
        """Removes an entry for good."""
        await self.drop_rows(list_name, [await self._find(list_name, job_id)])

    async def rows(self, list_name: str, most: int = 20_000) -> list[bytes]:
        """Entries as they lie there, newest first."""
        found: dict[bytes, None] = {}  # what dies meanwhile moves the others on
        while rows := await self._rows(list_name, len(found), min(_MANY, most - len(found))):
            before = len(found)
            found |= dict.fromkeys(rows)
            if len(found) in (before, most):
                break
        return list(found)

    async def drop_rows(self, list_name: str, rows: Iterable[bytes]) -> None:
        """Removes entries for good."""
        try:
            pipe = self._redis.pipeline(transaction=True)
            for row in rows:
                pipe.lrem(keys.dead(list_name), -1, row)  # type: ignore[arg-type]
            await pipe.execute()
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    async def _find(self, list_name: str, job_id: str) -> bytes:
        offset = 0
        while rows := await self._rows(list_name, offset, _PAGE):
            for row in rows:
                if orjson.loads(row)["job_id"] == job_id:
                    return row
            offset += _PAGE
        raise _none(list_name, job_id)

    async def _rows(self, list_name: str, offset: int, limit: int) -> list[bytes]:
        if list_name not in LISTS:
            raise InvalidRequest(f"there is no list {list_name[:40]!r}", hint=f"The lists are {', '.join(LISTS)}.")
        try:
            rows: list[bytes] = await self._redis.lrange(keys.dead(list_name), offset, offset + limit - 1)  # type: ignore[misc]
        except (RedisError, OSError) as error:
            raise unavailable(error) from error
        return rows


def _pushed(letter: DeadLetter) -> tuple[dict[str, Any], Envelope]:
    """What was pushed, as it was and as it is understood."""
    try:
        body = orjson.loads(letter.envelope or "")
        return body, Envelope.model_validate(body)
    except (orjson.JSONDecodeError, ValidationError):
        raise NotReplayable("the entry is no envelope", hint="Push a corrected one and drop this entry.") from None


def _none(list_name: str, job_id: str) -> NoDeadLetter:
    return NoDeadLetter(
        f"no entry {job_id[:64]!r} in dead:{list_name}", hint="`crypto-mcp dead list` shows what is there."
    )
