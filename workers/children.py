"""CPU-bound work in a child process, so that the loop that renews the heartbeat stays free.

Children are forked from a process that has the engines loaded and warm, the nursery, so that one is there within a few
milliseconds instead of the seconds that its imports take. Each does one piece of work and ends: what memory it used is
free again. Cancelling the awaiting job, its timeout included, kills the child at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
from functools import cache
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from workers.nursery import LENGTH, ChildFailed

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")


async def run_in_child(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """`function(*args, **kwargs)` in a child process, at most one a core; everything must be picklable.

    Raises whatever it raises, and `ChildFailed` where the child was killed or used too much memory.
    """
    work = pickle.dumps((function, args, kwargs))
    async with _cores():
        result: R = await _done(work)
        return result


async def warm_children() -> None:
    """Returns when the nursery is ready, so that the first child need not wait for it."""
    await run_in_child(os.getpid)


async def _done(work: bytes) -> Any:
    link = await asyncio.to_thread(_nursery().child)
    reader, writer = await asyncio.open_connection(sock=link, limit=1 << 16)
    child = 0
    try:
        child = await _received(reader)
        writer.write(LENGTH.pack(len(work)) + work)
        await writer.drain()
        done, result = await _received(reader)
    except (asyncio.IncompleteReadError, ConnectionError):
        raise ChildFailed("a child process ended without a result", hint="It is tried again by itself.") from None
    except asyncio.CancelledError:
        if child:
            # Not yet reaped by anybody, or gone: the nursery lets the kernel forget it only when it has ended.
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        raise
    finally:
        writer.close()
    if not done:
        raise result
    return result


async def _received(reader: asyncio.StreamReader) -> Any:
    length = LENGTH.unpack(await reader.readexactly(LENGTH.size))[0]
    return pickle.loads(await reader.readexactly(length))  # noqa: S301 - from our own child


@cache
def _cores() -> asyncio.Semaphore:
    return asyncio.Semaphore(os.cpu_count() or 1)


class Nursery:
    """The process that children are forked from, started when it is first needed and again if it has died."""

    def __init__(self) -> None:
        self._control, self._process = self._started()

    def child(self) -> socket.socket:
        """Our end of a new child's link."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._control, [b"c"], [theirs.fileno()])
            except OSError:
                self._control.close()
                self._process.wait()
                self._control, self._process = self._started()
                socket.send_fds(self._control, [b"c"], [theirs.fileno()])
        ours.setblocking(False)
        return ours

    @staticmethod
    def _started() -> tuple[socket.socket, subprocess.Popen[bytes]]:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "workers.nursery", str(theirs.fileno())]
            return ours, subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)  # noqa: S603


@cache
def _nursery() -> Nursery:
    return Nursery()
