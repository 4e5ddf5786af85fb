"""A dump and its oplog back into an empty MongoDB.

The oplog's entries are idempotent: those that the dump has already change nothing. They go through `applyOps`, in
order, without the ids of collections, which are others here; commands are run as commands.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import bson
from bson import json_util
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from bson.timestamp import Timestamp
from pymongo.errors import OperationFailure, PyMongoError

from scheduler.backup.errors import RestoreFailed, RestoreRefused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pymongo import AsyncMongoClient

_BATCH_BYTES = 8 << 20
_BATCH_OPERATIONS = 500
_RAW: CodecOptions[Any] = CodecOptions(document_class=RawBSONDocument)
_INDEX_COMMANDS = frozenset({"createIndexes", "commitIndexBuild"})
_SKIPPED_COMMANDS = frozenset({"startIndexBuild", "abortIndexBuild", "abortTransaction"})
_NAMESPACE_NOT_FOUND, _NAMESPACE_EXISTS, _INDEX_NOT_FOUND = 26, 48, 27


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came back: documents by collection of the dump, operations after it, and the moment of the last of them."""

    documents: dict[str, int]
    operations: int
    until: Timestamp | None


async def restore(
    client: AsyncMongoClient[dict[str, Any]], database: str, folder: Path, *, until: int | None = None
) -> Replayed:
    """Everything of the dump and of the oplog up to `until` (seconds since 1970).

    Raises `RestoreRefused` if the database is not empty, `RestoreFailed` if MongoDB refuses something.
    """
    await _make_room(client, database)
    try:
        documents = {}
        for file in sorted((folder / database).glob("*.bson")):
            documents[file.stem] = await _collection(client, database, file)
        operations, last = await _replay(client, database, folder / "oplog.bson", until)
    except PyMongoError as error:
        raise RestoreFailed(f"MongoDB refuses what was restored: {error}") from error
    return Replayed(documents, operations, last)


async def _make_room(client: AsyncMongoClient[dict[str, Any]], database: str) -> None:
    """Empty collections go, such as those that `deploy init` has just made; the dump brings them with their options."""
    names = [name for name in await client[database].list_collection_names() if not name.startswith("system.")]
    held = [name for name in sorted(names) if await client[database][name].find_one({}, {"_id": 1}) is not None]
    if held:
        raise RestoreRefused(
            f"MongoDB's database {database} has collections that hold documents: {', '.join(held[:5])}",
            hint="Restore into an empty server, or drop the database first, knowing what you do.",
        )
    for name in names:
        await client[database].drop_collection(name)


async def _collection(client: AsyncMongoClient[dict[str, Any]], database: str, file: Path) -> int:
    metadata = json_util.loads(file.with_suffix("").with_suffix(".metadata.json").read_text())
    await client[database].create_collection(file.stem, **metadata["options"])
    target = client[database].get_collection(file.stem, codec_options=_RAW)
    count, batch, size = 0, [], 0
    with file.open("rb") as stream:
        for document in bson.decode_file_iter(stream, _RAW):
            batch.append(document)
            size += len(document.raw)
            if size >= _BATCH_BYTES:
                await target.insert_many(batch, ordered=False, bypass_document_validation=True)
                count, batch, size = count + len(batch), [], 0
    if batch:
        await target.insert_many(batch, ordered=False, bypass_document_validation=True)
    indexes = [_index(index) for index in metadata["indexes"] if index["name"] != "_id_"]
    if indexes:
        await client[database].command("createIndexes", file.stem, indexes=indexes)
    return count + len(batch)


def _index(index: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in index.items() if name not in ("ns", "v", "background")}


async def _replay(
    client: AsyncMongoClient[dict[str, Any]], database: str, file: Path, until: int | None
) -> tuple[int, Timestamp | None]:
    count, batch, last = 0, [], None
    unfinished: dict[str, list[dict[str, Any]]] = {}
    for entry in _operations(file):
        if until is not None and entry["ts"].time > until:
            break
        last = entry["ts"]
        for operation in _flat(entry, database, unfinished):
            count += 1
            if operation["op"] != "c":
                batch.append(operation)
                if len(batch) >= _BATCH_OPERATIONS:
                    await _apply(client, batch)
                    batch = []
            else:
                await _apply(client, batch)
                batch = []
                await _command(client, database, operation["o"])
    await _apply(client, batch)
    return count, last


def _operations(file: Path) -> Iterator[dict[str, Any]]:
    """Entries of the file; one that was cut off at its end is left out."""
    with file.open("rb") as stream, contextlib.suppress(bson.InvalidBSON):
        yield from bson.decode_file_iter(stream)


def _flat(
    entry: dict[str, Any], database: str, unfinished: dict[str, list[dict[str, Any]]]
) -> Iterator[dict[str, Any]]:
    """The operations of an entry: those of a transaction lie inside, possibly in several entries."""
    inner = entry["o"].get("applyOps") if entry["op"] == "c" else None
    if inner is None:
        if entry["ns"].startswith(f"{database}."):
            yield _bare(entry)
        return
    transaction = f"{entry.get('lsid')} {entry.get('txnNumber')}"
    collected = [*unfinished.pop(transaction, []), *inner]
    if entry["o"].get("partialTxn"):
        unfinished[transaction] = collected
        return
    yield from (_bare(each) for each in collected if each["ns"].startswith(f"{database}."))


def _bare(operation: dict[str, Any]) -> dict[str, Any]:
    return {name: operation[name] for name in ("op", "ns", "o", "o2", "b") if name in operation}


async def _apply(client: AsyncMongoClient[dict[str, Any]], operations: list[dict[str, Any]]) -> None:
    if operations:
        await client.admin.command({"applyOps": operations, "alwaysUpsert": True, "allowAtomic": False})


async def _command(client: AsyncMongoClient[dict[str, Any]], database: str, command: dict[str, Any]) -> None:
    """A change of collections or indexes; what is so already is fine."""
    name = next(iter(command))
    if name in _SKIPPED_COMMANDS:
        return
    try:
        if name in _INDEX_COMMANDS:
            for index in command.get("indexes") or [_inline_index(command)]:
                await client[database].command("createIndexes", command[name], indexes=[_index(index)])
        else:
            await client[database].command({key: value for key, value in command.items() if key != "idIndex"})
    except OperationFailure as error:
        if error.code not in (_NAMESPACE_NOT_FOUND, _NAMESPACE_EXISTS, _INDEX_NOT_FOUND):
            raise


def _inline_index(command: dict[str, Any]) -> dict[str, Any]:
    """An index as `createIndexes` of the oplog tells it: its fields beside the collection."""
    return {name: value for name, value in command.items() if name != "createIndexes"}
