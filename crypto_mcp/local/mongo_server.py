"""MongoDB as a child: a one-node replica set with key file, authentication and a user for the product."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any

from crypto_mcp.local import binaries
from crypto_mcp.local.errors import StartFailed
from crypto_mcp.local.ports import LOOPBACK
from crypto_mcp.local.process import Launch
from crypto_mcp.local.server import EmbeddedServer, write_private

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pymongo import AsyncMongoClient

_SET = "rs0"
_ADMIN = "admin"
_APP = "crypto_mcp"
_POLL = 0.02

# MongoDB's error codes.
_UNAUTHORIZED = 13
_AUTHENTICATION_FAILED = 18
_ALREADY_INITIALIZED = 23
_USER_EXISTS = 51003


class MongoServer(EmbeddedServer):
    """A replica set of one, so that sessions, transactions and change streams work."""

    setting = "CRYPTO_MCP_LOCAL__MONGO_PORT"
    stop_grace = 20.0

    def __init__(
        self,
        data: Path,
        port: int,
        password: str,
        admin_password: str,
        *,
        database: str = "crypto_mcp",
        log: Path | None = None,
    ) -> None:
        super().__init__("mongodb", data, port, log)
        self._password = password
        self._admin_password = admin_password
        self._database = database

    @property
    def url(self) -> str:
        """For the product: may read and write its one database."""
        return self._url(f"{_APP}:{self._password}@")

    @property
    def admin_url(self) -> str:
        """For set-up and tests: may do everything."""
        return self._url(f"{_ADMIN}:{self._admin_password}@")

    def _url(self, login: str) -> str:
        options = "directConnection=true" + ("&authSource=admin" if login else "")
        return f"mongodb://{login}{LOOPBACK}:{self.port}/?{options}"

    def prepare(self) -> Launch:
        """Makes the data directory and, once, the key file."""
        self.require_port()
        program = binaries.executable(binaries.mongod(), self.data / "bin")
        (self.data / "db").mkdir(parents=True, exist_ok=True)
        key = self.data / "keyfile"
        if not key.exists():
            write_private(key, secrets.token_hex(64))
        options = {
            "--dbpath": self.data / "db",
            "--bind_ip": LOOPBACK,
            "--port": self.port,
            "--replSet": _SET,
            "--keyFile": key,
            "--wiredTigerCacheSizeGB": 0.25,
            "--setParameter": "diagnosticDataCollectionEnabled=false",
        }
        words = [str(word) for option in options.items() for word in option]
        return Launch([str(program), "--auth", "--nounixsocket", "--quiet", *words])

    async def ready(self) -> None:
        """Listens."""
        _, writer = await asyncio.open_connection(LOOPBACK, self.port)
        writer.close()

    async def settle(self) -> None:
        """Becomes a replica set and its primary, and gets its users, whatever of it is there already."""
        async with self._client(self._url("")) as anyone:
            await self._join_set(anyone)
            await _until_primary(anyone)
            if not await self._accepts(self.url):
                await self._make_users(anyone)

    async def _join_set(self, anyone: AsyncMongoClient[dict[str, Any]]) -> None:
        if "setName" in await anyone.admin.command("hello"):
            return
        members = [{"_id": 0, "host": f"{LOOPBACK}:{self.port}"}]
        failure = await _attempt(lambda: anyone.admin.command("replSetInitiate", {"_id": _SET, "members": members}))
        if failure in (_ALREADY_INITIALIZED, _UNAUTHORIZED):  # initiated before, under another port
            async with self._client(self.admin_url) as admin:
                config = await admin.local.get_collection("system.replset").find_one({}) or {}
                config |= {"members": members, "version": config.get("version", 1) + 1}
                await admin.admin.command("replSetReconfig", config, force=True)

    async def _make_users(self, anyone: AsyncMongoClient[dict[str, Any]]) -> None:
        """The first user may be made by anyone on this machine, and only the first."""
        await _attempt(lambda: anyone.admin.command("createUser", _ADMIN, pwd=self._admin_password, roles=["root"]))
        if not await self._accepts(self.admin_url):
            raise StartFailed(
                f"the MongoDB data in {self.data} was made with other passwords",
                hint="Put its secrets.json back, or move the data away to begin anew.",
            )
        roles = [{"role": "readWrite", "db": self._database}]
        async with self._client(self.admin_url) as admin:
            failure = await _attempt(lambda: admin.admin.command("createUser", _APP, pwd=self._password, roles=roles))
            if failure == _USER_EXISTS:
                await admin.admin.command("updateUser", _APP, pwd=self._password, roles=roles)

    async def _accepts(self, url: str) -> bool:
        async with self._client(url) as client:
            return await _attempt(lambda: client.admin.command("ping")) is None

    @staticmethod
    def _client(url: str) -> AsyncMongoClient[dict[str, Any]]:
        from pymongo import AsyncMongoClient

        return AsyncMongoClient(url, serverSelectionTimeoutMS=10_000)


async def _attempt(command: Callable[[], Any]) -> int | None:
    """Runs a command that may be refused because it was done before; the refusal's code, None for success."""
    from pymongo.errors import OperationFailure

    try:
        await command()
    except OperationFailure as error:
        if error.code not in (_UNAUTHORIZED, _AUTHENTICATION_FAILED, _ALREADY_INITIALIZED, _USER_EXISTS):
            raise
        return error.code
    return None


async def _until_primary(client: AsyncMongoClient[dict[str, Any]]) -> None:
    while True:
        if (await client.admin.command("hello"))["isWritablePrimary"]:
            return
        await asyncio.sleep(_POLL)
