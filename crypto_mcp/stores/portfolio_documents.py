"""Portfolios in MongoDB: the ledger, which is the truth, the snapshot that it adds up to, and sampled equity.

`portfolio_ledger` is only ever added to. Its unique index on the entry's number is the optimistic lock: of two writers
that saw the same state one adds the next entry, the other sees a duplicate and starts again. Its unique index on the
job's id makes a job that is run again find what it did.
`portfolios` has one document a portfolio, in the specified shape; one that lags behind its ledger, because a worker was
killed between the two writes, is caught up by whoever reads next.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pymongo import ASCENDING, DESCENDING, IndexModel, WriteConcern
from pymongo.errors import DuplicateKeyError, PyMongoError

from crypto_mcp.stores.mongo_collections import ensure_collection
from crypto_mcp.stores.mongo_errors import unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from motor.motor_asyncio import AsyncIOMotorDatabase

_KEY = [("user_id", ASCENDING), ("portfolio_id", ASCENDING)]

INDEXES = {
    "portfolios": [IndexModel(_KEY, name="user_id_1_portfolio_id_1", unique=True)],
    "portfolio_ledger": [
        IndexModel([*_KEY, ("seq", ASCENDING)], name="user_id_1_portfolio_id_1_seq_1", unique=True),
        IndexModel([*_KEY, ("job_id", ASCENDING)], name="user_id_1_portfolio_id_1_job_id_1", unique=True),
        IndexModel([*_KEY, ("data.fills.id", ASCENDING)], name="user_id_1_portfolio_id_1_fill_id_1", sparse=True),
    ],
    "portfolio_equity": [IndexModel([*_KEY, ("at", ASCENDING)], name="user_id_1_portfolio_id_1_at_1", unique=True)],
}

_DECIMAL = {"bsonType": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}
_NUMBER = {"bsonType": ["double", "int", "long", "null"]}
_TEXT = {"bsonType": "string", "minLength": 1, "maxLength": 100}

SCHEMAS: dict[str, dict[str, Any]] = {
    "portfolios": {
        "bsonType": "object",
        "required": [
            "portfolio_id", "user_id", "version", "positions", "risk_metrics", "last_updated", "cash", "contributions",
        ],
        "properties": {
            "portfolio_id": _TEXT,
            "user_id": _TEXT,
            "version": {"bsonType": ["int", "long"], "minimum": 1},
            "cash": _DECIMAL,
            "contributions": _DECIMAL,
            "last_updated": {"bsonType": "date"},
            "positions": {
                "bsonType": "array",
                "items": {
                    "bsonType": "object",
                    "required": ["symbol", "market", "size", "entry_price", "lots"],
                    "properties": {
                        "symbol": _TEXT,
                        "market": {"enum": ["spot", "perpetual"]},
                        "size": _DECIMAL,
                        "entry_price": _DECIMAL,
                        "current_price": {"anyOf": [_DECIMAL, {"bsonType": "null"}]},
                        "pnl_percent": _NUMBER,
                    },
                },
            },
            "risk_metrics": {
                "bsonType": "object",
                "properties": {"portfolio_var_95": _NUMBER, "max_drawdown": _NUMBER, "sharpe_ratio": _NUMBER},
            },
        },
    },
    "portfolio_ledger": {
        "bsonType": "object",
        "required": ["portfolio_id", "user_id", "seq", "kind", "data", "at", "recorded_at", "job_id", "seal"],
        "properties": {
            "portfolio_id": _TEXT,
            "user_id": _TEXT,
            "seq": {"bsonType": ["int", "long"], "minimum": 1},
            "kind": _TEXT,
            "data": {"bsonType": "object"},
            "at": {"bsonType": "date"},
            "recorded_at": {"bsonType": "date"},
            "job_id": _TEXT,
            "seal": {"bsonType": "string", "pattern": "^[0-9a-f]{64}$"},
        },
    },
    "portfolio_equity": {
        "bsonType": "object",
        "required": ["portfolio_id", "user_id", "at", "equity", "contributions"],
        "properties": {"at": {"bsonType": "date"}, "equity": _DECIMAL, "contributions": _DECIMAL},
    },
}  # fmt: skip
"""What MongoDB itself refuses to keep."""


class PortfolioDocuments:
    """Reads and writes by owner and name. Every method raises `StoreUnavailable` when MongoDB does not answer."""

    def __init__(self, database: AsyncIOMotorDatabase[dict[str, Any]]) -> None:
        self._database = database
        self._snapshots = database["portfolios"]
        self._ledger = database["portfolio_ledger"]
        self._equity = database["portfolio_equity"]
        self._valuations = database.get_collection("portfolios", write_concern=WriteConcern(w=1, j=False))
        self._prepared = False

    async def prepare(self) -> None:
        """Creates what is missing of collections, validators and indexes; once a process."""
        if self._prepared:
            return
        with _translated():
            for name, schema in SCHEMAS.items():
                await ensure_collection(self._database, name, schema)
                await self._database[name].create_indexes(INDEXES[name])
        self._prepared = True

    async def snapshot(self, owner: str, name: str) -> dict[str, Any] | None:
        """The newest snapshot."""
        with _translated():
            return await self._snapshots.find_one({"user_id": owner, "portfolio_id": name})

    async def snapshots(self, owner: str | None = None, limit: int = 1000) -> list[dict[str, Any]]:
        """The portfolios of one owner, or of all, without their insides."""
        query = {} if owner is None else {"user_id": owner}
        shown = {"user_id": 1, "portfolio_id": 1, "name": 1, "version": 1, "last_updated": 1, "positions.symbol": 1}
        with _translated():
            return await self._snapshots.find(query, shown).sort(_KEY).to_list(limit)

    async def keep_snapshot(self, document: dict[str, Any]) -> None:
        """Writes a snapshot, unless a newer one is there."""
        older = {key: document[key] for key in ("user_id", "portfolio_id")} | {"version": {"$lt": document["version"]}}
        with _translated():
            try:
                await self._snapshots.replace_one(older, document, upsert=True)
            except DuplicateKeyError:
                return  # a newer one is there

    async def keep_valuation(self, owner: str, name: str, version: int, fields: dict[str, Any]) -> None:
        """Sets prices and metrics of a snapshot that has this version; nothing if it has another.

        They are computed anew at every reading, so nobody waits until they are on the disk.
        """
        with _translated():
            await self._valuations.update_one(
                {"user_id": owner, "portfolio_id": name, "version": version}, {"$set": fields}
            )

    async def drop_snapshot(self, owner: str, name: str, version: int) -> None:
        """Removes a snapshot that is not newer than this version."""
        with _translated():
            await self._snapshots.delete_one(
                {"user_id": owner, "portfolio_id": name, "version": {"$lte": version}}
            )  # fmt: skip

    async def add(self, entry: dict[str, Any]) -> bool:
        """Adds an entry; False if its number is taken, or its job has made one already."""
        await self.prepare()
        with _translated():
            try:
                await self._ledger.insert_one(entry)
            except DuplicateKeyError:
                return False
        return True

    async def last_entry(self, owner: str, name: str) -> dict[str, Any] | None:
        """The newest entry, without its data."""
        with _translated():
            return await self._ledger.find_one(
                {"user_id": owner, "portfolio_id": name}, {"data": 0}, sort=[("seq", DESCENDING)]
            )

    async def entry_of_job(self, owner: str, name: str, job_id: str) -> dict[str, Any] | None:
        """The entry a job made."""
        with _translated():
            return await self._ledger.find_one({"user_id": owner, "portfolio_id": name, "job_id": job_id})

    async def entries(
        self, owner: str, name: str, *, after: int = 0, newest: int | None = None
    ) -> list[dict[str, Any]]:
        """Entries with a number above `after`, in order; or the newest so many."""
        query = {"user_id": owner, "portfolio_id": name, "seq": {"$gt": after}}
        with _translated():
            if newest is None:
                return await self._ledger.find(query).sort("seq", ASCENDING).to_list(None)
            found = await self._ledger.find(query).sort("seq", DESCENDING).to_list(newest)
        return found[::-1]

    async def known_trades(self, owner: str, name: str, ids: list[str]) -> set[str]:
        """Which of these trade ids the ledger has of the portfolio that is there now, not of one deleted before."""
        wanted = set(ids)
        which = {"user_id": owner, "portfolio_id": name}
        with _translated():
            began = await self._ledger.find_one({**which, "kind": "created"}, {"seq": 1}, sort=[("seq", DESCENDING)])
            query = {**which, "data.fills.id": {"$in": ids}, "seq": {"$gt": 0 if began is None else began["seq"]}}
            found = await self._ledger.find(query, {"data.fills.id": 1}).to_list(None)
        return {fill["id"] for entry in found for fill in entry["data"]["fills"] if fill.get("id") in wanted}

    async def keep_equity(self, owner: str, name: str, at: datetime, sample: dict[str, Any]) -> None:
        """Keeps the equity of a moment; a moment that has one keeps it."""
        await self.prepare()
        with _translated():
            await self._equity.update_one(
                {"user_id": owner, "portfolio_id": name, "at": at}, {"$setOnInsert": sample}, upsert=True
            )

    async def equity(self, owner: str, name: str) -> list[dict[str, Any]]:
        """All samples, oldest first."""
        with _translated():
            return (
                await self._equity.find({"user_id": owner, "portfolio_id": name}, {"_id": 0})
                .sort("at", ASCENDING)
                .to_list(None)
            )

    async def drop_equity(self, owner: str, name: str) -> None:
        """Forgets the samples of a portfolio that was deleted."""
        with _translated():
            await self._equity.delete_many({"user_id": owner, "portfolio_id": name})

    async def ledgers(self) -> list[tuple[str, str]]:
        """Owner and name of every portfolio that ever had an entry."""
        group = {"$group": {"_id": {"user_id": "$user_id", "portfolio_id": "$portfolio_id"}}}
        with _translated():
            found = await self._ledger.aggregate([group]).to_list(None)
        return sorted((row["_id"]["user_id"], row["_id"]["portfolio_id"]) for row in found)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except PyMongoError as error:
        raise unavailable(error) from error
