"""alternative.me: the fear and greed index of the day. Keyless; who shows it has to name the source beside it.

Source: https://alternative.me/crypto/fear-and-greed-index/#api.
"""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from crypto_mcp.market.allowance.pool import Pool
from crypto_mcp.market.candles import bad_data
from crypto_mcp.market.provider_http import Provider, ProviderHttp, Question
from crypto_mcp.market.refusals import Passing, SourceRefuses, Stop, retry_after
from crypto_mcp.models.coins import FearGreed

if TYPE_CHECKING:
    import httpx2

    from crypto_mcp.market.refusals import Judgement
    from crypto_mcp.market.sharing import Sharing
    from crypto_mcp.settings import MarketSettings

NAME = "alternative.me"

_A_MINUTE = 60
_KEPT = 900.0


class Alternative:
    """One for a process."""

    def __init__(self, settings: MarketSettings, sharing: Sharing | None = None) -> None:
        pools = (Pool(f"{NAME}@address", _A_MINUTE, halved=True),)
        self._http = ProviderHttp(Provider(NAME, settings.alternative_url, pools, judge, {}), settings, sharing)

    async def fear_and_greed(self) -> FearGreed:
        """The index of the UTC day. Raises `SourceUnavailable` if it does not answer or refuses for now."""
        reply = await self._http.ask(Question("/fng/", _as_fear, {"limit": 1, "format": "json"}, keep=_KEPT))
        found = reply.body
        return FearGreed(found.value, found.label, "sandbox" if reply.sandbox else NAME, found.at)

    async def ping(self) -> None:
        """Returns if it answers."""
        await self.fear_and_greed()

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.close()


def judge(response: httpx2.Response, host: str) -> Judgement:
    """See `Judge`."""
    status = response.status_code
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.FORBIDDEN):
        return Stop(retry_after(response, least=5.0), "asks to slow down")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Passing(f"HTTP {status}")
    return SourceRefuses(f"{host} refuses the request (HTTP {status})")


class _Row(BaseModel):
    value: Annotated[int, Field(ge=0, le=100)]
    label: str = Field(validation_alias="value_classification")
    at: datetime = Field(validation_alias="timestamp")


class _Index(BaseModel):
    data: list[_Row] = Field(min_length=1)


def _as_fear(body: Any) -> _Row:
    try:
        return _Index.model_validate(body).data[0]
    except ValidationError as error:
        raise bad_data(f"no fear and greed index ({error.error_count()} faults)", NAME) from error
