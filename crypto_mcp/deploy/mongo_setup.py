"""MongoDB's replica set, accounts, indexes and validators, whatever of them is there already.

The first login is by the key file, which members of the set know each other by (`__system`): the exception for the
first account works from the same machine only, and this runs in a container of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from pymongo import AsyncMongoClient
from pymongo.errors import CollectionInvalid, OperationFailure, PyMongoError

from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.deploy.errors import NotReadyYet
from crypto_mcp.settings import MongoSettings
from crypto_mcp.stores.mongo import INDEXES, MongoStore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from crypto_mcp.deploy.accounts import Passwords

_UNAUTHORIZED = 13
_AUTHENTICATION_FAILED = 18
_ALREADY_INITIALIZED = 23
_USER_EXISTS = 51003
_POLL = 0.5


def accounts(passwords: Passwords, database: str) -> dict[str, tuple[str, list[dict[str, str]]]]:
    """Password and roles of each account. The product's own may read and write its database, nothing else."""
    everywhere = "admin"
    return {
        "admin": (passwords.mongo_admin, [{"role": "root", "db": everywhere}]),
        "crypto_mcp": (passwords.mongo_app, [{"role": "readWrite", "db": database}]),
        "crypto_mcp_read": (passwords.mongo_read, [{"role": "read", "db": database}]),
        "crypto_mcp_backup": (
            passwords.mongo_backup,
            [{"role": "backup", "db": everywhere}, {"role": "read", "db": "local"}],
        ),
    }


async def set_up(
    hosts: Sequence[str], passwords: Passwords, database: str, *, tls: Mapping[str, Any], within: float
) -> list[str]:
    """Makes what is missing; what it did, in words. Raises `NotReadyYet` after `within` seconds.

    `hosts` are the members, `name:port`, the first of which is asked to begin. Passwords are brought up to date.
    """
    done = []
    try:
        async with asyncio.timeout(within):
            if await _begin_set(hosts, passwords, tls):
                done.append(f"MongoDB: replica set of {len(hosts)} begun")
            async with _login(hosts, passwords, tls) as admin:
                done += [f"MongoDB: account {name}" for name in await _make_accounts(admin, passwords, database)]
                await _make_validators(admin, database)
    except TimeoutError:
        raise NotReadyYet(
            f"MongoDB at {hosts[0]} was not ready within {within:g} s", hint="Look at the log of mongodb."
        ) from None
    await _make_indexes(hosts, passwords, database, tls)
    return done


def _login(hosts: Sequence[str], passwords: Passwords, tls: Mapping[str, Any]) -> AsyncMongoClient[dict[str, Any]]:
    return AsyncMongoClient(
        list(hosts),
        username="__system",
        password=passwords.mongo_keyfile,
        authSource="local",
        replicaSet="rs0",
        serverSelectionTimeoutMS=5_000,
        **tls,
    )


async def _begin_set(hosts: Sequence[str], passwords: Passwords, tls: Mapping[str, Any]) -> bool:
    """Whether the set was begun now. Tries until the first member answers."""
    members = [{"_id": number, "host": host} for number, host in enumerate(hosts)]
    options: dict[str, Any] = {
        "username": "__system",
        "password": passwords.mongo_keyfile,
        "authSource": "local",
        **tls,
    }
    while True:
        try:
            async with AsyncMongoClient[dict[str, Any]](
                hosts[0], directConnection=True, serverSelectionTimeoutMS=2_000, **options
            ) as first:
                if "setName" in await first.admin.command("hello"):
                    return False
                await first.admin.command("replSetInitiate", {"_id": "rs0", "members": members})
                return True
        except OperationFailure as error:
            if error.code == _ALREADY_INITIALIZED:
                return False
            if error.code in (_UNAUTHORIZED, _AUTHENTICATION_FAILED):
                raise
            await asyncio.sleep(_POLL)
        except PyMongoError:
            await asyncio.sleep(_POLL)


async def _make_accounts(admin: AsyncMongoClient[dict[str, Any]], passwords: Passwords, database: str) -> list[str]:
    """Names of the accounts that were made; those that are there get their password and roles again."""
    made = []
    for name, (password, roles) in accounts(passwords, database).items():
        try:
            await _insist(admin, "createUser", name, pwd=password, roles=roles)
            made.append(name)
        except OperationFailure as error:
            if error.code != _USER_EXISTS:
                raise
            await _insist(admin, "updateUser", name, pwd=password, roles=roles)
    return made


async def _insist(admin: AsyncMongoClient[dict[str, Any]], command: str, name: str, **options: Any) -> None:
    """Again while the set has no primary, which takes it a few seconds after it began."""
    while True:
        try:
            await admin.admin.command(command, name, **options)
        except OperationFailure:
            raise
        except PyMongoError:
            await asyncio.sleep(_POLL)
        else:
            return


async def _make_validators(admin: AsyncMongoClient[dict[str, Any]], database: str) -> None:
    """Results carry the id of their job and when they were made: MongoDB refuses one without, whoever writes it."""
    schema = {
        "bsonType": "object",
        "required": ["job_id", "created_at"],
        "properties": {"job_id": {"bsonType": "string"}, "created_at": {"bsonType": "date"}},
    }
    for name in _result_collections():
        with contextlib.suppress(CollectionInvalid):  # it is there
            await admin[database].create_collection(name)
        await admin[database].command("collMod", name, validator={"$jsonSchema": schema}, validationLevel="moderate")


def _result_collections() -> list[str]:
    return sorted({kind.cache.collection for kind in CATALOGUE if kind.cache and kind.cache.collection})


async def _make_indexes(hosts: Sequence[str], passwords: Passwords, database: str, tls: Mapping[str, Any]) -> None:
    """By the product's own account and code, which shows that its rights suffice."""
    options = "".join(f"&{name}={str(value).lower() if value is True else value}" for name, value in tls.items())
    url = f"mongodb://crypto_mcp:{passwords.mongo_app}@{','.join(hosts)}/?replicaSet=rs0&authSource=admin{options}"
    store = MongoStore(MongoSettings.model_validate({"url": url, "database": database, "timeout": 10}))
    try:
        await store.ensure_indexes(*{*INDEXES, *_result_collections()})
    finally:
        await store.close()
