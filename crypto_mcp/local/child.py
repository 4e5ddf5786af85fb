"""Something that is started, becomes ready, and ends: the frame that servers and our own programs fit into."""

from __future__ import annotations

import asyncio
import re
import signal
from abc import ABC, abstractmethod
from pathlib import Path

from crypto_mcp.errors import CryptoMcpError
from crypto_mcp.local.errors import LocalError, MissingLibrary, StartFailed
from crypto_mcp.local.process import Launch, Process

_TAIL_BYTES = 4_000
_TAIL_LINES = 8

_LIBRARY_MISSING = re.compile(r"error while loading shared libraries: ([\w.+-]+):")
_DEBIAN_PACKAGE = {
    "libcurl.so.4": "libcurl4",
    "libcrypto.so.3": "libssl3",
    "libssl.so.3": "libssl3",
    "liblzma.so.5": "liblzma5",
    "libstdc++.so.6": "libstdc++6",
    "libz.so.1": "zlib1g",
}


class NotReady(Exception):
    """The program does not answer yet."""


class Child(ABC):
    """A program under our care. `start` returns when it is ready to be used."""

    stop_grace = 10.0
    poll = 0.02

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self.log = log
        self._process: Process | None = None

    @abstractmethod
    def prepare(self) -> Launch:
        """Makes files and directories, and says what to start. May block: it runs in a thread."""

    @abstractmethod
    async def ready(self) -> None:
        """Returns when the program can be used; raises `NotReady` or `OSError` while it cannot yet."""

    async def settle(self) -> None:
        """What has to be done once it is ready, on every start."""
        return

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self, within: float = 60.0) -> None:
        """Starts it and waits until it is ready. Raises a `LocalError` if it cannot be, leaving nothing running."""
        try:
            launch = await asyncio.to_thread(self.prepare)
            begin = self.log.stat().st_size if self.log.exists() else 0
            self._process = process = await Process.spawn(launch, self.log)
            await self._become_ready(process, begin, within)
        except CryptoMcpError:
            raise
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            raise StartFailed(f"{self.name} failed while starting: {said}", hint=f"Its log: {self.log}") from error

    async def exited(self) -> int:
        """Waits for the program's end and ends what it left behind; its exit status, negative for a signal."""
        process = self._running()
        status = await process.wait()
        process.sweep()
        return status

    async def stop(self) -> None:
        """Ends it in order; nothing if it does not run."""
        if self._process is not None:
            await self._process.stop(self.stop_grace)

    async def kill(self) -> None:
        """SIGKILL, and waits for the end."""
        await self._running().kill()

    async def restart(self) -> None:
        """Ends it in order and starts it again on the same data."""
        await self.stop()
        await self.start()

    def pause(self) -> None:
        """SIGSTOP: it is there and says nothing."""
        self._running().send(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._running().send(signal.SIGCONT)

    async def _become_ready(self, process: Process, log_begin: int, within: float) -> None:
        try:
            async with asyncio.timeout(within):
                await self._until_ready(process, log_begin)
                await self.settle()
        except TimeoutError:
            await process.kill()
            raise StartFailed(f"{self.name} was not ready within {within:g} s", hint=f"Its log: {self.log}") from None
        except BaseException:
            await process.kill()
            raise

    async def _until_ready(self, process: Process, log_begin: int) -> None:
        while True:
            try:
                return await self.ready()
            except (NotReady, OSError):
                if process.returncode is not None:
                    raise self._failure(process.returncode, log_begin) from None
                await asyncio.sleep(self.poll)

    def _failure(self, status: int, log_begin: int) -> LocalError:
        text = _tail(self.log, log_begin)
        if (found := _LIBRARY_MISSING.search(text)) is not None:
            library = found[1]
            package = _DEBIAN_PACKAGE.get(library)
            install = f"Run `apt-get install {package}`." if package else f"Install the package that has {library}."
            return MissingLibrary(f"{self.name} needs the shared library {library}", hint=install)
        lines = "\n".join(text.splitlines()[-_TAIL_LINES:])
        return StartFailed(f"{self.name} {ended(status)} while starting:\n{lines}", hint=f"Its whole log: {self.log}")

    def _running(self) -> Process:
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process


def ended(status: int) -> str:
    """An exit status in words."""
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"


def _tail(log: Path, begin: int) -> str:
    with log.open("rb") as file:
        end = file.seek(0, 2)
        file.seek(max(begin, end - _TAIL_BYTES))
        return file.read().decode(errors="replace")
