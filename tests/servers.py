"""The real servers that tests run against, on ports that are free, with passwords of their own."""

from __future__ import annotations

import itertools
import os
import secrets
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crypto_mcp.local.mongo_server import MongoServer
from crypto_mcp.local.postgres_server import PostgresServer
from crypto_mcp.local.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator
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
    """Ports that nobody listens on, each given once.

    They lie below those the kernel gives to outgoing connections: one of those could take a port while its server is
    away, or a client calling a port where nobody listens could meet itself.
    """
    return [next(_free) for _ in range(count)]


def _ports(lowest: int = 15_000, beyond: int = 32_000) -> Iterator[int]:
    """Free ports from a place of this process's own on, so that test processes side by side do not meet."""
    start = lowest + os.getpid() * 97 % (beyond - lowest)
    for port in itertools.chain(range(start, beyond), range(lowest, start)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        yield port


_free = _ports()


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    return free_ports(1)[0]
