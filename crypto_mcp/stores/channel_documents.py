"""Channels in MongoDB: whom to reach and how, numbers and secrets encrypted, found by their marks.

_id, user_id, name, kind, state, default, fallback, created_at
sealed        number or URL, encrypted
marks         keyed hashes of the number, and of what WhatsApp calls it
secret        of a webhook, encrypted
verified_at, stopped_at, window_until, code, code_until, code_tries
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pymongo import ASCENDING, IndexModel, ReturnDocument
from pymongo.errors import DuplicateKeyError, PyMongoError

from crypto_mcp.errors import InvalidRequest
from crypto_mcp.stores.mongo_errors import unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from motor.motor_asyncio import AsyncIOMotorDatabase

_INDEXES = [
    IndexModel([("user_id", ASCENDING), ("name", ASCENDING)], name="user_id_1_name_1", unique=True),
    IndexModel([("marks", ASCENDING)], name="marks_1", sparse=True),
]


class ChannelExists(InvalidRequest):
    """The owner has a channel of that name."""

    code = "channel_exists"
    http_status = 409


class ChannelDocuments:
    """Every method raises `StoreUnavailable` when MongoDB does not answer."""

    def __init__(self, database: AsyncIOMotorDatabase[dict[str, Any]]) -> None:
        self._channels = database["channels"]
        self._prepared = False

    async def _prepare(self) -> None:
        if not self._prepared:
            await self._channels.create_indexes(_INDEXES)
            self._prepared = True

    async def insert(self, channel: dict[str, Any]) -> None:
        """A new one; `ChannelExists` if the name is taken."""
        with _translated():
            await self._prepare()
            try:
                await self._channels.insert_one(channel)
            except DuplicateKeyError:
                raise ChannelExists(
                    f"you have a channel {channel['name']!r}", hint="Remove it first, or take another name."
                ) from None

    async def named(self, owner: str, name: str) -> dict[str, Any] | None:
        """The channel of that name."""
        with _translated():
            return await self._channels.find_one({"user_id": owner, "name": name})

    async def default(self, owner: str) -> dict[str, Any] | None:
        """The owner's default channel."""
        with _translated():
            return await self._channels.find_one({"user_id": owner, "default": True})

    async def of(self, owner: str) -> list[dict[str, Any]]:
        """All of an owner's, the oldest first."""
        with _translated():
            return await self._channels.find({"user_id": owner}).sort("created_at", ASCENDING).to_list(None)

    async def by_id(self, channel_id: str) -> dict[str, Any] | None:
        """The channel of that id."""
        with _translated():
            return await self._channels.find_one({"_id": channel_id})

    async def marked(self, marks: Sequence[str]) -> list[dict[str, Any]]:
        """All channels, of all owners, that have one of these marks."""
        with _translated():
            return await self._channels.find({"marks": {"$in": list(marks)}}).to_list(None)

    async def change(
        self, channel_id: str, change: dict[str, Any], where: dict[str, Any] | None = None
    ) -> dict[str, Any] | None:
        """Changes a channel, if it is as `where` says; the changed channel."""
        with _translated():
            return await self._channels.find_one_and_update(
                {"_id": channel_id} | (where or {}), change, return_document=ReturnDocument.AFTER
            )

    async def undefault(self, owner: str, but: str) -> None:
        """No channel of the owner but one is the default."""
        with _translated():
            await self._channels.update_many(
                {"user_id": owner, "_id": {"$ne": but}, "default": True}, {"$set": {"default": False}}
            )

    async def remove(self, owner: str, name: str | None = None) -> int:
        """Removes one, or all of an owner's."""
        which = {"user_id": owner} if name is None else {"user_id": owner, "name": name}
        with _translated():
            return (await self._channels.delete_many(which)).deleted_count


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except PyMongoError as error:
        raise unavailable(error) from error
