"""All that is kept of a user: given out whole, erased everywhere, while others keep what is theirs."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import re
import secrets
from typing import TYPE_CHECKING, Any

import asyncpg
import httpx2
import orjson
import pytest
from pymongo import AsyncMongoClient
from redis.asyncio import Redis

from crypto_mcp.access.directory import Directory
from crypto_mcp.access.roles import Role
from crypto_mcp.access.signing import Request, sign, signing_secret
from crypto_mcp.catalogue import CATALOGUE as REAL
from crypto_mcp.errors import StoreUnavailable
from crypto_mcp.job_kind import Catalogue
from crypto_mcp.userdata.erasing import BadReceipt, Eraser, public_key, read_receipt
from crypto_mcp.userdata.holdings import open_holdings
from tests.canaries import AMOUNT
from tests.server.doors import PEPPER, with_key
from tests.server.kinds import KINDS, gates
from tests.server.running import front_end, worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from crypto_mcp.settings import Settings

WITH_PORTFOLIOS = Catalogue((*KINDS, REAL["portfolio_monitor"]))


@pytest.fixture(scope="module")
async def kept(closed: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings with a spool of their own."""
    server = closed.server.model_copy(update={"spool": tmp_path_factory.mktemp("spool")})
    return closed.model_copy(update={"server": server})


@pytest.fixture(scope="module")
async def door(kept: Settings, directory: Directory) -> AsyncIterator[str]:
    """A front end with portfolios behind it."""
    async with worker(kept, WITH_PORTFOLIOS), front_end(kept, WITH_PORTFOLIOS) as url:
        yield url
        for gate in gates.values():
            gate.set()


def signed(method: str, path: str, headers: dict[str, str]) -> dict[str, str]:
    """The headers with which a client makes a signed request."""
    found = re.search(r"cmcp_([a-z2-7]{12})_", headers["Authorization"])
    assert found is not None
    return headers | sign(Request(method, path, "", b"", {}), found[1], signing_secret(PEPPER, found[1]))


