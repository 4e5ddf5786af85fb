"""PostgreSQL as a child: passwords by SCRAM, a role and a database for the product."""

from __future__ import annotations

import shutil
import signal
import subprocess  # our own argument lists, never a shell # nosec B404
from typing import TYPE_CHECKING

from crypto_mcp.local import binaries
from crypto_mcp.local.account import unprivileged
from crypto_mcp.local.child import NotReady
from crypto_mcp.local.errors import StartFailed
from crypto_mcp.local.ports import LOOPBACK
from crypto_mcp.local.process import Launch
from crypto_mcp.local.server import EmbeddedServer, write_private

if TYPE_CHECKING:
    from pathlib import Path

    import asyncpg

_ADMIN = "postgres"
_APP = "crypto_mcp"
_FAST_SHUTDOWN = signal.SIGINT  # SIGTERM would wait for every client to leave


class PostgresServer(EmbeddedServer):
    """A PostgreSQL cluster with one database of ours; no Unix socket, so no limit on the length of the path."""

    setting = "CRYPTO_MCP_LOCAL__POSTGRES_PORT"
    stop_grace = 15.0

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
        super().__init__("postgresql", data, port, log)
        self._password = password
        self._admin_password = admin_password
        self._database = database
        self._account = unprivileged()

    @property
    def url(self) -> str:
        """For the product: owner of its database, nothing else."""
        return f"postgresql://{_APP}:{self._password}@{LOOPBACK}:{self.port}/{self._database}"

    @property
    def admin_url(self) -> str:
        """For set-up and tests: superuser."""
        return f"postgresql://{_ADMIN}:{self._admin_password}@{LOOPBACK}:{self.port}/postgres"

    def prepare(self) -> Launch:
        """Makes the cluster, once."""
        self.require_port()
        cluster = self.data / "cluster"
        if not (cluster / "PG_VERSION").exists():
            self._make_cluster(cluster)
        programs = binaries.postgres_programs((cluster / "PG_VERSION").read_text().strip())
        options = {
            "listen_addresses": LOOPBACK,
            "port": self.port,
            "unix_socket_directories": "",
            "password_encryption": "scram-sha-256",  # no password # nosec B105
            "shared_buffers": "64MB",
        }
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        argv = [str(programs / "postgres"), "-D", str(cluster), *words]
        return Launch(self._as_account(argv, programs), stop_signal=_FAST_SHUTDOWN)

    def own_data(self) -> None:
        """Gives its folder to the account it runs as, after somebody else has written there, such as a restore."""
        if self._account is not None:
            for path in (self.data, *self.data.rglob("*")):
                self._account.own(path)

    def _make_cluster(self, cluster: Path) -> None:
        """Runs initdb beside the final place and renames, so that a crash leaves no half-made cluster."""
        programs = binaries.postgres_programs()
        self.data.mkdir(parents=True, exist_ok=True)
        half_made, password_file = self.data / "cluster.new", self.data / "password"
        shutil.rmtree(half_made, ignore_errors=True)
        half_made.mkdir(mode=0o700)
        write_private(password_file, self._admin_password)
        if self._account is not None:
            for path in (self.data, half_made, password_file):
                self._account.own(path)
        argv = [str(programs / "initdb"), "-D", str(half_made), "-U", _ADMIN, "--pwfile", str(password_file)]
        argv += ["-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        try:
            done = subprocess.run(  # noqa: S603 - our own argument list # nosec B603
                self._as_account(argv, programs), capture_output=True, text=True, cwd=self.data, check=False
            )
        finally:
            password_file.unlink()
        if done.returncode != 0:
            raise StartFailed(f"initdb failed: {done.stderr.strip()[-600:]}", hint=f"Its folder: {self.data}")
        half_made.rename(cluster)

    def _as_account(self, argv: list[str], programs: Path) -> list[str]:
        if self._account is None:
            return argv
        return self._account.command(argv, _FAST_SHUTDOWN, (self.data / "cluster", programs / "postgres"))

    async def ready(self) -> None:
        """Accepts the superuser's login."""
        await (await self._connect()).close()

    async def settle(self) -> None:
        """The role and the database, whichever is not there yet."""
        admin = await self._connect()
        try:
            if not await admin.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", _APP):
                await admin.execute(f"CREATE ROLE {_APP} LOGIN PASSWORD '{self._password}'")
            if not await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", self._database):
                await admin.execute(f'CREATE DATABASE "{self._database}" OWNER {_APP}')
        finally:
            await admin.close()

    async def _connect(self) -> asyncpg.Connection:
        import asyncpg

        try:
            return await asyncpg.connect(self.admin_url, ssl=False, timeout=5)
        except asyncpg.InvalidPasswordError as error:
            raise StartFailed(
                f"the PostgreSQL data in {self.data} was made with another password",
                hint="Put its secrets.json back, or move the data away to begin anew.",
            ) from error
        except (asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError) as error:
            raise NotReady from error
