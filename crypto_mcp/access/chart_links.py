"""Links to one chart that open without a key: for phones, which have none. They end, and end early with their owner.

    https://crypto.example.com/v1/linked-chart.png?link=<what is drawn, for whom, until when>.<HMAC-SHA256 of that>

Whom it is for is a random mark, which the database knows and nobody else can read: it is deleted with the owner's data,
and with it every link. What is signed is all that is drawn, so a link leads to nothing else, and to no list.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crypto_mcp import base64url
from crypto_mcp.errors import Forbidden

if TYPE_CHECKING:
    from collections.abc import Callable

PATH = "/v1/linked-chart.png"
LONGEST = 400
"""Characters: more than any link has."""


class BadLink(Forbidden):
    """The link was not made here, was altered, or is for somebody whose data is gone."""

    code = "bad_link"


class LinkExpired(Forbidden):
    """The link was good, and is not any more."""

    code = "link_expired"
    http_status = 410


@dataclass(frozen=True, slots=True)
class ChartLink:
    """What a link leads to: `mark` is its owner's, `until` seconds since the epoch."""

    mark: str
    symbol: str
    timeframe: str
    until: int


class ChartLinks:
    """Makes links and reads them. The pepper is the same wherever they are made and read."""

    def __init__(self, pepper: str, clock: Callable[[], float] = time.time) -> None:
        self._key = hmac.digest(pepper.encode(), b"links to charts", hashlib.sha256)
        self._clock = clock

    def written(self, link: ChartLink) -> str:
        """The value of `link` in the query: the same for the same link."""
        told = "\n".join((link.mark, link.symbol, link.timeframe, str(link.until))).encode()
        return f"{base64url.encode(told)}.{base64url.encode(self._mac(told))}"

    def read(self, text: str) -> ChartLink:
        """The link that was written so. `BadLink`, or `LinkExpired` of one that was good."""
        told, _, mac = text[:LONGEST].partition(".")
        try:
            content, given = _bytes(told), _bytes(mac)
        except ValueError:
            raise no_link() from None
        if not hmac.compare_digest(self._mac(content), given):
            raise no_link()
        mark, symbol, timeframe, until = content.decode().split("\n")
        if self._clock() >= int(until):
            raise LinkExpired("this link to a chart has ended", hint="A newer message has a newer one.")
        return ChartLink(mark, symbol, timeframe, int(until))

    def _mac(self, told: bytes) -> bytes:
        return hmac.digest(self._key, told, hashlib.sha256)


def no_link() -> BadLink:
    """What is said of every link that is none, whatever is wrong with it."""
    return BadLink("this is no link to a chart", hint="Open it as it was sent, whole.")


def _bytes(text: str) -> bytes:
    """`ValueError` for whatever is not written exactly so: there is one way to write a link."""
    raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if base64url.encode(raw) != text:
        raise ValueError(text)
    return raw
