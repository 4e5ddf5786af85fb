"""Whose turn it is to be sent to, shared by all workers (Redis db 1): order, limits, digests, stops.

A provider's limits are kept before it has to say so: messages a second of a number, and messages to one person, which
Meta allows at one in six seconds with a burst that has to be paid back.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from crypto_mcp.errors import StoreUnavailable

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from crypto_mcp.settings import NotifySettings

_SCRIPT = files("crypto_mcp.notify").joinpath("pacing.lua").read_text()

_MARGIN = 4.0
"""Seconds a lane outlives the longest request: who holds a lane after that may send again what it finds unfinished."""

_POLL = 0.1


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a kind of channel goes.

    Attributes:
        sender_interval: seconds between two messages of the sender, on the average.
        ahead: seconds that a burst may go ahead of that.
        pair_interval, pair_burst: the same for one person, in messages.
        digest_after, digest_window: messages within so many seconds after which others are gathered; 0: never.
    """

    sender_interval: float = 0.0
    ahead: float = 0.0
    pair_interval: float = 0.0
    pair_burst: int = 1
    digest_after: int = 0
    digest_window: float = 0.0


UNLIMITED = Pace()


def pace_of(sender: str, settings: NotifySettings) -> Pace:
    """The pace of a sender, by its name."""
    pair = {
        "pair_interval": settings.pair_seconds,
        "pair_burst": settings.pair_burst,
        "digest_after": settings.digest_after,
        "digest_window": settings.digest_window,
    }
    if sender == "meta":
        return Pace(sender_interval=1 / settings.meta_per_second, ahead=0.5, **pair)  # type: ignore[arg-type]
    if sender == "waha":
        return Pace(sender_interval=settings.waha_seconds_between, **pair)  # type: ignore[arg-type]
    return UNLIMITED


@dataclass(frozen=True, slots=True)
class Turn:
    """A lane is ours until it is left, or a little longer than a request may take.

    Attributes:
        refused: whether the provider found the last message to this person too much.
    """

    lane: str
    sender: str
    pair: str
    token: str
    pace: Pace
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """It is not our turn: `why` is lane, pair, digest, sender, lost or stopped."""

    seconds: float
    why: str
    said: str = ""


class Pacing:
    """Every method raises `StoreUnavailable` when Redis does not answer."""

    def __init__(self, redis: Redis, settings: NotifySettings) -> None:
        self._script = redis.register_script(_SCRIPT)
        self._settings = settings
        self._life = _ms(settings.timeout + _MARGIN)

    async def take(self, channel_id: str, sender: str, pair: str, *, critical: bool) -> Turn | Wait:
        """The lane of a channel, if the sender is not stopped and the person may be told one more."""
        pace = pace_of(sender, self._settings)
        turn = Turn(f"notify:lane:{channel_id}", f"notify:sender:{sender}", _pair(pair), secrets.token_hex(8), pace)
        wait = await self._run(
            [turn.lane, turn.sender, turn.pair],
            "take", turn.token, self._life, _ms(pace.pair_interval), pace.pair_burst, pace.digest_after,
            _ms(pace.digest_window), int(critical),
        )  # fmt: skip
        if wait.why == "go":
            return replace(turn, refused=wait.seconds > 0)
        return Wait(min(wait.seconds, _POLL), wait.why) if wait.why == "lane" else wait

    async def charge(self, turn: Turn) -> Wait | None:
        """Counts one message, just before it goes; how long it has to wait if it may not."""
        pace = turn.pace
        wait = await self._run(
            [turn.lane, turn.sender, turn.pair],
            "charge", turn.token, self._life, _ms(pace.pair_interval), pace.pair_burst, _ms(pace.digest_window),
            _ms(pace.sender_interval), _ms(pace.ahead),
        )  # fmt: skip
        return None if wait.why == "go" else wait

    async def leave(self, turn: Turn) -> None:
        """The lane is free."""
        await self._run([turn.lane], "leave", turn.token)

    async def refused(self, turn: Turn) -> None:
        """The provider finds that this person gets too much: 1, 4, 16, 64, 256 seconds of rest."""
        await self._run([turn.pair], "hold")

    async def went(self, turn: Turn) -> None:
        """A message went after refusals."""
        await self._run([turn.pair], "went")

    async def stop(self, turn: Turn, seconds: float, why: str) -> None:
        """Nothing goes by this sender for so long."""
        await self._run([turn.sender], "stop", _ms(seconds), why)

    async def _run(self, keys: list[str], *args: str | int) -> Wait:
        try:
            verdict, wait, said = await self._script(keys=keys, args=list(args))
        except (RedisError, OSError) as error:
            raise StoreUnavailable(
                f"Redis does not answer ({type(error).__name__})", hint="The job is repeated by itself.", retry_after=1
            ) from error
        return Wait(int(wait) / 1000, verdict.decode(), said.decode())


def _pair(person: str) -> str:
    return f"notify:pair:{person}"


def _ms(seconds: float) -> int:
    return int(seconds * 1000 + 0.5)
