"""Whatever MongoDB has of one user, in every collection there is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pymongo.errors import PyMongoError

from crypto_mcp.stores.mongo_errors import unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from motor.motor_asyncio import AsyncIOMotorDatabase

OWNER_FIELDS = ("user_id", "owner", "client", "client_id")
"""Names under which documents say whose they are; ids may say so too, by `{user}/` in front."""

_CHANNELS, _SEALED = "channels", ("sealed", "secret")


class PersonalDocuments:
    """Reads and removes them. Every method raises `StoreUnavailable` when MongoDB does not answer.

    Of channels, which say by number or URL whom to reach, `opened` makes the encrypted parts readable in an export.
    """

    name = "mongodb"

    def __init__(
        self, database: AsyncIOMotorDatabase[dict[str, Any]], opened: Callable[[str], str] | None = None
    ) -> None:
        self._database = database
        self._opened = opened

    async def read(self, user: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Each document with its collection's name."""
        try:
            for collection, query in await self._queries(user):
                async for document in self._database[collection].find(query):
                    yield collection, self._readable(document) if collection == _CHANNELS else document
        except PyMongoError as error:
            raise unavailable(error) from error

    async def erase(self, user: str) -> int:
        """Removes them; how many. Channels last, for what was sent by them is found through them."""
        try:
            queries = await self._queries(user)
            queries.sort(key=lambda each: each[0] == _CHANNELS)
            return sum([(await self._database[name].delete_many(query)).deleted_count for name, query in queries])
        except PyMongoError as error:
            raise unavailable(error) from error

    async def _queries(self, user: str) -> list[tuple[str, dict[str, Any]]]:
        channels = await self._database[_CHANNELS].distinct("_id", {"user_id": user})
        whose: list[dict[str, Any]] = [{field: user} for field in OWNER_FIELDS]
        whose += [{"_id": {"$regex": f"^{re.escape(user)}/"}}, {"channel_id": {"$in": channels}}]
        names = sorted(await self._database.list_collection_names(filter={"type": "collection"}))
        return [(name, {"$or": whose}) for name in names if not name.startswith("system.")]

    def _readable(self, document: dict[str, Any]) -> dict[str, Any]:
        if self._opened is None:
            return document
        return {name: self._opened(value) if name in _SEALED and value else value for name, value in document.items()}
