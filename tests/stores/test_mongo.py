"""Results in a real MongoDB."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, SecretStr

from crypto_mcp.errors import StoreUnavailable
from crypto_mcp.job_kind import CacheRule, JobKind
from crypto_mcp.settings import MongoSettings
from crypto_mcp.stores.mongo import MongoStore
from tests.servers import Servers, free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pymongo.asynchronous.database import AsyncDatabase

    from crypto_mcp.settings import Settings


class Ask(BaseModel):
    """Parameters."""

    symbol: str = "BTCUSDT"


class Said(BaseModel):
    """A result with what MongoDB could distort: a time, a nesting, a None."""

    symbol: str
    timestamp: datetime
    analysis: dict[str, float]
    note: str | None = None


def kind(ttl: int = 300) -> JobKind[Ask, Said]:
    rule: CacheRule[Ask, Said] = CacheRule(key=lambda p: f"analysis:{p.symbol}", ttl=ttl, collection="analyses")
    return JobKind("ask", "analysis:queue", Ask, Said, "none:none", "Ask", "Asks", cache=rule)


def said(confidence: float = 50.0) -> Said:
    return Said(
        symbol="BTCUSDT", timestamp=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), analysis={"confidence": confidence}
    )


@pytest.fixture
async def store(settings: Settings, mongo_database: AsyncDatabase[dict[str, Any]]) -> AsyncIterator[MongoStore]:
    store = MongoStore(settings.mongo)
    yield store
    await store.close()


async def test_analyses_have_the_specified_indexes(
    store: MongoStore, mongo_database: AsyncDatabase[dict[str, Any]]
) -> None:
    await store.ensure_indexes()
    await MongoStore.ensure_indexes(store)  # again: nothing to do
    indexes = await mongo_database.analyses.index_information()
    assert indexes["symbol_1_timestamp_-1"]["key"] == [("symbol", 1), ("timestamp", -1)]
    assert indexes["created_at_1"]["key"] == [("created_at", 1)]
    assert indexes["created_at_1"]["expireAfterSeconds"] == 7 * 24 * 3600
    assert indexes["analysis.confidence_-1"]["key"] == [("analysis.confidence", -1)]
    assert indexes["job_id_1"]["unique"]


async def test_a_result_comes_back_as_it_went_in(store: MongoStore) -> None:
    await store.save_result(kind(), "job1", "analysis:BTCUSDT", said())
    found = await store.find_result(kind(), "analysis:BTCUSDT")
    assert found is not None
    result, left = found
    assert result == said()
    assert 0 < left <= 300
    assert await store.result_of_job(kind(), "job1") == said()


async def test_saving_again_writes_onto_itself(
    store: MongoStore, mongo_database: AsyncDatabase[dict[str, Any]]
) -> None:
    """A crash between the write and the job's end repeats the write."""
    await store.save_result(kind(), "job1", "analysis:BTCUSDT", said(1.0))
    first = await mongo_database.analyses.find_one({})
    await store.save_result(kind(), "job1", "analysis:BTCUSDT", said(2.0))
    documents = await mongo_database.analyses.find({}).to_list()
    assert first is not None
    assert len(documents) == 1
    assert documents[0]["analysis"] == {"confidence": 2.0}
    assert documents[0]["created_at"] == first["created_at"]


async def test_the_newest_answer_wins(store: MongoStore) -> None:
    for number in range(3):
        await store.save_result(kind(), f"job{number}", "analysis:BTCUSDT", said(number))
    found = await store.find_result(kind(), "analysis:BTCUSDT")
    assert found is not None
    assert found[0] == said(2)


async def test_a_result_out_of_date_answers_nobody_but_its_own_job(store: MongoStore) -> None:
    await store.save_result(kind(ttl=0), "job1", "analysis:BTCUSDT", said())
    assert await store.find_result(kind(), "analysis:BTCUSDT") is None
    assert await store.result_of_job(kind(), "job1") == said()


async def test_the_document_has_the_specified_shape(
    store: MongoStore, mongo_database: AsyncDatabase[dict[str, Any]]
) -> None:
    await store.save_result(kind(), "job1", "analysis:BTCUSDT", said())
    document = await mongo_database.analyses.find_one({"symbol": "BTCUSDT"})
    assert document is not None
    for name in ("timestamp", "created_at", "ttl"):
        assert isinstance(document[name], datetime), name
    assert (document["ttl"] - document["created_at"]).total_seconds() == pytest.approx(300, abs=1)
    assert document["job_id"] == "job1"


async def test_a_database_that_is_away_is_an_error_with_a_code() -> None:
    store = MongoStore(MongoSettings(url=SecretStr(f"mongodb://127.0.0.1:{free_port()}/"), timeout=0.2))
    for call in (
        store.ping(),
        store.ensure_indexes(),
        store.save_result(kind(), "job1", "key", said()),
        store.find_result(kind(), "key"),
        store.result_of_job(kind(), "job1"),
    ):
        with pytest.raises(StoreUnavailable):
            await call
    await store.close()


async def test_an_account_that_only_reads_and_writes_can_start_again_and_meet_an_older_schema(
    servers: Servers, mongo_database: AsyncDatabase[dict[str, Any]]
) -> None:
    """The account of `make run` may not change schemas: the second start uses what the first one made."""
    url = SecretStr(servers.mongo.url)
    for _ in range(2):
        store = MongoStore(MongoSettings(url=url))
        await store.portfolios.prepare()
        await store.alerts.prepare()
        await mongo_database.client["crypto_mcp"].command("collMod", "portfolios", validator={})
        await store.close()
    await mongo_database.client.drop_database("crypto_mcp")
