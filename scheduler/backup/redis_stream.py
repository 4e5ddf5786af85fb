"""Redis as a replica sees it: its whole memory at one moment, then every write after it, into files Redis can start
from.

A replica is sent a snapshot (RDB) and from then on the commands that change something, in the form of the append-only
file: written one after the other, they are one (Redis 7: `appendonlydir` with a base, increments and a manifest).
Nothing but the network is needed, and an account that may replicate.
https://redis.io/docs/latest/operate/oss_and_stack/management/replication/
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from scheduler.backup.errors import BackupFailed

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "appendonlydir"
_BASE, _INCREMENT = "appendonly.aof.1.base.rdb", "appendonly.aof.1.incr.aof"
_MANIFEST = f"file {_BASE} seq 1 type b\nfile {_INCREMENT} seq 1 type i\n"
_ACKNOWLEDGE_EVERY = 1.0
_ANSWERS_WITHIN = 60.0
_CHUNK = 1 << 18


class RedisStream:
    """One replication link. `begin` returns once the snapshot is on the disk; `follow` then runs until cancelled."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = urlsplit(url)
        self._folder = folder / FOLDER
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self.offset = 0

    async def begin(self) -> None:
        """Connects, asks for everything, writes the snapshot and the manifest. Raises `BackupFailed`."""
        self._folder.mkdir(parents=True)
        try:
            async with asyncio.timeout(_ANSWERS_WITHIN):
                await self._connect()
                await self._log_in()
                await self._ask("REPLCONF", "capa", "eof", "capa", "psync2")
                answer = await self._ask("PSYNC", "?", "-1")
            if not answer.startswith("FULLRESYNC "):
                raise BackupFailed(f"Redis does not send its data: {answer}")
            self.offset = int(answer.split()[2])
            await self._snapshot()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
            raise BackupFailed(f"Redis does not send its data ({type(error).__name__}: {error})") from error
        (self._folder / _INCREMENT).touch()
        (self._folder / "appendonly.aof.manifest").write_text(_MANIFEST)

    async def follow(self) -> None:
        """Appends what comes until cancelled. Raises `BackupFailed` when the link is cut: then begin anew."""
        assert self._reader is not None
        acknowledging = asyncio.create_task(self._acknowledge())
        try:
            with (self._folder / _INCREMENT).open("ab", buffering=0) as file:
                while data := await self._reader.read(_CHUNK):
                    file.write(data)
                    self.offset += len(data)
        except OSError as error:
            raise BackupFailed(f"the link to Redis broke ({error})") from error
        finally:
            acknowledging.cancel()
            await self.close()
        raise BackupFailed("Redis ended the link")

    async def close(self) -> None:
        """Cuts the link."""
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()
            self._writer = None

    async def _connect(self) -> None:
        context = None
        if self._url.scheme == "rediss":
            authority = parse_qs(self._url.query).get("ssl_ca_certs", [None])[0]
            context = ssl.create_default_context(cafile=authority)
        host, port = self._url.hostname or "127.0.0.1", self._url.port or 6379
        self._reader, self._writer = await asyncio.open_connection(host, port, ssl=context, limit=_CHUNK)

    async def _log_in(self) -> None:
        if self._url.password:
            user = [unquote(self._url.username)] if self._url.username else []
            await self._ask("AUTH", *user, unquote(self._url.password))
        await self._ask("PING")

    async def _ask(self, *words: str) -> str:
        assert self._reader is not None
        assert self._writer is not None
        self._writer.write(_command(*words))
        await self._writer.drain()
        while not (line := (await self._reader.readuntil(b"\n")).strip()):
            pass  # empty lines keep the link alive while Redis prepares
        text = line.decode(errors="replace")
        if text.startswith("-"):
            raise BackupFailed(f"Redis refuses {words[0]}: {text[1:]}", hint="The account needs +psync and +replconf.")
        return text[1:]

    async def _snapshot(self) -> None:
        """`$LENGTH`, or `$EOF:MARK` where Redis does not know it beforehand and repeats the mark at the end."""
        assert self._reader is not None
        while not (line := (await asyncio.wait_for(self._reader.readuntil(b"\n"), _ANSWERS_WITHIN)).strip()):
            pass
        if not line.startswith(b"$"):
            raise BackupFailed(f"Redis sends no snapshot: {line[:100]!r}")
        with (self._folder / _BASE).open("wb") as file:
            if line.startswith(b"$EOF:"):
                data = await self._reader_until(line[5:45])
                file.write(data)
                return
            left = int(line[1:])
            while left:
                data = await self._reader.read(min(left, _CHUNK))
                if not data:
                    raise BackupFailed("Redis ended the link within its snapshot")
                file.write(data)
                left -= len(data)

    async def _reader_until(self, mark: bytes) -> bytes:
        """Everything before the mark. The snapshot of a queue is small enough to be held."""
        assert self._reader is not None
        data = bytearray()
        while (end := data.find(mark)) < 0:
            chunk = await self._reader.read(_CHUNK)
            if not chunk:
                raise BackupFailed("Redis ended the link within its snapshot")
            data += chunk
        self._push_back(bytes(data[end + len(mark) :]))
        return bytes(data[:end])

    def _push_back(self, data: bytes) -> None:
        """What came after the mark belongs to the commands."""
        with (self._folder / _INCREMENT).open("ab") as file:
            file.write(data)
        self.offset += len(data)

    async def _acknowledge(self) -> None:
        """Redis cuts a replica that says nothing for a minute."""
        while self._writer is not None:
            self._writer.write(_command("REPLCONF", "ACK", str(self.offset)))
            await asyncio.sleep(_ACKNOWLEDGE_EVERY)


def _command(*words: str) -> bytes:
    parts = [f"*{len(words)}\r\n", *(f"${len(word.encode())}\r\n{word}\r\n" for word in words)]
    return "".join(parts).encode()
