"""Results in MongoDB. The only module that knows motor, whose successor is PyMongo's own async client.

A result is one document in its kind's collection: the fields of the result, at the top level, and beside them

    job_id       the job that made it; unique, so that a repeated job writes onto itself
    cache_key    the cached key that answers with it; none if it is not cached
    created_at   when it was first written; the TTL index counts from here
    ttl          when it stops being a fresh answer
"""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from motor.motor_asyncio import AsyncIOMotorClient
from pydantic import ValidationError
from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.errors import PyMongoError

from crypto_mcp.stores.alert_documents import AlertDocuments
from crypto_mcp.stores.candle_documents import CandleDocuments
from crypto_mcp.stores.channel_documents import ChannelDocuments
from crypto_mcp.stores.chart_link_documents import ChartLinkDocuments
from crypto_mcp.stores.mongo_errors import unavailable
from crypto_mcp.stores.notification_documents import NotificationDocuments
from crypto_mcp.stores.personal_documents import PersonalDocuments
from crypto_mcp.stores.portfolio_documents import PortfolioDocuments
from crypto_mcp.stores.trial_ledger import TrialLedger

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel

    from crypto_mcp.job_kind import JobKind
    from crypto_mcp.settings import MongoSettings

_WEEK = 7 * 24 * 3600

_OF_EVERY_RESULT = [
    IndexModel([("created_at", ASCENDING)], name="created_at_1", expireAfterSeconds=_WEEK),
    IndexModel([("job_id", ASCENDING)], name="job_id_1", unique=True),
    IndexModel([("cache_key", ASCENDING), ("created_at", DESCENDING)], name="cache_key_1_created_at_-1"),
]

INDEXES: dict[str, list[IndexModel]] = {
    "candles": [
        IndexModel(
            [("venue", ASCENDING), ("symbol", ASCENDING), ("timeframe", ASCENDING), ("month", ASCENDING)],
            name="venue_1_symbol_1_timeframe_1_month_1",
        )
    ],
    "trials": [
        IndexModel(
            [("client", ASCENDING), ("symbols", ASCENDING), ("timeframe", ASCENDING), ("first", ASCENDING)],
            name="client_1_symbols_1_timeframe_1_first_1",
        )
    ],
    "analyses": [
        IndexModel([("symbol", ASCENDING), ("timestamp", DESCENDING)], name="symbol_1_timestamp_-1"),
        IndexModel([("analysis.confidence", DESCENDING)], name="analysis.confidence_-1"),
        *_OF_EVERY_RESULT,
    ],
}
"""Indexes by collection; a collection without an entry gets those of every result."""

_BOOKKEEPING = frozenset({"_id", "job_id", "cache_key", "created_at", "ttl"})


