"""Six digits that prove who has a phone: few a day, good for ten minutes, five tries."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from crypto_mcp.errors import InvalidRequest, StoreUnavailable, TooManyRequests

if TYPE_CHECKING:
    from redis.asyncio import Redis

GOOD_FOR = timedelta(minutes=10)
TRIES = 5
_DAY = 86_400
_OF_AN_OWNER, _OF_A_NUMBER = 20, 5


class WrongCode(InvalidRequest):
    """Not the code that was sent, or one that is too old."""

    code = "wrong_code"


def new_code() -> str:
    """Six digits."""
    return f"{secrets.randbelow(10**6):06d}"


def good_until() -> datetime:
    """Of a code that is sent now."""
    return datetime.now(UTC) + GOOD_FOR


async def count(redis: Redis, owner: str, mark: str) -> None:
    """One more code. `TooManyRequests` beyond the day's: codes must not be a way to pester a number."""
    try:
        for key, most in ((f"notify:codes:{owner}", _OF_AN_OWNER), (f"notify:codes:{mark}", _OF_A_NUMBER)):
            used = await redis.incr(key)
            if used == 1:
                await redis.expire(key, _DAY)
            if used > most:
                raise TooManyRequests(
                    f"{most} codes were sent within a day", hint="Try again tomorrow.", retry_after=_DAY
                )
    except (RedisError, OSError) as error:
        raise StoreUnavailable(f"Redis does not answer ({type(error).__name__})", retry_after=1) from error
