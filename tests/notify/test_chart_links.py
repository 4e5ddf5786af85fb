"""Charts in messages open on a phone, which has no key; nothing else does, and not for ever."""

from __future__ import annotations

import asyncio
import re
import time
from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING

import httpx2
import pytest
from PIL import Image
from pydantic import HttpUrl, SecretStr

from crypto_mcp.access.chart_links import BadLink, ChartLink, ChartLinks, LinkExpired
from crypto_mcp.alerts.telling import chart_of
from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.notify.linking import Linking
from crypto_mcp.settings import AccessSettings, AlertSettings, MarketSettings
from tests.canaries import PEPPER
from tests.notify.conftest import Telling, tell_webhooks
from tests.server.running import front_end, worker
from workers.services import Services

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from crypto_mcp.models.notifications import Notification
    from crypto_mcp.settings import Settings
    from tests.notify.conftest import Person
    from tests.sandbox_server import SandboxServer

LINK = ChartLink("mark", "BTCUSDT", "4h", 2_000_000_000)


@pytest.fixture(scope="module")
async def shut(stores: Settings, sandbox: SandboxServer) -> AsyncIterator[Telling]:
    """A front end that lets nobody in without a key, and a worker whose messages link to it."""
    access = AccessSettings.model_validate({"pepper": PEPPER, "local_without_key": False, "address_limit": 200})
    settings = stores.model_copy(update={"access": access, "market": MarketSettings(binance_url=sandbox.url)})
    async with front_end(settings, CATALOGUE) as url:
        linking = settings.model_copy(update={"alerts": AlertSettings(charts_url=url)})
        services = Services(linking)
        async with worker(linking, CATALOGUE):
            tell_webhooks(sandbox, f"{url}/v1/webhooks")
            yield Telling(services, sandbox, url)
            tell_webhooks(sandbox, None)
        await services.close()


async def told(shut: Telling, who: Person, symbol: str = "BTCUSDT", at: datetime | None = None) -> str:
    """The link in the newest message of a phone, which was told of an alert with a chart."""
    alert = {"charts": shut.front_end, "symbol": symbol, "timeframe": "4h"}
    before = len(shut.alerts(who))
    more = {} if at is None else {"at": at}
    await shut.tell(who, symbol=symbol, chart=HttpUrl(str(chart_of(alert))), **more)
    async with asyncio.timeout(30):
        while len(messages := shut.alerts(who)) == before:
            await asyncio.sleep(0.02)
    found = re.search(r"https?://\S+", messages[-1]["text"])
    assert found is not None
    return found[0]


async def test_a_chart_in_a_message_opens_without_a_key_and_opens_nothing_else(shut: Telling) -> None:
    """It names nobody, its picture is not for search engines, and whoever has it may ask nothing beside."""
    who = await shut.person(opened=True)
    link = await told(shut, who)
    assert who.owner not in link
    async with httpx2.AsyncClient(timeout=60) as phone:
        opened = await phone.get(link)
        assert opened.status_code == 200, opened.text
        assert Image.open(BytesIO(opened.content)).format == "PNG"
        assert opened.headers["x-robots-tag"] == "noindex"
        assert opened.headers["referrer-policy"] == "no-referrer"
        query = link.partition("?")[2]
        for path in (
            "/v1/chart.png?symbol=BTC&",
            "/v1/jobs?",
            "/v1/linked-chart.png/?",
            "/v1/client?",
            "/v1/scan.png?",
        ):
            assert (await phone.get(f"{shut.front_end}{path}{query}")).status_code in (401, 404, 307)
        for wrong in (
            "",
            "?link=",
            "?link=a.b",
            f"?{query[:-4]}AAAA",
            f"?{query}x",
            f"?{query.replace('link=', 'link=A')}",
        ):
            refused = await phone.get(f"{shut.front_end}/v1/linked-chart.png{wrong}")
            assert (refused.status_code, refused.json()["code"]) == (403, "bad_link"), wrong
        other = f"{link}&symbol=ETHUSDT&timeframe=1d"
        assert (await phone.get(other)).content == opened.content


