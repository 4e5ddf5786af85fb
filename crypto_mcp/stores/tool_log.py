"""What the tools were asked and how it went, written to PostgreSQL off the way of the answer.

Rows wait in memory for the next write, once a second. While PostgreSQL is away they go to a file that the front ends of
a machine share, bounded in size, and from there to PostgreSQL when it is back. What does not fit is counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections import deque
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

import orjson
import structlog

from crypto_mcp.errors import StoreUnavailable
from crypto_mcp.stores.cache import Outage

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from crypto_mcp.stores.postgres import PostgresStore

log = structlog.get_logger(__name__)

_EVERY = 1.0
_MOST_WAITING = 10_000
_BATCH = 500
_CHUNK = 1_000_000
_LARGEST_FILE = 16_000_000

_INSERT = (
    "INSERT INTO mcp_tool_logs (tool_name, arguments, response, execution_time_ms, status, error_message, created_at, "
    "client_id, job_id, request_id, execution_id) VALUES ($1, $2::jsonb, $3::jsonb, $4, $5, $6, $7, $8, $9, $10, $11)"
)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call, without what is private.

    Attributes:
        arguments: JSON values.
        response: JSON values, None if there was none.
        status: of the answer: `done`, `queued`, `failed`, ...
        execution_id: of the workflow that asked, None if none did.
    """

    tool_name: str
    arguments: dict[str, Any]
    response: dict[str, Any] | None
    execution_time_ms: float
    status: str
    error_message: str | None
    created_at: datetime
    client_id: str
    job_id: str | None
    request_id: str | None
    execution_id: str | None

    def row(self) -> tuple[Any, ...]:
        """As the table has it."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        for name in ("arguments", "response"):
            if fields[name] is not None:
                # PostgreSQL's jsonb has no NUL; a text that holds one must not cost the whole batch.
                fields[name] = orjson.dumps(fields[name]).decode().replace("\\u0000", "\\ufffd")
        return tuple(fields.values())


class ToolLog:
    """A context manager that writes while it is open. `dropped` counts the calls that found no room."""

    def __init__(self, postgres: PostgresStore, folder: Path) -> None:
        self.dropped = 0
        self._postgres = postgres
        self._file = folder / "tool-log.jsonl"
        self._outage = Outage("PostgreSQL for the tool log", pause=5.0)
        self._waiting: deque[ToolCall] = deque()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._write_for_ever(), name="tool-log")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self.flush()

    def report(self) -> dict[str, int]:
        """Calls that wait to be written, bytes kept on disk, and calls dropped for want of room."""
        kept = self._file.stat().st_size if self._file.exists() else 0
        return {"waiting": len(self._waiting), "bytes_on_disk": kept, "dropped": self.dropped}

    def note(self, call: ToolCall) -> None:
        """Takes a call to be written; drops it if too many wait."""
        if len(self._waiting) >= _MOST_WAITING:
            self.dropped += 1
        else:
            self._waiting.append(call)

    async def flush(self) -> None:
        """Writes what waits, to PostgreSQL or else to the file."""
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            if self._outage.lasts or not await self._inserted(batch):
                await asyncio.to_thread(self._keep, batch)

    async def _write_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            await self.flush()
            if not self._outage.lasts and self._file.exists() and self._file.stat().st_size:
                await self._bring_in()

    async def _inserted(self, calls: list[ToolCall]) -> bool:
        try:
            await self._insert(calls)
        except StoreUnavailable as error:
            self._outage.begin(error)
            return False
        self._outage.end()
        return True

    async def _insert(self, calls: list[ToolCall]) -> None:
        async with self._postgres.connection() as connection:
            await connection.executemany(_INSERT, [call.row() for call in calls])

    def _keep(self, calls: list[ToolCall]) -> None:
        lines = b"".join(orjson.dumps(asdict(call)) + b"\n" for call in calls)
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(self._file, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600), "ab") as kept:
                fcntl.flock(kept, fcntl.LOCK_EX)
                if kept.tell() + len(lines) <= _LARGEST_FILE:
                    kept.write(lines)
                    return
        except OSError as error:  # a full disk must not stop the writer
            log.warning("the tool log cannot be kept", error=str(error))
        self.dropped += len(calls)

    async def _bring_in(self) -> None:
        """Writes what the file holds, whoever kept it there; of several front ends one does it at a time."""
        with self._file.open("r+b") as kept, contextlib.suppress(BlockingIOError):
            fcntl.flock(kept, fcntl.LOCK_EX | fcntl.LOCK_NB)
            written = 0
            while lines := await asyncio.to_thread(kept.readlines, _CHUNK):
                calls = [call for line in lines if (call := _read(line)) is not None]
                if not await self._inserted(calls):
                    rest = b"".join(lines) + kept.read()
                    kept.seek(0)
                    kept.truncate()
                    kept.write(rest)
                    return
                written += len(calls)
            kept.truncate(0)
            log.info("tool calls kept while PostgreSQL was away are written", calls=written)


def _read(line: bytes) -> ToolCall | None:
    """A line of the file; None for one that a killed process left half-written."""
    try:
        fields = orjson.loads(line)
        return ToolCall(**fields | {"created_at": datetime.fromisoformat(fields["created_at"])})
    except (orjson.JSONDecodeError, TypeError, KeyError, ValueError):
        return None
