"""The client against a real front end and a real worker."""

from __future__ import annotations

import asyncio
import inspect
import secrets
from typing import TYPE_CHECKING, Any, cast

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from crypto_mcp.access.roles import Role
from crypto_mcp.access.signing import BadSignature, signing_secret
from crypto_mcp.client import AsyncCryptoMcp, Call, CryptoMcp, error_of
from crypto_mcp.errors import (
    Cancelled,
    CryptoMcpError,
    IdempotencyConflict,
    InternalError,
    InvalidRequest,
    NotEnoughData,
    SourceUnavailable,
    TimedOut,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    UnknownJob,
    UnknownKind,
)
from crypto_mcp.models.answers import JobState
from tests.server import kinds
from tests.server.doors import PEPPER
from tests.server.kinds import CATALOGUE, Echo, Words
from tests.servers import free_ports

if TYPE_CHECKING:
    from crypto_mcp.access.directory import Directory
    from crypto_mcp.job_kind import JobKind

ECHO: JobKind[Words, Echo] = CATALOGUE["echo"]
UNCACHED: JobKind[Words, Echo] = CATALOGUE["uncached"]
GATED: JobKind[Words, Echo] = CATALOGUE["gated"]
FAILING: JobKind[Words, Echo] = CATALOGUE["failing"]
WIPE: JobKind[Words, Echo] = CATALOGUE["wipe"]


class Losing(httpx2.AsyncBaseTransport):
    """The way to the front end, on which some answers are lost after the request has arrived."""

    def __init__(self, client: AsyncCryptoMcp, lost: int, *, after_bytes: int | None = None) -> None:
        self._way = cast("Any", client)._http._transport
        self._lost, self._after_bytes = lost, after_bytes
        self.sent: list[httpx2.Request] = []
        cast("Any", client)._http._transport = self

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.sent.append(request)
        response: httpx2.Response = await self._way.handle_async_request(request)
        if len(self.sent) > self._lost:
            return response
        if self._after_bytes is None:
            await response.aread()
            raise httpx2.ReadError("the answer is lost", request=request)
        return httpx2.Response(
            response.status_code, headers=response.headers, stream=_Cut(response, self._after_bytes), request=request
        )


class _Cut(httpx2.AsyncByteStream):
    def __init__(self, response: httpx2.Response, after_bytes: int) -> None:
        self._response, self._left = response, after_bytes

    async def __aiter__(self) -> Any:
        async for part in self._response.aiter_raw():
            yield part
            self._left -= len(part)
            if self._left <= 0:
                raise httpx2.ReadError("the stream is cut")

    async def aclose(self) -> None:
        await self._response.aclose()


def test_both_clients_can_do_the_same_and_say_the_same() -> None:
    def public(client: type) -> dict[str, tuple[str, str | None]]:
        named = {name: each for name, each in vars(client).items() if not name.startswith("_")}
        return {name: (str(inspect.signature(each)).replace("Async", ""), each.__doc__) for name, each in named.items()}

    assert public(AsyncCryptoMcp) == public(CryptoMcp)


async def test_an_answer_is_the_model_of_its_kind(crypto: AsyncCryptoMcp, text: str) -> None:
    """Parameters as the model or as a mapping; asked by name it is what JSON has."""
    said = await crypto.ask(UNCACHED, Words(text=text, times=2))
    assert said == Echo(text=text * 2, length=len(text) * 2)
    assert await crypto.ask(UNCACHED, {"text": text}) == Echo(text=text, length=len(text))
    assert await crypto.ask("uncached", {"text": text}) == {"text": text, "length": len(text)}


async def test_the_blocking_client_asks_in_a_thread(blocking: CryptoMcp, text: str) -> None:
    def work() -> None:
        assert blocking.ask(UNCACHED, {"text": text}).length == len(text)
        accepted = blocking.submit(GATED, {"text": text})
        assert accepted.job_id is not None
        kinds.gates[text].set()
        states = [record.state for record in blocking.events(accepted.job_id)]
        assert states[-1] is JobState.DONE
        assert [record.state for record in blocking.poll(accepted.job_id)] == [JobState.DONE]
        assert blocking.wait(accepted.job_id, GATED).result == Echo(text=text, length=len(text))
        assert next(blocking.jobs(kind="gated")).job_id == accepted.job_id
        with pytest.raises(UnknownKind, match="ecko"):
            blocking.ask("ecko", {})

    await asyncio.to_thread(work)


async def test_a_job_is_submitted_followed_and_fetched(crypto: AsyncCryptoMcp, text: str) -> None:
    accepted = await crypto.submit(GATED, {"text": text})
    assert (accepted.status, accepted.result) == (JobState.QUEUED, None)
    assert accepted.job_id is not None
    with pytest.raises(TimedOut) as late:
        await crypto.wait(accepted.job_id, GATED, within=0.3)
    assert late.value.job_id == accepted.job_id
    assert (await crypto.result(accepted.job_id, GATED)).result is None
    polled = [record async for record in crypto.poll(accepted.job_id, within=0.2, every=0.1)]
    assert len(polled) >= 2
    waiting = asyncio.create_task(crypto.wait(accepted.job_id, GATED))
    kinds.gates[text].set()
    done = await waiting
    assert done.result is not None
    assert done.result.text == text
    assert (await crypto.job(accepted.job_id)).state is JobState.DONE