async def test_a_link_ends_days_after_its_alert(shut: Telling) -> None:
    who = await shut.person(opened=True)
    days = shut.services.settings.alerts.chart_link_days
    old = ChartLink(await shut.services.mongo.chart_links.mark_of(who.owner), "BTCUSDT", "4h", int(time.time()) - 1)
    async with httpx2.AsyncClient() as phone:
        ended = await phone.get(
            f"{shut.front_end}/v1/linked-chart.png", params={"link": ChartLinks(PEPPER).written(old)}
        )
    assert (ended.status_code, ended.json()["code"]) == (410, "link_expired")
    assert days == 7


async def test_the_links_of_a_user_whose_data_is_erased_open_nothing(shut: Telling) -> None:
    """Those of others go on; and a user of that name who comes later does not open them again."""
    gone, stays = await shut.person(opened=True), await shut.person(opened=True)
    links = [await told(shut, gone), await told(shut, stays)]
    store = shut.services.mongo
    personal = store.personal()
    assert "chart_links" in [collection async for collection, _ in personal.read(gone.owner)]
    await personal.erase(gone.owner)
    async with httpx2.AsyncClient(timeout=60) as phone:
        assert [(await phone.get(link)).status_code for link in links] == [403, 200]
        await store.chart_links.mark_of(gone.owner)
        assert (await phone.get(links[0])).status_code == 403


async def test_the_same_message_has_the_same_link_whenever_it_is_written(shut: Telling) -> None:
    """So that one that is sent again is the one that was sent; two owners have two, and one mark each."""
    first, second = (await asyncio.gather(*(shut.services.mongo.chart_links.mark_of("ann") for _ in range(5))))[:2]
    assert first == second != await shut.services.mongo.chart_links.mark_of("bob")
    assert await shut.services.mongo.chart_links.owner_of(first) == "ann"
    assert await shut.services.mongo.chart_links.owner_of("nobody") is None


async def test_an_address_that_is_not_of_this_front_end_stays_as_it_is(shut: Telling) -> None:
    from crypto_mcp.models.notifications import Notification

    def note(chart: str | None) -> Notification:
        url = None if chart is None else HttpUrl(chart)
        return Notification(notification_id="a.1", owner="ann", title="A", at=datetime.now(UTC), chart=url)

    linking = Linking(shut.services.settings, shut.services.mongo.chart_links.mark_of)
    for chart in (
        None,
        "https://example.com/v1/chart.png?symbol=BTC&timeframe=1h",
        f"{shut.front_end}/v1/scan.png?a=1",
    ):
        assert (await linking.linked(note(chart))).chart == note(chart).chart
    ours = note(f"{shut.front_end}/v1/chart.png?symbol=BTCUSDT&timeframe=1h")
    assert await linking.linked(ours) == await linking.linked(ours) != ours
    unsigned = shut.services.settings.model_copy(update={"access": AccessSettings(pepper=None)})
    assert await Linking(unsigned, shut.services.mongo.chart_links.mark_of).linked(ours) == ours


def test_a_link_is_read_as_it_was_written_and_by_no_other_pepper() -> None:
    links = ChartLinks(PEPPER, clock=lambda: LINK.until - 1)
    text = links.written(LINK)
    assert links.read(text) == LINK
    with pytest.raises(LinkExpired):
        ChartLinks(PEPPER, clock=lambda: LINK.until).read(text)
    with pytest.raises(BadLink):
        ChartLinks(SecretStr("another").get_secret_value(), clock=lambda: 0).read(text)
    for position in range(len(text)):
        altered = text[:position] + ("A" if text[position] != "A" else "B") + text[position + 1 :]
        with pytest.raises(BadLink):
            links.read(altered)
    for wrong in ("", ".", "ä.ä", "a" * 10_000, text + "=", text.replace(".", "..")):
        with pytest.raises(BadLink):
            links.read(wrong)
