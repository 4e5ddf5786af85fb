"""The real servers that tests run against, on ports that are free, with passwords of their own."""

from __future__ import annotations

import secrets
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crypto_mcp.local.mongo_server import MongoServer
from crypto_mcp.local.postgres_server import PostgresServer
from crypto_mcp.local.redis_server import RedisServer

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Servers:
    """Addresses of three servers, none of them started yet."""

    redis: RedisServer
    mongo: MongoServer
    postgres: PostgresServer

    @classmethod
    def under(cls, folder: Path) -> Servers:
        """Servers with their data below a folder."""
        redis, mongo, postgres = free_ports(3)
        return cls(
            RedisServer(folder / "redis", redis, secrets.token_hex(8)),
            MongoServer(folder / "mongodb", mongo, secrets.token_hex(8), secrets.token_hex(8)),
            PostgresServer(folder / "postgresql", postgres, secrets.token_hex(8), secrets.token_hex(8)),
        )


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at the moment, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    return free_ports(1)[0]
