"""`python -m workers.nursery FD`: the process that children are forked from. Loads the engines, then forks on request.

A request on the control socket is a byte with a file descriptor beside it, one end of a socket pair: the child's only
link to the worker. When the worker's end of the control socket closes, however the worker ended, the nursery ends, and
its children with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle  # between our own processes # nosec B403
import resource
import select
import signal
import socket
import struct
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from crypto_mcp.errors import CryptoMcpError
from crypto_mcp.models.answers import build_contracts

if TYPE_CHECKING:
    from collections.abc import Iterator

LENGTH = struct.Struct(">Q")
MEMORY = 3 << 30
"""Bytes a child may use; beyond them its work fails, and the machine does not."""

_PR_SET_PDEATHSIG = 1
_QUIET = 1.0


class ChildFailed(CryptoMcpError):
    """A child process ended without a result: killed from outside, or out of memory."""

    code = "child_failed"
    retryable = True


def serve(control: socket.socket) -> None:
    """Warms the engines, then forks until the worker is gone; what is seldom needed is warmed while nobody asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for children: the kernel forgets them by itself
    warming = _warming()
    next(warming)
    while True:
        quiet = not select.select([control], [], [], _QUIET)[0]
        if quiet and next(warming, None) is not None:
            continue
        request, links, _, _ = socket.recv_fds(control, 1, 1)
        if not request:
            return
        if os.fork() == 0:
            control.close()
            with socket.socket(fileno=links[0]) as link:
                _work(link)
            os._exit(0)
        os.close(links[0])


def _warming() -> Iterator[str]:
    """Loads the engines step by step, what every search needs first."""
    runs = import_module("workers.backtest_runs")
    build_contracts()
    yield from runs.warming()


def _work(link: socket.socket) -> None:
    """Reads what to do, tells its process id, does it, answers."""
    _limit()
    with contextlib.suppress(OSError), link.makefile("rwb") as stream:
        _send(stream, os.getpid())
        work = stream.read(LENGTH.unpack(stream.read(LENGTH.size))[0])
        answer = _answer(work)
        try:
            _send(stream, answer)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            _send(stream, (False, ChildFailed(f"the result cannot be sent: {error}")))


def _answer(work: bytes) -> tuple[bool, Any]:
    try:
        function, args, kwargs = pickle.loads(work)  # noqa: S301 - from our own parent # nosec B301
        return True, function(*args, **kwargs)
    except MemoryError:
        return False, ChildFailed(f"the work needs more than {MEMORY >> 30} GiB", hint="Ask for less at once.")
    except BaseException as error:  # noqa: BLE001 - whatever it is belongs to who waits for it
        return False, error


def _send(stream: Any, value: Any) -> None:
    packed = pickle.dumps(value)
    stream.write(LENGTH.pack(len(packed)) + packed)
    stream.flush()


def _limit() -> None:
    """A child has a bound of memory, and dies with the nursery: nobody computes for nobody."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))


def main() -> None:
    """Serves on the socket that the command line names."""
    with socket.socket(fileno=int(sys.argv[1])) as control:
        serve(control)


if __name__ == "__main__":
    # By its name, under which the worker knows the errors it sends.
    import_module("workers.nursery").main()
