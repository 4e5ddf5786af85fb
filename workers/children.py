"""CPU-bound work in a child process, so that the loop that renews the heartbeat stays free.

Children are forked from a process that has the engines loaded and warm, the nursery, so that one is there within a few
milliseconds instead of the seconds that its imports take. Each does one piece of work and ends: what memory it used is
free again. Cancelling the awaiting job, its timeout included, kills the child at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle  # between our own processes # nosec B403
import signal
import socket
import subprocess  # our own argument lists, never a shell # nosec B404
import sys
from functools import cache
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from workers import nursery
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
    return pickle.loads(await reader.readexactly(length))  # noqa: S301 - from our own child # nosec B301


@cache
def _cores() -> asyncio.Semaphore:
    return asyncio.Semaphore(os.cpu_count() or 1)


class Nursery:
    """The process that children are forked from, started again when it is found dead."""

    def __init__(self, control: socket.socket, pid: int) -> None:
        self._control, self._pid = control, pid

    @classmethod
    def started(cls) -> Nursery:
        """As a program of its own, which takes its imports' seconds."""
        return cls(*_program())

    @classmethod
    def forked(cls) -> Nursery:
        """From this process, which must have no threads yet: what it has imported need not be imported again."""
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid:
            theirs.close()
            return cls(ours, pid)
        ours.close()
        try:
            nursery.serve(theirs)
        finally:
            os._exit(0)

    def child(self) -> socket.socket:
        """Our end of a new child's link."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._control, [b"c"], [theirs.fileno()])
            except OSError:
                self._start_again()
                socket.send_fds(self._control, [b"c"], [theirs.fileno()])
        ours.setblocking(False)
        return ours

    def _start_again(self) -> None:
        self._control.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)
        self._control, self._pid = _program()


def _program() -> tuple[socket.socket, int]:
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, "-m", "workers.nursery", str(theirs.fileno())]
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)  # noqa: S603 - ours # nosec B603
        return ours, process.pid


_nurseries: list[Nursery] = []


def fork_nursery() -> None:
    """At the start of a worker process, before it has threads."""
    _nurseries[:] = [Nursery.forked()]


def _nursery() -> Nursery:
    if not _nurseries:
        _nurseries.append(Nursery.started())
    return _nurseries[0]