async def test_the_events_of_a_job_outlive_a_stream_that_breaks(crypto: AsyncCryptoMcp, text: str) -> None:
    """Each change is told once, and the job's end ends it."""
    job_id = (await crypto.submit(GATED, {"text": text})).job_id
    assert job_id is not None
    async for record in crypto.poll(job_id):
        if record.progress is not None:
            break
    way = Losing(crypto, 1, after_bytes=100)
    told = []
    async for record in crypto.events(job_id):
        told.append((record.state, record.progress and record.progress.fraction))
        if len(way.sent) == 2 or len(told) == 1:
            kinds.gates[text].set()
    assert len(way.sent) == 2
    assert told[0] == (JobState.RUNNING, 0.25)
    assert told[-1][0] is JobState.DONE
    assert len(told) == len(set(told))


async def test_a_job_is_cancelled(crypto: AsyncCryptoMcp, text: str) -> None:
    job_id = (await crypto.submit(GATED, {"text": text})).job_id
    assert job_id is not None
    await crypto.cancel(job_id)
    with pytest.raises(Cancelled) as ended:
        await crypto.wait(job_id)
    assert ended.value.job_id == job_id


@pytest.mark.parametrize(
    ("how", "kind", "code"),
    [
        ("bad", NotEnoughData, "not_enough_data"),
        ("away", SourceUnavailable, "source_unavailable"),
        ("crash", InternalError, "internal_error"),
        ("odd", InvalidRequest, "only_workers_know"),
    ],
)
async def test_a_job_that_failed_raises_its_error(
    crypto: AsyncCryptoMcp, how: str, kind: type[CryptoMcpError], code: str
) -> None:
    """Of the class of its code, or of its status where this version does not know the code; submitted only once."""
    way = Losing(crypto, 0)
    with pytest.raises(kind) as failed:
        await crypto.ask(FAILING, {"text": how})
    error = failed.value
    assert (error.code, len(way.sent)) == (code, 1)
    assert error.message
    assert error.hint
    assert error.retry_after == (3 if how == "away" else None)
    assert error.job_id is not None
    assert error.request_id
    record = await crypto.job(error.job_id)
    assert record.error is not None
    assert type(error_of(record.error)) is type(error)


async def test_bad_input_and_unknown_jobs_are_refused_as_what_they_are(crypto: AsyncCryptoMcp, text: str) -> None:
    with pytest.raises(InvalidRequest, match="times") as refused:
        await crypto.ask(ECHO, {"text": text, "times": 99})
    assert "example" in refused.value.hint
    with pytest.raises(UnknownJob):
        await crypto.job("0123456789ab")
    with pytest.raises(UnknownJob):
        await anext(crypto.events("0123456789ab"))
    with pytest.raises(InvalidRequest) as lost:
        await crypto.request(Call("GET", "/v1/nothing"))
    assert lost.value.code == "not_found"


async def test_an_idempotency_key_stands_for_one_job(crypto: AsyncCryptoMcp, text: str) -> None:
    first = await crypto.submit(UNCACHED, {"text": text}, wait=20, idempotency_key=text)
    again = await crypto.submit(UNCACHED, {"text": text}, wait=20, idempotency_key=text)
    assert first.job_id == again.job_id
    with pytest.raises(IdempotencyConflict):
        await crypto.submit(UNCACHED, {"text": text + "x"}, idempotency_key=text)


async def test_what_changes_something_is_done_once_though_its_answer_is_lost(crypto: AsyncCryptoMcp, text: str) -> None:
    way = Losing(crypto, 2)
    assert (await crypto.ask(WIPE, {"text": text})).text == text
    assert len(way.sent) == 3
    assert len({request.headers["idempotency-key"] for request in way.sent}) == 1
    assert kinds.ran[text] == 1


async def test_what_may_change_something_is_not_sent_again_without_a_key(crypto: AsyncCryptoMcp, text: str) -> None:
    """Of a kind that is only named nobody here knows what it does."""
    way = Losing(crypto, 1)
    with pytest.raises(Unavailable):
        await crypto.ask("wipe", {"text": text})
    assert len(way.sent) == 1
    assert await crypto.ask("wipe", {"text": text}, idempotency_key=text)


