"""MongoDB in mongodump's layout: `DATABASE/COLLECTION.bson` and `.metadata.json`, and `oplog.bson` beside.

Collections are read one after the other while others write; the oplog from before the first to after the last makes
them one moment again when it is replayed, as `mongodump --oplog` has it. The oplog goes on being followed after that:
whatever is in it can be restored. https://www.mongodb.com/docs/database-tools/mongodump/#std-option-mongodump.--oplog
"""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING, Any

from bson import json_util
from bson.raw_bson import RawBSONDocument
from bson.timestamp import Timestamp
from pymongo import AsyncMongoClient, CursorType
from pymongo.errors import PyMongoError

from scheduler.backup.errors import BackupFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pymongo.asynchronous.collection import AsyncCollection
    from pymongo.asynchronous.database import AsyncDatabase

_LENGTH = struct.Struct("<i")


def mongo_client(url: str) -> AsyncMongoClient[dict[str, Any]]:
    """A client for backups: it waits longer than the product does."""
    return AsyncMongoClient(url, serverSelectionTimeoutMS=5_000, appname="crypto-mcp-backup", tz_aware=True)


async def newest_operation(client: AsyncMongoClient[dict[str, Any]]) -> Timestamp:
    """Where the oplog ends now. Raises `BackupFailed` where there is none: the server is no replica set."""
    try:
        entry = await client.local["oplog.rs"].find_one(sort=[("$natural", -1)])
    except PyMongoError as error:
        raise BackupFailed(f"MongoDB's oplog cannot be read ({error})") from error
    if entry is None:
        raise BackupFailed("MongoDB has no oplog", hint="Run it as a replica set, of one member if need be.")
    return Timestamp(entry["ts"].time, entry["ts"].inc)


async def dump(client: AsyncMongoClient[dict[str, Any]], database: str, folder: Path) -> dict[str, int]:
    """Writes every collection; documents by collection."""
    target = folder / database
    target.mkdir(parents=True, exist_ok=True)
    counts = {}
    try:
        async for info in await client[database].list_collections():
            name = str(info["name"])
            if info.get("type", "collection") == "collection" and not name.startswith("system."):
                counts[name] = await _collection(client[database], name, target)
                await _metadata(client[database], dict(info), target)
    except PyMongoError as error:
        raise BackupFailed(f"MongoDB cannot be read ({error})") from error
    return counts


async def _collection(database: AsyncDatabase[dict[str, Any]], name: str, target: Path) -> int:
    count = 0
    with (target / f"{name}.bson").open("wb") as file:
        batches: AsyncIterator[bytes] = database[name].find_raw_batches({})  # type: ignore[assignment]
        async for batch in batches:
            file.write(batch)
            count += _documents_in(batch)
    return count


def _documents_in(batch: bytes) -> int:
    count = at = 0
    while at < len(batch):
        at += _LENGTH.unpack_from(batch, at)[0]
        count += 1
    return count


async def _metadata(database: AsyncDatabase[dict[str, Any]], info: dict[str, Any], target: Path) -> None:
    indexes = [index async for index in await database[info["name"]].list_indexes()]
    uuid = info.get("info", {}).get("uuid")
    content = {
        "options": info.get("options", {}),
        "indexes": indexes,
        "uuid": "" if uuid is None else bytes(uuid).hex(),
        "collectionName": info["name"],
        "type": "collection",
    }
    text = json_util.dumps(content, json_options=json_util.CANONICAL_JSON_OPTIONS)
    (target / f"{info['name']}.metadata.json").write_text(text)


class OplogTail:
    """Follows the oplog into a file. `newest` is the last operation that was written, or seen and not ours."""

    def __init__(self, client: AsyncMongoClient[dict[str, Any]], database: str, file: Path, since: Timestamp) -> None:
        self.newest = since
        self._client = client
        self._database = database
        self._file = file
        self._since = since

    async def run(self) -> None:
        """Until cancelled. Raises `BackupFailed` if operations were missed: then only a new dump helps."""
        raw: AsyncCollection[Any] = self._client.local.get_collection(
            "oplog.rs", codec_options=_raw_options(self._client)
        )
        first = True
        with self._file.open("ab", buffering=0) as file:
            while True:
                cursor = raw.find({"ts": {"$gte": self.newest}}, cursor_type=CursorType.TAILABLE_AWAIT)
                try:
                    async for entry in cursor:
                        at = entry["ts"]
                        if first and at > self._since:
                            raise BackupFailed(
                                "the oplog no longer reaches back to the dump",
                                hint="Make it larger, or the dump smaller.",
                            )
                        fresh, first = at > self.newest or first, False
                        if fresh and self._ours(entry):
                            file.write(entry.raw)
                        self.newest = max(self.newest, at)
                except PyMongoError:
                    await asyncio.sleep(1)  # it is back soon, or the next look says that operations are missing
                else:
                    await asyncio.sleep(0.1)

    async def reach(self, moment: Timestamp, within: float = 30.0) -> None:
        """Returns once everything up to a moment is in the file."""
        async with asyncio.timeout(within):
            while self.newest < moment:  # noqa: ASYNC110 - the server tells of it, no event of ours
                await asyncio.sleep(0.02)

    def _ours(self, entry: RawBSONDocument) -> bool:
        namespace = str(entry["ns"])
        return entry["op"] != "n" and (namespace.startswith(f"{self._database}.") or namespace == "admin.$cmd")


def _raw_options(client: AsyncMongoClient[dict[str, Any]]) -> Any:
    return client.codec_options.with_options(document_class=RawBSONDocument)
