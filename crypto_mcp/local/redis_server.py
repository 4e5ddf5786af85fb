"""Redis as a child: appending to a file, never evicting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, BusyLoadingError, RedisError

from crypto_mcp.local import binaries
from crypto_mcp.local.child import NotReady
from crypto_mcp.local.errors import StartFailed
from crypto_mcp.local.ports import LOOPBACK
from crypto_mcp.local.process import Launch
from crypto_mcp.local.server import EmbeddedServer, write_private

if TYPE_CHECKING:
    from pathlib import Path

_CONFIG = """\
bind {host}
port {port}
dir "{folder}"
requirepass {password}
protected-mode yes
daemonize no
databases 16
appendonly yes
appendfsync {fsync}
save ""
maxmemory-policy noeviction
"""


class RedisServer(EmbeddedServer):
    """One Redis for cache, sessions and queues."""

    setting = "CRYPTO_MCP_LOCAL__REDIS_PORT"

    def __init__(
        self,
        data: Path,
        port: int,
        password: str,
        *,
        fsync: Literal["everysec", "always"] = "everysec",
        log: Path | None = None,
    ) -> None:
        super().__init__("redis", data, port, log)
        self._password = password
        self._fsync = fsync

    def url(self, db: int) -> str:
        """URL of one of its databases, password included."""
        return f"redis://:{self._password}@{LOOPBACK}:{self.port}/{db}"

    def prepare(self) -> Launch:
        """Writes the configuration, which holds the password, for the owner's eyes only."""
        self.require_port()
        program = binaries.executable(binaries.redis_server(), self.data / "bin")
        self.data.mkdir(parents=True, exist_ok=True)
        config = self.data / "redis.conf"
        write_private(
            config,
            _CONFIG.format(host=LOOPBACK, port=self.port, folder=self.data, password=self._password, fsync=self._fsync),
        )
        return Launch([str(program), str(config)])

    async def ready(self) -> None:
        """Answers a ping, so its data is loaded."""
        client = Redis.from_url(self.url(0), socket_connect_timeout=2, socket_timeout=2)
        try:
            await client.ping()
        except AuthenticationError as error:
            raise StartFailed(f"port {self.port} is answered by another Redis", hint=f"Set {self.setting}.") from error
        except (BusyLoadingError, RedisError) as error:
            raise NotReady from error
        finally:
            await client.aclose()
