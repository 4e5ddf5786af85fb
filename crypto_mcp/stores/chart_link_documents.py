"""Marks of those who were sent links to charts, in MongoDB: `_id` is the mark, `user_id` whose it is.

Erased with all else of a user's; then nothing the user was sent opens any more.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pymongo import ASCENDING, ReturnDocument
from pymongo.errors import DuplicateKeyError, PyMongoError

from crypto_mcp.stores.mongo_errors import unavailable

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorDatabase


class ChartLinkDocuments:
    """Every method raises `StoreUnavailable` when MongoDB does not answer."""

    def __init__(self, database: AsyncIOMotorDatabase[dict[str, Any]]) -> None:
        self._links = database["chart_links"]
        self._prepared = False

    async def mark_of(self, owner: str) -> str:
        """The owner's mark; made, if there is none."""
        try:
            if not self._prepared:
                await self._links.create_index([("user_id", ASCENDING)], name="user_id_1", unique=True)
                self._prepared = True
            try:
                found = await self._find_or_make(owner)
            except DuplicateKeyError:  # two made it at once: one did
                found = await self._find_or_make(owner)
        except PyMongoError as error:
            raise unavailable(error) from error
        return str(found["_id"])

    async def owner_of(self, mark: str) -> str | None:
        """Whose mark it is; None if nobody's, or nobody's any more."""
        try:
            found = await self._links.find_one({"_id": mark})
        except PyMongoError as error:
            raise unavailable(error) from error
        return None if found is None else str(found["user_id"])

    async def _find_or_make(self, owner: str) -> dict[str, Any]:
        made = {"_id": secrets.token_urlsafe(16), "created_at": datetime.now(UTC)}
        found: dict[str, Any] = await self._links.find_one_and_update(
            {"user_id": owner}, {"$setOnInsert": made}, upsert=True, return_document=ReturnDocument.AFTER
        )
        return found
