"""How Binance is spoken to: its hosts, its allowances, and what its refusals mean.

Wire facts: https://developers.binance.com/docs/binance-spot-api-docs (rest-api, errors) and
https://developers.binance.com/docs/derivatives/usds-margined-futures. Errors are told apart by their code, messages may
change.
"""

from __future__ import annotations

import re
import time
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import orjson

from crypto_mcp.market.allowance.pool import Pool
from crypto_mcp.market.provider_http import Provider, ProviderHttp
from crypto_mcp.market.refusals import (
    PAUSE_WITHOUT_ADVICE,
    Passing,
    SourceForbidden,
    SourceRefuses,
    Stop,
    retry_after,
)

if TYPE_CHECKING:
    import httpx2

    from crypto_mcp.market.refusals import Judgement
    from crypto_mcp.market.sharing import Sharing
    from crypto_mcp.settings import MarketSettings

INVALID_SYMBOL, ILLEGAL_CHARACTERS = -1121, -1100
_PASSING = frozenset({-1000, -1001, -1006, -1007, -1008})
_IM_A_TEAPOT = 418  # an IP ban, not a joke
_PAUSE_AFTER_FORBIDDEN = 300.0
_USED = "x-mbx-used-weight-1m"

_BANNED_UNTIL = re.compile(r"banned until (\d{13})")
_LIMIT = re.compile(r"current limit (?:of IP\([^)]*\) )?is (\d+)")

_SPOT_WEIGHT, _FUTURES_WEIGHT = 6000, 2400
_FUNDING_REQUESTS, _STATISTICS_REQUESTS, _FIVE_MINUTES = 500, 1000, 300


def spot_http(settings: MarketSettings, sharing: Sharing | None = None) -> ProviderHttp:
    """The spot market: 6,000 weight a minute and address, unless it says otherwise."""
    url = settings.binance_url
    pools = (Pool(f"binance-spot@{_place(url)}", _SPOT_WEIGHT),)
    return ProviderHttp(Provider("binance", url, pools, judge, {}, _USED), settings, sharing)


def futures_http(settings: MarketSettings, sharing: Sharing | None = None) -> ProviderHttp:
    """USD-M futures: 2,400 weight a minute and address."""
    url = settings.binance_futures_url
    pools = (Pool(f"binance-futures@{_place(url)}", _FUTURES_WEIGHT),)
    return ProviderHttp(Provider("binance-futures", url, pools, judge, {}, _USED), settings, sharing)


def funding_pool(settings: MarketSettings) -> Pool:
    """Funding rates have an allowance of their own, without a header that tells its use."""
    return _five_minutes("funding", settings, _FUNDING_REQUESTS)


def statistics_pool(settings: MarketSettings) -> Pool:
    """So have the statistics below `/futures/data`."""
    return _five_minutes("statistics", settings, _STATISTICS_REQUESTS)


def _five_minutes(name: str, settings: MarketSettings, limit: int) -> Pool:
    place = _place(settings.binance_futures_url)
    return Pool(f"binance-{name}@{place}", limit, seconds=_FIVE_MINUTES, halved=True)


def _place(url: str) -> str:
    return urlsplit(url).netloc


def judge(response: httpx2.Response, host: str) -> Judgement:
    """See `Judge`."""
    code, message = _error_body(response)
    status = response.status_code
    if status in (HTTPStatus.TOO_MANY_REQUESTS, _IM_A_TEAPOT):
        why = "has banned this address" if status == _IM_A_TEAPOT else "asks to slow down"
        limit = _LIMIT.search(message)
        return Stop(_pause(response, message), why, limit=int(limit.group(1)) if limit else None)
    if status == HTTPStatus.FORBIDDEN:
        return Stop(_PAUSE_AFTER_FORBIDDEN, "forbids requests from this address")
    if status == HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS:
        elsewhere = (
            "Set CRYPTO_MCP_MARKET__BINANCE_URL to a host that does, such as the public market data host "
            "https://data-api.binance.vision."
        )
        return Stop(_PAUSE_AFTER_FORBIDDEN, "does not serve this location", elsewhere, SourceForbidden)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT or code in _PASSING:
        return Passing(f"HTTP {status}, code {code}" if code else f"HTTP {status}")
    return SourceRefuses(
        f"{host} refuses the request: {message[:200]} (HTTP {status}, code {code})",
        hint="Check symbol, timeframe and number of bars.",
        provider_code=code,
    )


def _error_body(response: httpx2.Response) -> tuple[int, str]:
    """Code and message; a firewall answers in HTML, then 0 and nothing."""
    try:
        body = orjson.loads(response.content)
        return int(body["code"]), str(body["msg"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return 0, ""


def _pause(response: httpx2.Response, message: str) -> float:
    """Seconds to keep away: the later of the header and the time a ban's message names."""
    until = _BANNED_UNTIL.search(message)
    named = int(until.group(1)) / 1000 - time.time() if until else 0.0
    return max(named, retry_after(response, default=0.0 if until else PAUSE_WITHOUT_ADVICE))
