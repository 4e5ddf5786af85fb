"""The `candles` collection: a document for each venue, symbol, timeframe and month.

What the fields mean is the archive's; here is only how they are read and replaced, so that no writer undoes another.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pymongo.errors import BulkWriteError, DuplicateKeyError, PyMongoError

from crypto_mcp.stores.mongo_errors import unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator
    from datetime import datetime

    from motor.motor_asyncio import AsyncIOMotorCollection

_TAKEN = 11000
"""MongoDB's code for a key that is there already."""

_LONGEST_TAIL = 64
"""Appends to a document after which it is packed anew."""


class CandleDocuments:
    """Reads and writes. Every method raises `StoreUnavailable` when MongoDB does not answer."""

    def __init__(
        self, collection: AsyncIOMotorCollection[dict[str, Any]], prepare: Callable[[], Awaitable[None]]
    ) -> None:
        self._collection = collection
        self._prepare = prepare

    async def find(self, names: Iterable[str]) -> list[dict[str, Any]]:
        """The documents of these ids, by id."""
        with _translated():
            return await self._collection.find({"_id": {"$in": list(names)}}).sort("_id", 1).to_list(None)

    async def replace(self, document: dict[str, Any], version: int) -> bool:
        """Writes the document if that version is the one that is kept; a negative one means that none is."""
        await self._prepare()
        with _translated():
            if version < 0:
                try:
                    await self._collection.insert_one(document)
                except DuplicateKeyError:
                    return False
                return True
            done = await self._collection.replace_one({"_id": document["_id"], "version": version}, document)
            return bool(done.matched_count)

    async def insert(self, documents: list[dict[str, Any]]) -> set[str]:
        """Writes those of which no version is kept; the ids of the others, which stay as they are."""
        if not documents:
            return set()
        await self._prepare()
        with _translated():
            try:
                await self._collection.insert_many(documents, ordered=False)
            except BulkWriteError as error:
                failed = error.details["writeErrors"]
                if any(each["code"] != _TAKEN for each in failed):
                    raise
                return {documents[each["index"]]["_id"] for each in failed}
        return set()

    async def append(self, name: str, block: bytes, bars: int, first: datetime, last: datetime) -> bool:
        """Adds a block of bars that are newer than all the document has; False if they are not, or its tail is full."""
        newer = {"_id": name, "last": {"$lt": first}, f"tail.{_LONGEST_TAIL - 1}": {"$exists": False}}
        with _translated():
            done = await self._collection.update_one(
                newer, {"$push": {"tail": block}, "$set": {"last": last}, "$inc": {"version": 1, "bars": bars}}
            )
            return bool(done.matched_count)

    async def describe(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        """Documents without their bars, by id."""
        with _translated():
            found = self._collection.find(query, {"data": False, "tail": False}).sort("_id", 1)
            return await found.to_list(None)

    async def sizes(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        """For each venue, symbol and timeframe: documents, bars, bytes, first and last bar, missing bars' spans."""
        stages = [
            {"$match": query},
            {
                "$group": {
                    "_id": {"venue": "$venue", "symbol": "$symbol", "timeframe": "$timeframe"},
                    "months": {"$sum": 1},
                    "bars": {"$sum": "$bars"},
                    "bytes": {"$sum": {"$bsonSize": "$$ROOT"}},
                    "first": {"$min": "$first"},
                    "last": {"$max": "$last"},
                    "holes": {"$sum": {"$size": "$holes"}},
                }
            },
            {"$sort": {"_id": 1}},
        ]
        with _translated():
            return await self._collection.aggregate(stages).to_list(None)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except PyMongoError as error:
        raise unavailable(error) from error
