"""A job's end is posted to the address its client named: signed, once, and only where it may go."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx2
import orjson
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from crypto_mcp.catalogue import CATALOGUE as REAL
from crypto_mcp.job_kind import Catalogue
from crypto_mcp.notify.webhook import signature
from crypto_mcp.settings import AccessSettings, NotifySettings
from tests.server import kinds
from tests.server.running import front_end, worker
from tests.servers import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from crypto_mcp.settings import Settings

WITH_CALLBACKS = Catalogue((*kinds.KINDS, REAL["post_callback"]))


@pytest.fixture(scope="module")
async def address(stores: Settings) -> AsyncIterator[str]:
    """A front end whose callbacks may go to this machine."""
    access = AccessSettings.model_validate({"pepper": "pepper"})
    notify = NotifySettings.model_validate({"webhook_networks": ["127.0.0.0/8"]})
    settings = stores.model_copy(update={"access": access, "notify": notify})
    async with worker(settings, WITH_CALLBACKS), front_end(settings, WITH_CALLBACKS) as url:
        yield url


class Receiver:
    """Somebody's web server; refuses as often as it is told to, then takes what comes."""

    def __init__(self) -> None:
        self.url = f"http://127.0.0.1:{free_ports(1)[0]}/hook"
        self.refusing = 0
        self.posts: asyncio.Queue[tuple[dict[str, str], bytes]] = asyncio.Queue()

    async def post(self, request: Request) -> Response:
        if self.refusing:
            self.refusing -= 1
            return Response(status_code=503)
        await self.posts.put((dict(request.headers), await request.body()))
        return Response(status_code=204)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Receiver]:
        app = Starlette(routes=[Route("/hook", self.post, methods=["POST"])])
        port = int(self.url.split(":")[2].partition("/")[0])
        server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, lifespan="off"))
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        yield self
        server.should_exit = True
        await task


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver().running() as receiver:
        yield receiver


async def told(http: httpx2.AsyncClient, receiver: Receiver) -> dict[str, Any]:
    """The next event that is posted, its signature checked."""
    headers, body = await receiver.posts.get()
    secret = (await http.get("/v1/callbacks/secret")).json()["secret"]
    signed = signature(secret, headers["webhook-id"], int(headers["webhook-timestamp"]), body)
    assert headers["webhook-signature"] == signed
    event: dict[str, Any] = orjson.loads(body)
    return event


async def test_the_end_of_a_job_is_posted_signed(http: httpx2.AsyncClient, receiver: Receiver, text: str) -> None:
    """With its result or its error; tried again while the receiver is not there; a cached answer is none."""
    receiver.refusing = 1
    asked = {"callback_url": receiver.url}
    done = (await http.post("/v1/jobs/echo", json={"text": text}, params=asked)).json()
    event = await told(http, receiver)
    assert (event["type"], event["data"]["job_id"]) == ("job.done", done["job_id"])
    assert event["data"]["result"] == {"text": text, "length": len(text)}
    again = (await http.post("/v1/jobs/echo", json={"text": text}, params={**asked, "wait": 20})).json()
    assert again["cached"] is False
    assert (await told(http, receiver))["data"]["job_id"] == again["job_id"]
    failed = await http.post("/v1/jobs/failing", json={"text": "bad"}, params={**asked, "wait": 20})
    event = await told(http, receiver)
    assert (event["type"], event["data"]["error"]["code"]) == ("job.failed", "not_enough_data")
    assert event["data"]["job_id"] == failed.json()["job_id"]
    assert receiver.posts.empty()


async def test_each_who_joined_a_job_is_told(http: httpx2.AsyncClient, receiver: Receiver, text: str) -> None:
    """And who asks again with the same Idempotency-Key when it is over, at once."""
    key = {"Idempotency-Key": text}
    jobs = [
        (
            await http.post(
                "/v1/jobs/gated", json={"text": text}, params={"callback_url": f"{receiver.url}?n={n}"}, headers=key
            )
        ).json()["job_id"]
        for n in range(2)
    ]
    assert len(set(jobs)) == 1
    kinds.gates[text].set()
    assert {(await told(http, receiver))["data"]["job_id"] for _ in range(2)} == set(jobs)
    late = {"callback_url": f"{receiver.url}?n=2"}
    await http.post("/v1/jobs/gated", json={"text": text}, params=late, headers=key)
    assert (await told(http, receiver))["data"]["job_id"] == jobs[0]


async def test_a_cancelled_job_tells_that_it_was(http: httpx2.AsyncClient, receiver: Receiver, text: str) -> None:
    job = (await http.post("/v1/jobs/gated", json={"text": text}, params={"callback_url": receiver.url})).json()
    await http.delete(f"/v1/jobs/{job['job_id']}")
    assert (await told(http, receiver))["type"] == "job.cancelled"


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/", "http://169.254.169.254/latest/meta-data/", "http://[::1]:9/", "http://0x0a000001/",
        "http://167772161/", "http://[::ffff:10.0.0.1]/", "ftp://example.com/", "file:///etc/passwd", "https://u:p@1.1.1.1/",
        "http://1.1.1.1/", "https://1.1.1.1:22/", "https://x y/", "",
    ],
)  # fmt: skip
async def test_an_address_that_must_not_be_called_is_refused_at_once(
    http: httpx2.AsyncClient, url: str, text: str
) -> None:
    """Private and reserved networks in every dress, other protocols, http into the open: before a job is made."""
    refused = await http.post("/v1/jobs/uncached", json={"text": text}, params={"callback_url": url})
    assert (refused.status_code, refused.json()["code"]) == (422, "forbidden_address"), refused.text
    assert kinds.ran[text] == 0