async def live(http: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    """Leaves traces in every store."""
    mark = secrets.token_hex(4)
    await http.post("/v1/jobs/uncached?wait=10", json={"text": mark}, headers=headers)
    failed = await http.post("/v1/jobs/failing?wait=10", json={"text": "crash"}, headers=headers)
    assert failed.status_code == 500
    for params in ({"action": "create"}, {"action": "deposit", "amount": AMOUNT}, {"action": "get"}):
        answered = await http.post(
            "/v1/jobs/portfolio_monitor?wait=20", json={"portfolio_id": "main", **params}, headers=headers
        )
        assert answered.status_code == 200, answered.text
    await http.post("/v1/jobs/gated", json={"text": mark}, headers=headers | {"Idempotency-Key": mark})
    await http.patch("/v1/session", json={"times": 2}, headers=headers)
    execution = {"execution_id": mark, "workflow_id": "w", "data": {"note": "mine"}}
    await http.post("/v1/workflows/executions", json=execution, headers=headers)


async def leave_more(settings: Settings, user: str) -> None:
    """What other rooms keep: a channel, a notification, a message, alerts."""
    async with AsyncMongoClient[dict[str, Any]](settings.mongo.url.get_secret_value()) as client:
        database = client[settings.mongo.database]
        channel = f"ch_{user}"
        await database["channels"].insert_one({"_id": channel, "user_id": user, "sealed": "x"})
        await database["notifications"].insert_one({"_id": f"{user}/n1", "owner": user, "body": "mine"})
        await database["notification_messages"].insert_one({"_id": f"m{user}", "channel_id": channel})
        await database["alerts"].insert_one({"alert_id": f"a{user}", "user_id": user})


@contextlib.contextmanager
def calls_on_disk(settings: Settings, user: str) -> Iterator[None]:
    """Calls that wait for PostgreSQL on this machine's disk; until the block ends nobody brings them in."""
    line = {"tool_name": "echo", "client_id": user, "arguments": {}}
    other = line | {"client_id": "somebody-else"}
    with (settings.server.spool / "tool-log.jsonl").open("wb") as kept:
        fcntl.flock(kept, fcntl.LOCK_EX)
        kept.write(b"".join(orjson.dumps(each) + b"\n" for each in (line, other)) + b"half a li")
        kept.flush()
        yield


async def _value(redis: Redis, key: bytes) -> str:
    """What a key holds, of whatever type."""
    reads: dict[bytes, Any] = {
        b"string": lambda: redis.get(key),
        b"hash": lambda: redis.hgetall(key),
        b"list": lambda: redis.lrange(key, 0, -1),
        b"set": lambda: redis.smembers(key),
        b"zset": lambda: redis.zrange(key, 0, -1),
        b"none": lambda: asyncio.sleep(0),
    }
    return str(await reads[await redis.type(key)]())


async def leftovers(settings: Settings, user: str) -> list[str]:
    """Every place of every store in which the user's name can be read."""
    found: list[str] = []
    for url in (settings.redis.cache_url, settings.redis.session_url, settings.redis.queue_url):
        async with Redis.from_url(url.get_secret_value()) as redis:
            held = [(key, await _value(redis, key)) async for key in redis.scan_iter(count=1000)]
            found += [f"redis {key.decode()}" for key, value in held if user in key.decode() + value]
    async with AsyncMongoClient[dict[str, Any]](settings.mongo.url.get_secret_value()) as client:
        database = client[settings.mongo.database]
        for name in await database.list_collection_names():
            found += [f"mongodb {name}" async for document in database[name].find() if user in str(document)]
    connection = await asyncpg.connect(settings.postgres.url.get_secret_value())
    for row in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        table = row["tablename"]
        rows = await connection.fetch(f'SELECT t::text FROM "{table}" t')
        found += [f"postgresql {table}" for each in rows if user in each["t"]]
    await connection.close()
    for path in settings.server.spool.rglob("*"):
        found += [f"disk {path.name}"] if user.encode() in path.read_bytes() else []
    return found


async def test_a_user_takes_everything_along_and_leaves_nothing(
    door: str, kept: Settings, directory: Directory
) -> None:
    """The export has all of it and no secret; after the erasure no store has the name, but for the audit log and the
    list of erasures; the other client has what it had."""
    user, headers = await with_key(directory, Role.TRADER)
    other, others = await with_key(directory, Role.TRADER)
    async with httpx2.AsyncClient(base_url=door, timeout=60) as http:
        await live(http, headers)
        await live(http, others)
        await leave_more(kept, user)
        path = f"/v1/users/{user}/export"
        with calls_on_disk(kept, user):
            export = await http.get(path, headers=signed("GET", path, headers))
        assert export.status_code == 200, export.text
        *things, counted = [orjson.loads(line) for line in export.text.splitlines()]
        assert counted["counts"] == {
            where: sum(f"{each['store']}/{each['place']}" == where for each in things) for where in counted["counts"]
        }
        assert {
            "mongodb/portfolios", "mongodb/portfolio_ledger", "mongodb/channels", "mongodb/notifications",
            "mongodb/notification_messages", "mongodb/alerts", "queue/jobs", "cache/session", "spool/tool-log",
            "postgresql/workflow_executions", "postgresql/clients", "postgresql/api_keys",
        } <= set(counted["counts"])  # fmt: skip
        assert "digest" not in str([each for each in things if each["place"] == "api_keys"])
        assert other not in export.text
        before = await leftovers(kept, other)
        assert {"mongodb portfolios", "postgresql clients", f"redis session:{other}"} <= set(before)

        path = f"/v1/users/{user}"
        erased = await http.delete(path, headers=signed("DELETE", path, headers))
        assert erased.status_code == 200, erased.text
        assert (await http.get("/v1/jobs", headers=headers)).status_code == 401
        assert set(await leftovers(kept, user)) == {"postgresql audit", "postgresql erasures"}
        assert set(before) - {"disk tool-log.jsonl"} <= set(await leftovers(kept, other))
        assert len((await http.get("/v1/jobs", headers=others)).json()["jobs"]) >= 5
    facts = read_receipt(erased.json()["receipt"], public_key(PEPPER))
    assert facts["erased"] == erased.json()["erased"]
    with pytest.raises(BadReceipt):
        read_receipt(erased.json()["receipt"], public_key("another pepper"))


async def test_nobody_gets_at_another_users_data_and_a_key_alone_is_not_enough(door: str, directory: Directory) -> None:
    user, headers = await with_key(directory, Role.TRADER)
    _, operator = await with_key(directory, Role.OPERATOR)
    async with httpx2.AsyncClient(base_url=door, timeout=60) as http:
        for method, path in (("GET", f"/v1/users/{user}/export"), ("DELETE", f"/v1/users/{user}")):
            unsigned = await http.request(method, path, headers=headers)
            assert (unsigned.status_code, unsigned.json()["code"]) == (403, "bad_signature")
            foreign = await http.request(method, path, headers=signed(method, path, operator))
            assert (foreign.status_code, foreign.json()["code"]) == (403, "forbidden")
            elsewhere = await http.request(method, path, headers=signed(method, "/v1/users/x", headers))
            assert elsewhere.json()["code"] == "bad_signature"


async def test_an_erasure_that_was_cut_off_goes_on(kept: Settings, directory: Directory) -> None:
    """By the same call, under the same number; done again after a restore it finds what came back."""
    user, _ = await with_key(directory, Role.TRADER)
    await leave_more(kept, user)
    with calls_on_disk(kept, user):
        pass
    async with open_holdings(kept) as (holdings, postgres):

        class Away:
            name = "mongodb"

            def read(self, user: str) -> Any:
                raise NotImplementedError

            async def erase(self, user: str) -> int:
                raise StoreUnavailable("away")

        with pytest.raises(StoreUnavailable):
            await Eraser([holdings[0], Away(), *holdings[2:]], postgres, PEPPER).erase(user, actor="test", settle=0)
        eraser = Eraser(holdings, postgres, PEPPER)
        done = await eraser.erase(user, actor="test", settle=0)
        assert user in await eraser.known()
        async with postgres.connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM erasures WHERE user_id = $1", user) == 1
        await leave_more(kept, user)
        with calls_on_disk(kept, user):
            pass
        again = await eraser.erase(user, actor="test", settle=0)
        assert again.erasure_id != done.erasure_id
    assert set(await leftovers(kept, user)) == {"postgresql audit", "postgresql erasures"}
