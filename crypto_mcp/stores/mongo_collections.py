"""Collections with a schema that MongoDB itself keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from pymongo.errors import CollectionInvalid, OperationFailure

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorDatabase

log = structlog.get_logger(__name__)

_EXISTS, _UNAUTHORIZED = 48, 13


async def ensure_collection(database: AsyncIOMotorDatabase[dict[str, Any]], name: str, schema: dict[str, Any]) -> None:
    """Creates a collection that refuses what is not of the schema, or gives one that is there the newer schema.

    An account that may read and write may not change a schema (`collMod` needs dbAdmin): the older one then stays.
    """
    validator = {"$jsonSchema": schema}
    try:
        await database.create_collection(name, validator=validator)
    except CollectionInvalid:
        await _renew(database, name, validator)
    except OperationFailure as error:
        if error.code != _EXISTS:
            raise
        await _renew(database, name, validator)


async def _renew(database: AsyncIOMotorDatabase[dict[str, Any]], name: str, validator: dict[str, Any]) -> None:
    known = await (await database.list_collections(filter={"name": name})).to_list(1)
    if known and known[0].get("options", {}).get("validator") == validator:
        return
    try:
        await database.command("collMod", name, validator=validator)
    except OperationFailure as error:
        if error.code != _UNAUTHORIZED:
            raise
        log.warning("the schema of a collection is older than this version's", collection=name)
