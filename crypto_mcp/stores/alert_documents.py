"""Alerts in MongoDB: `alerts` in the specified shape, and `alert_firings`, what each fired for.

A firing is one update of one document: the number of the crossing is the fence, and the notification to send lies in
the same document until it is on its list (a transactional outbox). One document is updated atomically on any MongoDB;
a transaction over two would need a replica set.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pymongo import ASCENDING, DESCENDING, IndexModel, UpdateOne, WriteConcern
from pymongo.errors import DuplicateKeyError, PyMongoError

from crypto_mcp.stores.mongo_collections import ensure_collection
from crypto_mcp.stores.mongo_errors import unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
    from datetime import datetime

    from motor.motor_asyncio import AsyncIOMotorDatabase

INDEXES = {
    "alerts": [
        IndexModel([("user_id", ASCENDING), ("alert_id", ASCENDING)], name="user_id_1_alert_id_1"),
        IndexModel([("alert_id", ASCENDING)], name="alert_id_1", unique=True),
        IndexModel([("user_id", ASCENDING), ("created_at", DESCENDING)], name="user_id_1_created_at_-1"),
        IndexModel(
            [("watch", ASCENDING), ("symbol", ASCENDING), ("timeframe", ASCENDING), ("condition", ASCENDING)],
            name="watch_1_symbol_1_timeframe_1_condition_1",
            partialFilterExpression={"status": "active"},
        ),
        IndexModel([("changed_at", ASCENDING)], name="changed_at_1"),
        IndexModel([("waiting", ASCENDING)], name="waiting_1", sparse=True),
        IndexModel([("expires_at", ASCENDING)], name="expires_at_1", partialFilterExpression={"status": "active"}),
    ],
    "alert_firings": [
        IndexModel([("alert_id", ASCENDING), ("event", ASCENDING)], name="alert_id_1_event_1", unique=True),
        IndexModel([("user_id", ASCENDING), ("at", DESCENDING)], name="user_id_1_at_-1"),
        IndexModel([("at", ASCENDING)], name="at_1", expireAfterSeconds=180 * 86_400),
    ],
}

_TEXT = {"bsonType": "string", "minLength": 1, "maxLength": 1100}
_INTEGER = {"bsonType": ["int", "long"]}
SCHEMA: dict[str, Any] = {
    "bsonType": "object",
    "required": ["alert_id", "user_id", "type", "condition", "status", "created_at", "watch", "number", "armed_number"],
    "properties": {
        "alert_id": _TEXT,
        "user_id": _TEXT,
        "type": {"enum": ["price", "percent", "technical", "volume", "structure", "funding", "portfolio", "scan"]},
        "watch": {"enum": ["price", "bars", "intrabar", "metric", "scan"]},
        "condition": _TEXT,
        "status": {"enum": ["active", "paused", "triggered", "expired"]},
        "created_at": {"bsonType": "date"},
        "number": _INTEGER,
        "armed_number": _INTEGER,
    },
}
"""What MongoDB itself refuses to keep."""

BY_STREAM = ["price", "bars", "intrabar"]
"""How alerts are looked at by the watchers."""

PRICE_FIELDS = {
    "_id": 0, "alert_id": 1, "symbol": 1, "watch": 1, "status": 1, "level": 1, "repeat": 1, "number": 1,
    "armed_number": 1, "armed_at": 1, "crossed_at": 1, "timeframe": 1,
}  # fmt: skip
"""What a watcher needs of an alert."""

OUTBOX_FIELDS = {"_id": 0, "alert_id": 1, "outbox": 1, "recent": 1, "status": 1}
"""What is needed to relay what an alert has to tell."""

Documents = list[dict[str, Any]]
Change = tuple["Mapping[str, Any]", "Mapping[str, Any]"]
"""Which alert it is to be, and what is done to it then."""


class AlertDocuments:
    """Reads and writes of alerts. Every method raises `StoreUnavailable` when MongoDB does not answer."""

    def __init__(self, database: AsyncIOMotorDatabase[dict[str, Any]]) -> None:
        self._database = database
        self._alerts = database["alerts"]
        self._firings = database["alert_firings"]
        self._light = database.get_collection("alerts", write_concern=WriteConcern(w=1, j=False))
        self._light_firings = database.get_collection("alert_firings", write_concern=WriteConcern(w=1, j=False))
        self._prepared = False

    async def prepare(self) -> None:
        """Creates what is missing of collections, the validator and indexes; once a process."""
        if self._prepared:
            return
        with _translated():
            await ensure_collection(self._database, "alerts", SCHEMA)
            for name, indexes in INDEXES.items():
                await self._database[name].create_indexes(indexes)
        self._prepared = True

    # For the owner

    async def insert(self, document: dict[str, Any]) -> bool:
        """Keeps a new alert; False if there is one of that id: its job has run before."""
        await self.prepare()
        with _translated():
            try:
                await self._alerts.insert_one(document)
            except DuplicateKeyError:
                return False
        return True

    async def get(self, owner: str, alert_id: str) -> dict[str, Any] | None:
        """One alert of an owner."""
        with _translated():
            return await self._alerts.find_one({"user_id": owner, "alert_id": alert_id})

    async def listed(self, owner: str, where: Mapping[str, Any], limit: int) -> tuple[Documents, int]:
        """The owner's newest alerts with these fields, and how many there are."""
        query = {"user_id": owner, **where}
        with _translated():
            found = await self._alerts.find(query).sort("created_at", DESCENDING).to_list(limit)
            return found, await self._alerts.count_documents(query)

    async def count(self, owner: str) -> int:
        """Alerts of an owner, whatever their status."""
        with _translated():
            return await self._alerts.count_documents({"user_id": owner})

    async def change(self, owner: str, alert_id: str, fields: Mapping[str, Any]) -> dict[str, Any] | None:
        """Sets fields; the alert as it then is, None if there is none."""
        with _translated():
            return await self._alerts.find_one_and_update(
                {"user_id": owner, "alert_id": alert_id}, {"$set": dict(fields)}, return_document=True
            )

    async def delete(self, owner: str, alert_id: str) -> dict[str, Any] | None:
        """Removes an alert; what it was."""
        with _translated():
            return await self._alerts.find_one_and_delete({"user_id": owner, "alert_id": alert_id})

    async def firings(self, owner: str, alert_id: str | None, limit: int) -> Documents:
        """What an owner's alerts fired for, newest first."""
        query = {"user_id": owner} | ({"alert_id": alert_id} if alert_id else {})
        with _translated():
            return await self._firings.find(query).sort("at", DESCENDING).to_list(limit)

    # For the watcher

    async def symbols(self) -> list[str]:
        """Those that prices or bars of are watched."""
        with _translated():
            return list(await self._alerts.distinct("symbol", {"status": "active", "watch": {"$in": BY_STREAM}}))

    async def active(self, symbols: Sequence[str]) -> AsyncIterator[Documents]:
        """What has to be watched of these symbols, in parts."""
        where = {"status": "active", "watch": {"$in": BY_STREAM}, "symbol": {"$in": list(symbols)}}
        async for part in self._parts(where):
            yield part

    async def armed_since(self, symbols: Sequence[str]) -> dict[str, datetime]:
        """Since when the oldest active alert on each of these symbols stands as it does."""
        where = {"status": "active", "watch": {"$in": BY_STREAM}, "symbol": {"$in": list(symbols)}}
        group = {"_id": "$symbol", "since": {"$min": "$armed_at"}}
        with _translated():
            found = await self._alerts.aggregate([{"$match": where}, {"$group": group}]).to_list(None)
        return {each["_id"]: each["since"] for each in found}

    async def changed(self, since: datetime) -> AsyncIterator[Documents]:
        """Every alert that has changed since, in parts."""
        async for part in self._parts({"changed_at": {"$gte": since}}):
            yield part

    async def watched(self, alert_ids: Sequence[str]) -> Documents:
        """What a watcher needs of these alerts."""
        return await self.these(alert_ids, fields=PRICE_FIELDS)

    async def unfinished(self, alert_ids: Sequence[str]) -> Documents:
        """Those of these alerts that are active, with the number of their last crossing."""
        with _translated():
            return await self._alerts.find(
                {"alert_id": {"$in": list(alert_ids)}, "status": "active"}, {"_id": 0, "alert_id": 1, "number": 1}
            ).to_list(None)

    async def _parts(self, query: Mapping[str, Any]) -> AsyncIterator[Documents]:
        with _translated():
            cursor = self._alerts.find(query, PRICE_FIELDS, batch_size=5000)
            while part := await cursor.to_list(1000):
                yield part

    async def these(self, alert_ids: Sequence[str], *, fields: Mapping[str, Any] | None = None) -> Documents:
        """Alerts by id, whoever owns them."""
        with _translated():
            return await self._alerts.find({"alert_id": {"$in": list(alert_ids)}}, fields).to_list(None)

    async def armed(self, armings: Sequence[tuple[str, int, datetime]]) -> None:
        """Notes that alerts can fire again, and after which crossing. Such notes and firings may come in any order."""
        if armings:
            with _translated():
                await self._alerts.bulk_write(
                    [
                        UpdateOne({"alert_id": alert_id}, {"$max": {"armed_number": number, "armed_at": at}})
                        for alert_id, number, at in armings
                    ],
                    ordered=False,
                )

    # For the workers

    async def conditions(self, watch: str, symbol: str, timeframe: str | None) -> list[str]:
        """The distinct conditions of active alerts on bars of one symbol and timeframe."""
        query = {"status": "active", "watch": watch, "symbol": symbol}
        if timeframe is not None:
            query["timeframe"] = timeframe
        with _translated():
            return list(await self._alerts.distinct("condition", query))

    async def watching(self, watch: str, **where: Any) -> Documents:
        """Active alerts that are looked at this way, with these fields."""
        with _translated():
            return await self._alerts.find({"status": "active", "watch": watch, **where}).to_list(None)

    async def fire(self, changes: Sequence[Change]) -> int:
        """Applies changes, each if its alert still is as its filter says, each at once; how many it was done to."""
        if not changes:
            return 0
        with _translated():
            if len(changes) == 1:
                return (await self._alerts.update_one(*changes[0])).matched_count
            made = await self._alerts.bulk_write([UpdateOne(*change) for change in changes], ordered=False)
        return made.matched_count

    async def outboxes(self, alert_ids: Sequence[str]) -> Documents:
        """Of these alerts: outbox, recent events, status."""
        return await self.these(alert_ids, fields=OUTBOX_FIELDS) if alert_ids else []

    async def waiting(self, until: datetime, limit: int = 1000) -> Documents:
        """Alerts with notifications that were to be on their list by then."""
        with _translated():
            return await self._alerts.find({"waiting": {"$lte": until}}).to_list(limit)

    async def relayed(self, relayed: Mapping[str, Sequence[str]]) -> None:
        """Takes notifications (ids by alert) out of their alerts: they are on their list. Losing it repeats it."""
        if not relayed:
            return
        changes = [UpdateOne({"alert_id": alert_id}, [_without(list(ids))]) for alert_id, ids in relayed.items()]
        with _translated():
            await self._light.bulk_write(changes, ordered=False)

    async def keep_firings(self, firings: Sequence[Mapping[str, Any]]) -> None:
        """For the history; keeping one again changes nothing."""
        if not firings:
            return
        changes = [
            UpdateOne({"alert_id": each["alert_id"], "event": each["event"]}, {"$setOnInsert": dict(each)}, upsert=True)
            for each in firings
        ]
        with _translated():
            await self._light_firings.bulk_write(changes, ordered=False)

    async def expire(self, now: datetime) -> list[str]:
        """Ends alerts whose time is over; their ids."""
        query = {"status": "active", "expires_at": {"$lte": now}}
        with _translated():
            found = [each["alert_id"] async for each in self._alerts.find(query, {"alert_id": 1})]
            if found:
                await self._alerts.update_many(query, {"$set": {"status": "expired", "changed_at": now}})
        return found


def _without(ids: list[str]) -> dict[str, Any]:
    """The stage that leaves out notifications, and says from when on the rest waits."""
    left = {"$filter": {"input": "$outbox", "cond": {"$not": {"$in": ["$$this.id", ids]}}}}
    return {
        "$set": {
            "outbox": left,
            "waiting": {"$ifNull": [{"$min": {"$map": {"input": left, "in": "$$this.due"}}}, "$$REMOVE"]},
        }
    }


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except PyMongoError as error:
        raise unavailable(error) from error
