"""A front end and a worker for notifications, before a sandbox that plays Meta; shared by the files here."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.models.notifications import Notification
from crypto_mcp.settings import MongoSettings, NotifySettings, RedisSettings, ServerSettings, Settings
from tests.canaries import ENCRYPTION_KEY, PROVIDER_SECRETS
from tests.sandbox_server import SandboxServer, running_sandbox
from tests.server.running import front_end, worker
from workers.notifications import submit_all
from workers.services import Services

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

    from crypto_mcp.local.mongo_server import MongoServer
    from crypto_mcp.local.redis_server import RedisServer

TOKEN, SECRET, VERIFY = PROVIDER_SECRETS
_NUMBERS = itertools.count(1000)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    with running_sandbox(whatsapp_token=SecretStr(TOKEN), whatsapp_app_secret=SecretStr(SECRET)) as server:
        yield server


@pytest.fixture(scope="module")
async def stores(running_redis: RedisServer, mongo_server: MongoServer, sandbox: SandboxServer) -> Settings:
    """Settings that point at the test servers and the sandbox."""
    running_redis.resume()
    if running_redis.pid is None:
        await running_redis.start()
    if mongo_server.pid is None:
        await mongo_server.start()
    urls = {f"{use}_url": running_redis.url(db) for db, use in enumerate(("cache", "session", "queue"))}
    return Settings(
        _env_file=None,
        redis=RedisSettings.model_validate(urls),
        mongo=MongoSettings.model_validate(
            {"url": mongo_server.admin_url, "database": f"test_{secrets.token_hex(6)}", "timeout": 5}
        ),
        server=ServerSettings(workers=1),
        notify=NotifySettings(
            encryption_key=SecretStr(ENCRYPTION_KEY),
            meta_url=f"{sandbox.url}/graph",
            meta_phone_id="100000000000001",
            meta_token=SecretStr(TOKEN),
            meta_app_secret=SecretStr(SECRET),
            meta_verify_token=SecretStr(VERIFY),
            digest_window=600.0,
            timeout=3.0,
            webhook_networks=[ip_network("127.0.0.0/8")],  # type: ignore[list-item]
        ),
    )


@pytest.fixture(scope="module")
async def telling(stores: Settings, sandbox: SandboxServer) -> AsyncIterator[Telling]:
    """A worker on `notifications:queue`, and a front end that the sandbox's webhooks come to."""
    services = Services(stores)
    await services.queue.flushall()
    async with worker(stores, CATALOGUE, ["notifications:queue"]), front_end(stores, CATALOGUE) as url:
        tell_webhooks(sandbox, f"{url}/v1/webhooks")
        yield Telling(services, sandbox, url)
        tell_webhooks(sandbox, None)
    await services.close()


@pytest.fixture
async def telling_alone(stores: Settings, sandbox: SandboxServer) -> AsyncIterator[Telling]:
    """Without a worker and a front end: a test has workers of its own, and no webhook tells anything."""
    services = Services(stores)
    await services.queue.flushall()
    tell_webhooks(sandbox, None)
    yield Telling(services, sandbox, "")
    sandbox.mend()
    await services.close()


def tell_webhooks(sandbox: SandboxServer, url: str | None) -> None:
    """Where the sandbox's Meta and WAHA call."""
    urls = {"meta": url and f"{url}/whatsapp", "waha": url and f"{url}/waha"}
    sandbox.http.post(f"{sandbox.url}/sandbox/whatsapp/webhooks", json=urls).raise_for_status()


@dataclass
class Person:
    """An owner with a phone."""

    owner: str
    number: str
    channel: str = "whatsapp"