class MongoStore:
    """Reads and writes results. Every method raises `StoreUnavailable` when MongoDB does not answer."""

    def __init__(self, settings: MongoSettings) -> None:
        self._client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(
            settings.url.get_secret_value(),
            serverSelectionTimeoutMS=int(settings.timeout * 1000),
            connectTimeoutMS=int(settings.timeout * 1000),
            socketTimeoutMS=int(settings.timeout * 1000),
            tz_aware=True,
            appname="crypto-mcp",
        )
        self._database = self._client[settings.database]
        self._indexed: set[str] = set()
        self.portfolios = PortfolioDocuments(self._database)
        self.channels = ChannelDocuments(self._database)
        self.chart_links = ChartLinkDocuments(self._database)
        self.notifications = NotificationDocuments(self._database)
        self.alerts = AlertDocuments(self._database)

    async def ensure_indexes(self, *collections: str) -> None:
        """Creates what is missing of the indexes of these collections, of all that are declared by default."""
        for name in collections or tuple(INDEXES):
            if name not in self._indexed:
                try:
                    await self._database[name].create_indexes(INDEXES.get(name, _OF_EVERY_RESULT))
                except PyMongoError as error:
                    raise unavailable(error) from error
                self._indexed.add(name)

    async def save_result(self, kind: JobKind[Any, Any], job_id: str, cache_key: str | None, result: BaseModel) -> None:
        """Writes a job's result; writing it again changes nothing but the result itself."""
        collection = _collection(kind)
        now = datetime.now(UTC)
        document = result.model_dump() | {
            "cache_key": cache_key,
            "ttl": now + timedelta(seconds=kind.cache.seconds(result) if kind.cache else 0),
        }
        await self.ensure_indexes(collection)
        try:
            await self._database[collection].update_one(
                {"job_id": job_id}, {"$set": document, "$setOnInsert": {"created_at": now}}, upsert=True
            )
        except PyMongoError as error:
            raise unavailable(error) from error

    async def find_result(self, kind: JobKind[Any, Any], cache_key: str) -> tuple[BaseModel, float] | None:
        """The newest result that answers a cached key and for how many seconds more, if it is still fresh."""
        document = await self._newest(kind, {"cache_key": cache_key, "ttl": {"$gt": datetime.now(UTC)}})
        if document is None:
            return None
        left = (document["ttl"] - datetime.now(UTC)).total_seconds()
        return _result(kind, document), left

    async def result_of_job(self, kind: JobKind[Any, Any], job_id: str) -> BaseModel | None:
        """The result a job wrote, however old."""
        document = await self._newest(kind, {"job_id": job_id})
        return None if document is None else _result(kind, document)

    def personal(self, opened: Callable[[str], str] | None = None) -> PersonalDocuments:
        """What is kept of a user; `opened` decrypts what is encrypted of it."""
        return PersonalDocuments(self._database, opened)

    @property
    def candles(self) -> CandleDocuments:
        """The candle archive's documents."""
        return CandleDocuments(self._database["candles"], lambda: self.ensure_indexes("candles"))

    @property
    def trials(self) -> TrialLedger:
        """How many strategies were tried on which data."""
        return TrialLedger(self._database["trials"], lambda: self.ensure_indexes("trials"))

    async def results_between(
        self, kind: JobKind[Any, Any], where: dict[str, Any], begin: datetime | None, end: datetime, limit: int
    ) -> list[tuple[str, BaseModel]]:
        """Stored results with these fields and `begin <= timestamp < end`, the newest first, each with its job's id.

        What another version of the product wrote and this one cannot read is left out.
        """
        since = {} if begin is None else {"$gte": begin}
        query = where | {"timestamp": since | {"$lt": end}}
        try:
            found = self._database[_collection(kind)].find(query, sort=[("timestamp", DESCENDING)], limit=limit)
            documents = await found.to_list(limit)
        except PyMongoError as error:
            raise unavailable(error) from error
        readable = []
        for document in documents:
            with contextlib.suppress(ValidationError):
                readable.append((document["job_id"], _result(kind, document)))
        return readable

    async def ping(self) -> None:
        """Returns if MongoDB answers."""
        try:
            await self._client.admin.command("ping")
        except PyMongoError as error:
            raise unavailable(error) from error

    async def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    async def _newest(self, kind: JobKind[Any, Any], query: dict[str, Any]) -> dict[str, Any] | None:
        try:
            return await self._database[_collection(kind)].find_one(query, sort=[("created_at", DESCENDING)])
        except PyMongoError as error:
            raise unavailable(error) from error


def _result(kind: JobKind[Any, Any], document: dict[str, Any]) -> BaseModel:
    fields = {name: value for name, value in document.items() if name not in _BOOKKEEPING}
    return kind.result.model_validate(fields)  # type: ignore[no-any-return]


def _collection(kind: JobKind[Any, Any]) -> str:
    if kind.cache is None or kind.cache.collection is None:
        raise ValueError(f"{kind.name} keeps no results in MongoDB")
    return kind.cache.collection
