"""Charts in messages, as links that open on a phone."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from pydantic import HttpUrl

from crypto_mcp.access.chart_links import PATH, ChartLink, ChartLinks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from crypto_mcp.models.notifications import Notification
    from crypto_mcp.settings import Settings

_CHART = "/v1/chart.png"


class Linking:
    """Puts a link that needs no key in the place of the address of a chart of this product, which needs one.

    Kept are the addresses; links are made when a message is written, the same each time it is.
    """

    def __init__(self, settings: Settings, mark_of: Callable[[str], Awaitable[str]]) -> None:
        pepper, base = settings.access.pepper, settings.alerts.charts_url
        self._links = None if pepper is None or base is None else ChartLinks(pepper.get_secret_value())
        self._base = (base or "").rstrip("/")
        self._lifetime = timedelta(days=settings.alerts.chart_link_days)
        self._mark_of = mark_of

    async def linked(self, told: Notification) -> Notification:
        """With such a link; as it is, where there is no chart, another's, or no pepper to sign with."""
        chart = str(told.chart or "")
        if self._links is None or not chart.startswith(f"{self._base}{_CHART}?"):
            return told
        query = parse_qs(urlsplit(chart).query)
        link = ChartLink(
            await self._mark_of(told.owner),
            query["symbol"][0],
            query["timeframe"][0],
            int((told.at + self._lifetime).timestamp()),
        )
        return told.model_copy(update={"chart": HttpUrl(f"{self._base}{PATH}?link={self._links.written(link)}")})
