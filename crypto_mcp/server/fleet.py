"""A number of processes that do the same work: forked, kept running, ended together."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger(__name__)

_ENDING = (signal.SIGTERM, signal.SIGINT)
_PR_SET_PDEATHSIG = 1
_LONG_LIFE = 10.0
_LONGEST_DELAY = 5.0


class Fleet:
    """`count` children, each running `work`, which ends on SIGTERM. Who has not after `grace` seconds is killed.

    A child that ends by itself is replaced: at once if it lived long, else after a delay that doubles up to 5 s.
    """

    def __init__(self, count: int, work: Callable[[], None], grace: int) -> None:
        self._count = count
        self._work = work
        self._grace = grace
        self._born: dict[int, float] = {}
        self._early_ends = 0
        self._stopping = False

    def run(self) -> None:
        """Returns when the last child has ended after SIGTERM or SIGINT."""
        for signum in _ENDING:
            signal.signal(signum, self._stop)
        signal.signal(signal.SIGALRM, self._kill)
        for _ in range(self._count):
            self._fork()
        while self._born:
            pid, status = os.wait()
            if pid not in self._born:
                continue  # as process 1 of a container it inherits the orphans of health checks
            lived = time.monotonic() - self._born.pop(pid)
            if not self._stopping:
                self._replace(pid, os.waitstatus_to_exitcode(status), lived)
        signal.alarm(0)

    def _replace(self, pid: int, code: int, lived: float) -> None:
        self._early_ends = 0 if lived > _LONG_LIFE else self._early_ends + 1
        delay = min(_LONGEST_DELAY, 0.1 * 2.0**self._early_ends) if self._early_ends else 0.0
        log.error("a front-end process ended", pid=pid, exit_code=code, restart_in=delay)
        self._fork(delay)

    def _fork(self, delay: float = 0.0) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)  # no child may be born that _stop does not know
        try:
            if self._stopping:
                return
            pid = os.fork()
            if pid == 0:
                self._live(delay)
            self._born[pid] = time.monotonic()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)

    def _live(self, delay: float) -> None:
        """A child's whole life. Never returns into the parent's code."""
        code = 1
        try:
            os.setpgid(0, 0)  # Ctrl-C is for the parent, which passes it on
            if sys.platform == "linux":
                ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            for signum in _ENDING:
                signal.signal(signum, _leave)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
            time.sleep(delay)
            self._work()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except BaseException as error:
            log.exception("a front-end process failed", exc_info=error)
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _stop(self, *_: object) -> None:
        self._stopping = True
        signal.alarm(self._grace)
        self._signal(signal.SIGTERM)

    def _kill(self, *_: object) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, signum: signal.Signals) -> None:
        for pid in self._born:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signum)


def _leave(*_: object) -> None:
    """uvicorn raises the signal that ended it once more: by then all is done."""
    raise SystemExit(0)