async def test_a_batch_of_any_size_is_answered_in_its_order(crypto: AsyncCryptoMcp, text: str) -> None:
    """And the jobs it makes are listed page by page."""
    way = Losing(crypto, 0)
    jobs: list[Any] = [(UNCACHED, {"text": f"{text}{number}"}) for number in range(101)]
    jobs[1] = ("ecko", {"text": text})
    jobs[2] = (UNCACHED, {"text": ""})
    answers = await crypto.batch(jobs, idempotency_key=text)
    assert [len(way.sent), len(answers)] == [2, 101]
    assert [error_of(answers[i].error).code for i in (1, 2) if answers[i].error] == ["unknown_kind", "invalid_request"]
    assert answers[100].job_id is not None
    last = await crypto.wait(answers[100].job_id, UNCACHED)
    assert last.result is not None
    assert last.result.text == f"{text}100"
    again = await crypto.batch(jobs, idempotency_key=text)
    assert [each.job_id for each in again] == [each.job_id for each in answers]
    assert await crypto.batch([]) == []
    made = {each.job_id for each in answers if each.job_id}
    listed = [record.job_id async for record in crypto.jobs(kind="uncached")]
    assert made <= set(listed)
    assert len(listed) == len(set(listed))
    assert [record.job_id async for record in crypto.jobs(kind="uncached", limit=60)] == listed[:60]


async def test_kinds_health_and_files_are_read(crypto: AsyncCryptoMcp, text: str) -> None:
    assert {kind.name for kind in await crypto.kinds()} == {kind.name for kind in CATALOGUE.tools()}
    assert (await crypto.health())["status"] in ("ok", "degraded")
    answer = await crypto.submit(UNCACHED, {"text": text}, wait=20)
    with pytest.raises(InvalidRequest) as none:
        await crypto.file(f"/v1/jobs/{answer.job_id}/chart.png")
    assert none.value.code == "no_chart"


async def test_nobody_at_the_address_is_said_so() -> None:
    async with AsyncCryptoMcp(f"http://127.0.0.1:{free_ports(1)[0]}", retries=1) as nobody:
        with pytest.raises(Unavailable, match="no front end answers"):
            await nobody.health()
        with pytest.raises(Unavailable, match="no front end answers"):
            await anext(nobody.events("0123456789ab"))


async def test_the_key_opens_the_door_and_a_limit_says_when_to_come_back(door: str, directory: Directory) -> None:
    key = await directory.create(f"c{secrets.token_hex(4)}", Role.READER, actor="test")
    async with AsyncCryptoMcp(door) as stranger:
        with pytest.raises(Unauthorized):
            await stranger.kinds()
    async with AsyncCryptoMcp(door, key.text, longest_pause=0.01) as hasty:
        with pytest.raises(TooManyRequests) as refused:
            await asyncio.gather(*(hasty.kinds() for _ in range(60)))
    assert refused.value.retry_after is not None
    assert 0 < refused.value.retry_after <= 60


async def test_sensitive_operations_are_signed(door: str, directory: Directory) -> None:
    """With the secret they are done, each signed for itself; with the key alone they are refused."""
    name = f"c{secrets.token_hex(4)}"
    key = await directory.create(name, Role.ADMIN, actor="test")
    async with AsyncCryptoMcp(door, key.text) as unsigned:
        with pytest.raises(InternalError) as failed:
            await unsigned.ask(FAILING, {"text": "crash"})
        job_id = failed.value.job_id
        assert job_id in [letter.job_id for letter in await unsigned.dead("analysis:queue")]
        with pytest.raises(BadSignature):
            await unsigned.drop("analysis:queue", str(job_id))
        with pytest.raises(BadSignature):
            await anext(unsigned.export_user(name))
    async with AsyncCryptoMcp(door, key.text, signing_secret=signing_secret(PEPPER, key.key_id)) as crypto:
        replayed = await crypto.replay("analysis:queue", str(job_id))
        assert (await crypto.job(replayed, wait=20)).state.finished
        await crypto.drop("analysis:queue", replayed)
        assert replayed not in [letter.job_id for letter in await crypto.dead("analysis:queue")]
        things = [thing async for thing in crypto.export_user(name)]
        assert "counts" in things[-1]
    with pytest.raises(InvalidRequest, match="goes with an API key"):
        CryptoMcp(door, signing_secret="cmcs_x")


async def test_sensitive_operations_are_signed_with_a_key_pair_once_it_is_registered(
    door: str, directory: Directory
) -> None:
    """From then on the secret that anybody with the pepper could make is no longer enough."""
    name, pair = f"c{secrets.token_hex(4)}", Ed25519PrivateKey.generate()
    key = await directory.create(name, Role.TRADER, actor="test")
    await directory.set_signing_key(key.key_id, pair.public_key().public_bytes_raw(), actor="test")
    private = pair.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    async with AsyncCryptoMcp(door, key.text, signing_secret=private) as crypto:
        things = [thing async for thing in crypto.export_user(name)]
        assert "counts" in things[-1]
        (mine,) = [thing for thing in things if thing.get("place") == "api_keys"]
        assert pair.public_key().public_bytes_raw().hex() in str(mine)
    async with AsyncCryptoMcp(door, key.text, signing_secret=signing_secret(PEPPER, key.key_id)) as crypto:
        with pytest.raises(BadSignature, match="ed25519"):
            await anext(crypto.export_user(name))
