"""Processes of tests, forked from one that has the product imported: each is there in milliseconds, not in a second.

They are processes like any other: of their own, to be stopped, killed and waited for. What starts them is Python's own
fork server, which has no threads and ends with the tests.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@cache
def _server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.preloaded"])
    return context


class Forked:
    """A process that runs `work(*args)` with an environment of its own; what it says goes to the end of `log`.

    Has what tests use of `subprocess.Popen`.
    """

    def __init__(self, work: Callable[..., None], *args: Any, env: Mapping[str, str], log: Path) -> None:
        self._process = _server().Process(target=_run, args=(work, args, dict(env), str(log)))
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    def poll(self) -> int | None:
        """The exit status (minus the signal that ended it), None while it runs."""
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end; the exit status. Raises `TimeoutExpired`."""
        self._process.join(timeout)
        status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired("a forked process", timeout or 0.0)
        return status


def _run(work: Callable[..., None], args: tuple[Any, ...], env: dict[str, str], log: str) -> None:
    said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    sys.stderr.flush()
    os.dup2(said, 2)
    os.close(said)
    os.environ.clear()
    os.environ.update(env)
    work(*args)
