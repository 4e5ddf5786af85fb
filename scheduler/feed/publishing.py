"""What the feed writes to Redis. Every write is fenced: a leader that was replaced unknowingly writes nothing."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from crypto_mcp.errors import CryptoMcpError
from crypto_mcp.jobs.scripting import unavailable
from crypto_mcp.market.live import (
    BARS,
    LIVE_TTL,
    PRICES_CHANNEL,
    PUBLISHED,
    bar_key,
    encoded_moves,
    price_key,
)
from crypto_mcp.stores.cache import Outage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from redis.asyncio import Redis

    from crypto_mcp.market.live import ClosedBar, LastPrice, PriceMove
    from scheduler.leader import Leadership

_TOKEN = "feed:token"  # noqa: S105 - a fencing token, no secret # nosec B105


class Fenced(CryptoMcpError):
    """Another scheduler leads; what this one wanted to write was not written."""

    code = "fenced"


class Publisher:
    """Writes of one leader. `queue` is Redis db 2, `cache` db 0."""

    def __init__(self, queue: Redis, cache: Redis, leadership: Leadership) -> None:
        self._queue = queue
        self._leadership = leadership
        self._bars = queue.register_script(_source("bars"))
        self._moves = queue.register_script(_source("moves"))
        self._keep = cache.register_script(_source("keep"))
        self._outage = Outage("live prices")

    async def newest_bars(self) -> dict[str, int]:
        """Open time of the newest bar told, by series. Raises `StoreUnavailable`."""
        try:
            cursors = await self._queue.hgetall(PUBLISHED)  # type: ignore[misc]
        except (RedisError, OSError) as error:
            raise unavailable(error) from error
        return {series.decode(): int(time) for series, time in cursors.items()}

    async def tell_bars(self, bars: Sequence[tuple[ClosedBar, int | None]]) -> list[str]:
        """Each bar with the open time of the one told before it. What became of each: see the script.

        Raises:
            StoreUnavailable: Redis does not answer. Repeating it is safe.
            Fenced: another leads.
        """
        args: list[str | bytes | int] = [self._leadership.proof]
        for bar, before in bars:
            args += [bar.series, "" if before is None else before, bar.open_time, bar.encoded()]
        said = await self._run(self._bars, [self._leadership.key, PUBLISHED, BARS], args)
        results = [result.decode() for result in said]
        await self._keep_for_a_while(
            {
                bar_key(bar.symbol, bar.timeframe): bar.encoded()
                for (bar, _), result in zip(bars, results, strict=True)
                if result == "new"
            }
        )
        return results

    async def tell_prices(self, moves: Iterable[PriceMove], prices: Mapping[str, LastPrice]) -> None:
        """Where prices went, to those who listen; and the last ones, for those who ask. Raises as `tell_bars`."""
        await self._run(
            self._moves, [self._leadership.key], [self._leadership.proof, PRICES_CHANNEL, encoded_moves(moves)]
        )
        await self._keep_for_a_while({price_key(symbol): price.encoded() for symbol, price in prices.items()})

    async def _run(self, script: Any, keys: list[str], args: list[Any]) -> Any:
        try:
            said = await script(keys=keys, args=args)
        except (RedisError, OSError) as error:
            raise unavailable(error) from error
        return _unless_fenced(said)

    async def _keep_for_a_while(self, values: Mapping[str, bytes]) -> None:
        """A cache that is away loses nothing: readers ask elsewhere."""
        if not values or self._outage.lasts:
            return
        try:
            said = await self._keep(
                keys=[_TOKEN, *values], args=[self._leadership.token or 0, LIVE_TTL, *values.values()]
            )
        except (RedisError, OSError) as error:
            self._outage.begin(error)
            return
        self._outage.end()
        _unless_fenced(said)


def _source(name: str) -> str:
    return files("scheduler.feed.scripts").joinpath(f"{name}.lua").read_text()


def _unless_fenced(said: Any) -> Any:
    if said == b"fenced":
        raise Fenced("another scheduler leads the feed", hint="This one stands by.")
    return said