@dataclass
class Telling:
    """Everything that takes part."""

    services: Services
    sandbox: SandboxServer
    front_end: str

    async def person(self, *, opened: bool = False, fallback: str | None = None) -> Person:
        """Somebody new whose WhatsApp channel is verified with the code that came to the phone.

        `opened`: who has written within the last 24 hours.
        """
        who, book = await self.invited(), self.services.channels
        if fallback is not None:
            await book.add(who.owner, "console", name=fallback)
            await book.set_fallback(who.owner, "whatsapp", fallback)
        if opened:
            await self.writes(who, "Hello")
        return who

    async def invited(self) -> Person:
        """Somebody with an active WhatsApp channel, as `person`, with no webhook needed."""
        owner, number = f"owner-{secrets.token_hex(4)}", f"+1202555{next(_NUMBERS)}"
        await self.services.channels.add(owner, "whatsapp", number=number)
        (message,) = await self.arrived(number, 1)
        await self.services.channels.verify(owner, "whatsapp", message["text"].split("*")[1])
        return Person(owner, number)

    async def tell(self, who: Person, *titles: str, **how: Any) -> list[str]:
        """Submits a notification for each title; the ids of their jobs."""
        found = []
        for title in titles or ("BTCUSDT crossed above 60,000",):
            note = Notification(
                notification_id=f"{secrets.token_hex(6)}.1", owner=who.owner, title=title,
                **{"text": "Price 60,012.40.", "symbol": "BTCUSDT", "at": datetime.now(UTC)} | how,
            )  # fmt: skip
            found.append(await self.submit(note))
        return found

    async def tell_at_once(self, who: Person, titles: Sequence[str]) -> None:
        """Notifications that come together, a millisecond after each other."""
        begin = datetime.now(UTC)
        await submit_all(
            self.services,
            [
                Notification(
                    notification_id=f"{secrets.token_hex(6)}.{i}", owner=who.owner, title=title, symbol="BTCUSDT",
                    at=begin + timedelta(milliseconds=i),
                )
                for i, title in enumerate(titles)
            ],
        )  # fmt: skip

    async def submit(self, note: Notification) -> str:
        done = await self.services.jobs.submit(
            CATALOGUE["send_notification"], note, job_id=note.job_id, client=note.owner, share=False
        )
        return done.job_id

    def phone(self, number: str) -> list[dict[str, Any]]:
        """What the phone shows, without the codes."""
        state = self.sandbox.get("/sandbox/phone/state", number=number).json()
        shown = state["phone"] if state["phone"] and state["phone"]["number"] == number.lstrip("+") else None
        return [] if shown is None else shown["messages"]

    def alerts(self, who: Person) -> list[dict[str, Any]]:
        """The alerts that arrived on a phone, the oldest first."""
        out = [each for each in self.phone(who.number) if not each["incoming"] and "is your code" not in each["text"]]
        return [each for each in out if each["status"] in ("sent", "delivered", "read")]

    async def arrived(self, number: str, count: int) -> list[dict[str, Any]]:
        """Waits until the phone has so many messages from us."""
        found: list[dict[str, Any]] = []

        async def there() -> bool:
            found[:] = [each for each in self.phone(number) if not each["incoming"]]
            return len(found) >= count

        await until(there)
        return found

    async def reached(self, who: Person, state: str, count: int = 1) -> list[dict[str, Any]]:
        """Waits until so many of an owner's notifications are in a state; all of them."""
        found: list[dict[str, Any]] = []

        async def there() -> bool:
            found[:] = await self.services.mongo.notifications.newest(who.owner, 100)
            return sum(each["state"] == state for each in found) >= count

        await until(there)
        return found

    async def writes(self, who: Person, text: str) -> None:
        """They write to us, and it is noted."""
        before = (await self.channel(who)).get("window_until")
        self.steer(who, text=text)

        async def noted() -> bool:
            return (await self.channel(who)).get("window_until") != before

        await until(noted)

    def steer(self, who: Person, **how: Any) -> None:
        said = {"number": who.number, **how}
        self.sandbox.http.post(f"{self.sandbox.url}/sandbox/phone/steer", json=said).raise_for_status()

    def refuse(self, code: int, times: int = 1, *, later: bool = False) -> None:
        said = {"code": code, "times": times, "later": later}
        self.sandbox.http.post(f"{self.sandbox.url}/sandbox/whatsapp/refuse", json=said).raise_for_status()

    async def channel(self, who: Person) -> dict[str, Any]:
        found = await self.services.mongo.channels.named(who.owner, who.channel)
        assert found is not None
        return found


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 90.0) -> None:
    """Waits for a condition."""
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.02)
