"""The audit log: append-only rows, each hashed over the one before, so that a change to any of them shows.

Who can write to the database can also rewrite the whole chain from some row on; the newest hash, kept elsewhere, shows
that too (`crypto-mcp audit verify` prints it).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

    import asyncpg

_LOCK = 0x61756469  # one writer at a time, so that the chain has no forks
_BEGIN = bytes(32)
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """What a look at the whole chain found.

    Attributes:
        rows: that were looked at.
        newest: hash of the last one, as hexadecimal text.
        broken_at: number of the first row that is not what was written, None if all are.
    """

    rows: int
    newest: str
    broken_at: int | None


async def record(
    connection: asyncpg.Connection, actor: str, action: str, subject: str, detail: Mapping[str, Any] | None = None
) -> None:
    """Adds a row, in the transaction that makes the change itself."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
    last = await connection.fetchrow("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")
    seq, previous = (last["seq"] + 1, last["hash"]) if last else (1, _BEGIN)
    at, body = datetime.now(UTC), orjson.dumps(dict(detail or {}), option=orjson.OPT_SORT_KEYS).decode()
    digest = _hash(seq, at, actor, action, subject, body, previous)
    await connection.execute(
        "INSERT INTO audit VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7, $8)",
        seq, at, actor, action, subject, body, previous, digest,
    )  # fmt: skip


async def verify(connection: asyncpg.Connection) -> AuditCheck:
    """Looks at every row: numbers without a gap, hashes that follow from the row and the one before."""
    previous, count = _BEGIN, 0
    while True:
        rows = await connection.fetch("SELECT * FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2", count, _PAGE)
        for row in rows:
            body = orjson.dumps(orjson.loads(row["detail"]), option=orjson.OPT_SORT_KEYS).decode()
            told = _hash(row["seq"], row["at"], row["actor"], row["action"], row["subject"], body, previous)
            if row["seq"] != count + 1 or row["previous"] != previous or row["hash"] != told:
                return AuditCheck(count, previous.hex(), count + 1)
            previous, count = row["hash"], count + 1
        if not rows:
            return AuditCheck(count, previous.hex(), None)


def _hash(seq: int, at: datetime, actor: str, action: str, subject: str, body: str, previous: bytes) -> bytes:
    text = orjson.dumps([seq, at.astimezone(UTC).isoformat(), actor, action, subject, body])
    return hashlib.sha256(previous + text).digest()
