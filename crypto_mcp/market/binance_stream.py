"""Binance spot's WebSocket streams: one connection, and its events checked strictly.

Source: https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
"""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, InvalidURI, WebSocketException

from crypto_mcp.errors import SourceUnavailable
from crypto_mcp.market.candles import bad_data
from crypto_mcp.market.live import ClosedBar
from crypto_mcp.models.timeframes import Timeframe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from websockets.asyncio.client import ClientConnection

MOST_STREAMS = 1000
"""The exchange allows 1024 a connection."""

_NAMES_A_MESSAGE, _MESSAGES_A_SECOND = 200, 4
_OPEN_WITHIN = 10.0
_LARGEST_MESSAGE = 4 * 1024 * 1024


class Tick(NamedTuple):
    """A last price: as the exchange wrote it, its time in ms, and whose it is."""

    symbol: str
    price: str
    at: int
    source: str


class Bar(NamedTuple):
    """A bar so far, or for good (`closed`); when it was told, in ms."""

    bar: ClosedBar
    closed: bool
    at: int


class Shutdown(NamedTuple):
    """The exchange will end this connection soon."""

    at: int


Event = Tick | Bar | Shutdown


def price_stream(symbol: str) -> str:
    """Its last price, every second in which it changed."""
    return f"{symbol.lower()}@miniTicker"


def bar_stream(symbol: str, timeframe: Timeframe) -> str:
    """Its bar in progress, every two seconds, and the end of it."""
    return f"{symbol.lower()}@kline_{timeframe}"


class BinanceStream:
    """One open connection, in the combined form. Made by `open_stream`."""

    def __init__(self, socket: ClientConnection, source: str) -> None:
        self._socket = socket
        self._source = source
        self._numbers = itertools.count(1)

    async def subscribe(self, names: Sequence[str]) -> None:
        """More streams, as fast as the exchange allows. The acknowledgement proves nothing and is not waited for."""
        await self._ask("SUBSCRIBE", names)

    async def unsubscribe(self, names: Sequence[str]) -> None:
        """Fewer streams."""
        await self._ask("UNSUBSCRIBE", names)

    async def event(self, within: float) -> Event:
        """The next event.

        Raises:
            SourceUnavailable: the connection ended, or said nothing for so long.
            BadSourceData: a message that cannot be; the next one may be good.
        """
        try:
            async with asyncio.timeout(within):
                while True:
                    event = _event(await self._socket.recv(decode=False), self._source)
                    if event is not None:
                        return event
        except TimeoutError:
            raise _ended(f"said nothing for {within:.0f} seconds") from None
        except (WebSocketException, OSError) as error:
            raise _ended(str(error)) from error

    async def _ask(self, method: str, names: Sequence[str]) -> None:
        for first in range(0, len(names), _NAMES_A_MESSAGE):
            part = list(names[first : first + _NAMES_A_MESSAGE])
            try:
                await self._socket.send(
                    orjson.dumps({"method": method, "params": part, "id": next(self._numbers)}), text=True
                )
            except (WebSocketException, OSError) as error:
                raise _ended(str(error)) from error
            await asyncio.sleep(1 / _MESSAGES_A_SECOND)


@asynccontextmanager
async def open_stream(url: str) -> AsyncIterator[BinanceStream]:
    """A connection until the block ends. Raises `SourceUnavailable` if it cannot be opened."""
    try:
        # Pings are the exchange's to send; the library answers them. Ours would count against the message limit.
        socket = await connect(
            f"{url.rstrip('/')}/stream",
            ping_interval=None,
            open_timeout=_OPEN_WITHIN,
            close_timeout=1,
            max_size=_LARGEST_MESSAGE,
            user_agent_header="crypto-mcp",
        )
    except (InvalidHandshake, InvalidURI, OSError, TimeoutError) as error:
        raise _ended(str(error) or type(error).__name__) from error
    async with socket:
        sandbox = socket.response is not None and "x-sandbox" in socket.response.headers
        yield BinanceStream(socket, "sandbox" if sandbox else "binance")


def _ended(why: str) -> SourceUnavailable:
    return SourceUnavailable(f"the exchange's stream ended: {why}", hint="It is opened again by itself.", retry_after=1)


def _event(message: bytes, source: str) -> Event | None:
    """What a message says; None for answers to our own."""
    try:
        said = orjson.loads(message)
        data = said.get("data", said)
        kind = data.get("e")
        if kind == "24hrMiniTicker":
            return _tick(data, source)
        if kind == "kline":
            return _bar(data, source)
        if kind == "serverShutdown":
            return Shutdown(int(data["E"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise bad_data("a message of the stream of another shape") from error
    return None


def _tick(data: dict[str, Any], source: str) -> Tick:
    if not float(data["c"]) > 0 or type(data["E"]) is not int:
        raise bad_data("a price that cannot be")
    return Tick(str(data["s"]), str(data["c"]), data["E"], source)


def _bar(data: dict[str, Any], source: str) -> Bar:
    k = data["k"]
    timeframe, time, closed = Timeframe(k["i"]), k["t"], k["x"]
    if type(time) is not int or type(data["E"]) is not int or type(closed) is not bool:
        raise bad_data("a bar of another shape")
    bar = ClosedBar._make((str(data["s"]), timeframe, time, *(float(k[field]) for field in "ohlcv"), source))
    if not bar.possible:
        raise bad_data(f"a bar of {bar.symbol} that cannot be")
    return Bar(bar, closed, data["E"])
