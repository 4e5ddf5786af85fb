"""A child process that does not outlive its parent, even one that is killed."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_PR_SET_PDEATHSIG = 1
_AFTER_KILL = 5.0


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start.

    Attributes:
        argv: the program and its arguments. No secrets: every user of the machine can read them.
        env: the whole environment, or None for this process's.
        stop_signal: asks the program to end in order; also what the kernel sends when this process dies.
    """

    argv: list[str]
    env: Mapping[str, str] | None = field(default=None, repr=False)
    stop_signal: signal.Signals = signal.SIGTERM


class Process:
    """A running program, leader of a process group of its own: Ctrl-C in the terminal reaches only us."""

    def __init__(self, launch: Launch, process: asyncio.subprocess.Process) -> None:
        self._launch = launch
        self._process = process
        self._swept = False

    @classmethod
    async def spawn(cls, launch: Launch, log: Path) -> Process:
        """Starts the program with its output appended to `log`. Call it from the main thread only: the kernel's
        death signal follows the thread that started the child."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *launch.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=launch.env,
                start_new_session=True,
                preexec_fn=_die_with_parent(launch.stop_signal),
            )
        return cls(launch, process)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit status, negative for a signal, None while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Waits for its end; the exit status."""
        return await self._process.wait()

    def send(self, signum: signal.Signals) -> None:
        """Sends a signal, if it is still there.

        Not by `Process.send_signal`: that may reap the child before asyncio does, which loses its exit status.
        """
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signum)

    async def stop(self, grace: float) -> None:
        """Asks it to end, kills it after `grace` seconds, and sweeps up what it left behind in its group."""
        self.send(self._launch.stop_signal)
        self.send(signal.SIGCONT)
        try:
            async with asyncio.timeout(grace):
                await self.wait()
        except TimeoutError:
            await self.kill()
        self.sweep()

    async def kill(self) -> None:
        """SIGKILL to the whole group."""
        self.sweep()
        self.send(signal.SIGKILL)
        async with asyncio.timeout(_AFTER_KILL):
            await self.wait()

    def sweep(self) -> None:
        """SIGKILL to its group; once it has ended only one more time, for its number may be given to another."""
        if self._swept:
            return
        self._swept = self.returncode is not None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


def _die_with_parent(signum: signal.Signals) -> Callable[[], None] | None:
    """Runs in the child before the program: asks the kernel for a signal when we die (Linux only)."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up here: between fork and exec it could wait for a lock for ever
    parent = os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signum), 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return ask
