"""The ledger of what was told: `notifications`, one for each thing to tell, and `notification_messages`, one for each
message that a provider was given, which may carry several notifications.

    notifications           _id (owner/notification_id), user_id, notification_id, told, asked, priority, rank, at,
                            state, channel, channel_id, tried, message_id, attempts, turn, reason, accepted_at, state_at
    notification_messages   _id, user_id, channel_id, notifications, sender, state, sends, possible_duplicates,
                            provider_id, free_text, reason, events, created_at, state_at

A message is written down as `sending` before it goes and as `sent` after: one that stays `sending` when nobody is
sending it was cut off in between, and may have arrived. Notifications are claimed for a message first; whoever is
killed between the two leaves a claim without a message, of which nothing can have been sent.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pymongo import ASCENDING, DESCENDING, IndexModel, ReturnDocument
from pymongo.errors import BulkWriteError, DuplicateKeyError, PyMongoError

from crypto_mcp.stores.mongo_errors import unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from motor.motor_asyncio import AsyncIOMotorDatabase

_KEPT = 90 * 86_400
_DUPLICATE = 11000

INDEXES = {
    "notifications": [
        IndexModel(
            [("channel_id", ASCENDING), ("rank", ASCENDING), ("at", ASCENDING)],
            name="open_1",
            partialFilterExpression={"open": True},
        ),
        IndexModel([("user_id", ASCENDING)], name="open_user_id_1", partialFilterExpression={"open": True}),
        IndexModel([("state_at", ASCENDING)], name="open_state_at_1", partialFilterExpression={"open": True}),
        IndexModel([("user_id", ASCENDING), ("accepted_at", DESCENDING)], name="user_id_1_accepted_at_-1"),
        IndexModel([("message_id", ASCENDING)], name="message_id_1", sparse=True),
        IndexModel([("accepted_at", ASCENDING)], name="accepted_at_1", expireAfterSeconds=_KEPT),
    ],
    "notification_messages": [
        IndexModel([("provider_id", ASCENDING)], name="provider_id_1", sparse=True),
        IndexModel([("created_at", ASCENDING)], name="created_at_1", expireAfterSeconds=_KEPT),
    ],
}

_RANKS = {"sending": 0, "sent": 1, "delivered": 2, "read": 3}
"""How far a message came. States arrive late, twice and out of order: it never goes back."""


class NotificationDocuments:
    """Every method raises `StoreUnavailable` when MongoDB does not answer."""

    def __init__(self, database: AsyncIOMotorDatabase[dict[str, Any]]) -> None:
        self._database = database
        self._notifications = database["notifications"]
        self._messages = database["notification_messages"]
        self._prepared = False

    async def _prepare(self) -> None:
        if not self._prepared:
            for name, indexes in INDEXES.items():
                await self._database[name].create_indexes(indexes)
            self._prepared = True

    async def accept_all(self, documents: Sequence[dict[str, Any]]) -> None:
        """Writes notifications down, each with its key as `_id`; those that are known stay as they are."""
        with _translated():
            await self._prepare()
            try:
                await self._notifications.insert_many(documents, ordered=False)
            except BulkWriteError as error:
                if any(each["code"] != _DUPLICATE for each in error.details["writeErrors"]):
                    raise

    async def forgotten(self, before: datetime, limit: int) -> list[dict[str, Any]]:
        """Open notifications of which nothing was written down since, the oldest first."""
        with _translated():
            found = self._notifications.find(
                {"open": True, "state_at": {"$lt": before}}, sort=[("state_at", ASCENDING)], limit=limit
            )
            return await found.to_list(limit)

    async def has_job(self, key: str, job_id: str) -> None:
        """Another job than its first one looks after it."""
        with _translated():
            await self._notifications.update_one({"_id": key}, {"$set": {"job_id": job_id}})

    async def accept(self, key: str, document: dict[str, Any]) -> dict[str, Any]:
        """Writes a notification down, unless it is known; how it stands."""
        with _translated():
            await self._prepare()
            change = {"$setOnInsert": document}
            for _ in range(2):
                try:
                    return await self._notifications.find_one_and_update(
                        {"_id": key}, change, upsert=True, return_document=ReturnDocument.AFTER
                    )
                except DuplicateKeyError:  # somebody else wrote it down at the same moment
                    continue
            raise AssertionError("unreachable")

    async def notification(self, key: str) -> dict[str, Any] | None:
        """A notification as it stands."""
        with _translated():
            return await self._notifications.find_one({"_id": key})

    async def newest(self, owner: str, limit: int) -> list[dict[str, Any]]:
        """An owner's, the newest first."""
        with _translated():
            found = self._notifications.find({"user_id": owner}, sort=[("accepted_at", DESCENDING)], limit=limit)
            return await found.to_list(limit)

    async def route(self, owner: str, asked: str | None, channel_id: str, channel: str) -> None:
        """Puts an owner's waiting notifications that asked for the same channel onto it: they came together."""
        with _translated():
            await self._notifications.update_many(
                {"user_id": owner, "open": True, "state": "queued", "asked": asked, "channel_id": {"$exists": False}},
                {"$set": {"channel_id": channel_id, "channel": channel}},
            )

    async def open_on(self, channel_id: str, limit: int) -> list[dict[str, Any]]:
        """What waits on a channel or is being sent there, the most urgent and then the oldest first."""
        with _translated():
            found = self._notifications.find(
                {"channel_id": channel_id, "open": True},
                sort=[("rank", ASCENDING), ("at", ASCENDING), ("_id", ASCENDING)],
                limit=limit,
            )
            return await found.to_list(limit)

    async def claim(self, keys: Sequence[str], channel_id: str, message_id: str) -> list[dict[str, Any]]:
        """Takes waiting notifications for a message; those that were still to be had, in the given order."""
        queued = {"state": "queued", "channel_id": channel_id}
        change = {"$set": {"state": "sending", "message_id": message_id, "state_at": _now()}}
        with _translated():
            if len(keys) == 1:
                one = await self._notifications.find_one_and_update({"_id": keys[0]} | queued, change)
                return [] if one is None else [one]
            await self._notifications.update_many({"_id": {"$in": list(keys)}} | queued, change)
            found = await self._notifications.find({"message_id": message_id}).to_list(None)
        return sorted(found, key=lambda each: keys.index(each["_id"]))

    async def begin(self, message: dict[str, Any]) -> None:
        """Writes a message down before it goes."""
        with _translated():
            await self._messages.insert_one(message)

    async def again(self, message_id: str, sends: int) -> bool:
        """A message that was cut off goes again: a possible duplicate, and counted as one. False if it is settled."""
        with _translated():
            changed = await self._messages.update_one(
                {"_id": message_id, "state": "sending", "sends": sends},
                {"$inc": {"sends": 1, "possible_duplicates": 1}, "$set": {"state_at": _now()}},
            )
        return bool(changed.modified_count)

    async def message(self, message_id: str) -> dict[str, Any] | None:
        """A message as it stands."""
        with _translated():
            return await self._messages.find_one({"_id": message_id})

    async def find_message(self, message_id: str | None, provider_id: str) -> dict[str, Any] | None:
        """A message by our id, if the provider told it, or by theirs."""
        which = {"provider_id": provider_id} if message_id is None else {"_id": message_id}
        with _translated():
            return await self._messages.find_one(which)

    async def reached(self, message_id: str, state: str, provider_id: str | None, at: datetime) -> bool:
        """A message has come further, and what it carries with it. False if it had come so far already."""
        below = [name for name, rank in _RANKS.items() if rank < _RANKS[state]]
        named = {} if provider_id is None else {"provider_id": provider_id}
        with _translated():
            changed = await self._messages.update_one(
                {"_id": message_id, "state": {"$in": below}},
                {"$set": {"state": state, "state_at": at} | named, "$addToSet": {"events": {"state": state, "at": at}}},
            )
        if changed.modified_count:
            await self.spread(message_id, state, at)
        return bool(changed.modified_count)

    async def spread(self, message_id: str, state: str, at: datetime) -> None:
        """What a message carries has come as far as the message."""
        below = [name for name, rank in _RANKS.items() if rank < _RANKS[state]]
        with _translated():
            await self._notifications.update_many(
                {"message_id": message_id, "state": {"$in": below}},
                {"$set": {"state": state, "state_at": at}, "$unset": {"open": 1}},
            )

    async def give_back(self, message_id: str, reason: str, *, failed: bool) -> None:
        """A message did not arrive: what it carries waits again. `failed`: the message is at its end."""
        with _translated():
            await self._messages.update_one(
                {"_id": message_id, "state": {"$in": ["sending", "sent"]}},
                {"$set": {"state": "failed" if failed else "returned", "reason": reason, "state_at": _now()}},
            )
            await self._notifications.update_many(
                {"message_id": message_id, "state": {"$in": ["sending", "sent"]}},
                {
                    "$set": {"state": "queued", "open": True, "reason": reason, "state_at": _now()},
                    "$unset": {"message_id": 1},
                    "$inc": {"attempts": 1},
                },
            )

    async def carried(self, message_id: str) -> list[dict[str, Any]]:
        """The notifications that a message carries."""
        with _translated():
            return await self._notifications.find({"message_id": message_id}).to_list(None)

    async def fall_back(self, key: str, channel_id: str, *, to: tuple[str, str] | None, reason: str) -> None:
        """A waiting notification leaves a channel where it failed for good: to another one, or it has failed."""
        change: dict[str, Any] = {"state_at": _now(), "reason": reason}
        if to is None:
            change |= {"state": "failed"}
        else:
            change |= {"channel_id": to[0], "channel": to[1], "attempts": 0}
        with _translated():
            await self._notifications.update_one(
                {"_id": key, "state": "queued", "channel_id": channel_id},
                {"$set": change, "$addToSet": {"tried": channel_id}, "$inc": {"turn": 1}}
                | ({"$unset": {"open": 1}} if to is None else {}),
            )

    async def end(self, key: str, state: str, reason: str) -> None:
        """A waiting notification will not be told."""
        with _translated():
            await self._notifications.update_one(
                {"_id": key, "state": "queued"},
                {"$set": {"state": state, "reason": reason, "state_at": _now()}, "$unset": {"open": 1}},
            )

    async def erase(self, owner: str) -> int:
        """Forgets all of an owner's; how many notifications there were."""
        with _translated():
            await self._messages.delete_many({"user_id": owner})
            return (await self._notifications.delete_many({"user_id": owner})).deleted_count

    async def possible_duplicates(self) -> int:
        """Messages that went again because somebody died, or was not answered, between sending and knowing."""
        with _translated():
            total = await self._messages.aggregate(
                [{"$group": {"_id": None, "count": {"$sum": "$possible_duplicates"}}}]
            ).to_list(1)
        return int(total[0]["count"]) if total else 0


def _now() -> datetime:
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except PyMongoError as error:
        raise unavailable(error) from error
