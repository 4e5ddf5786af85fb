"""Loops over bars as machine code (numba), compiled once and kept on disk.

Compiling all of them takes the better part of a minute of computing, once on a machine. Two things keep people from
waiting for it. `meanwhile_interpreted` lets a process work at once: what is not compiled yet runs as Python, some
hundred times slower and with the same result, while one thread compiles. And of several processes that need the same
function one compiles it; the others wait for it and read it from the disk.
"""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any, TypeVar, cast

import numpy as np
from numba.core import config
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher

C = TypeVar("C", bound=Callable[..., object])

# Nothing of ours asks for a kernel's address: without that wrapper a tenth less is to be compiled.
_OPTIONS = {"nopython": True, "nogil": True, "no_cfunc_wrapper": True}

_COMPILES = ContextVar("compiles", default=False)

_PATIENCE = 60.0
"""Seconds after which another process that compiles the same function counts as stuck."""


def compiled(function: C) -> C:
    """The function as machine code that runs without the interpreter's lock; no fastmath: results are exact."""
    if cast(Any, config).DISABLE_JIT:
        return function
    kernel = Kernel(function, targetoptions=dict(_OPTIONS))
    kernel.enable_caching()
    return cast(C, kernel)


class Kernel(CPUDispatcher):
    """A compiled function. An argument of another type compiles it again."""

    interpreted = False

    def __call__(self, *args: Any) -> Any:
        """As machine code; as Python while others compile and have not come to this function yet."""
        if not Kernel.interpreted or self.overloads or _COMPILES.get():
            return super().__call__(*args)
        with np.errstate(all="ignore"):
            return self.py_func(*args)

    def compile(self, sig: Any) -> Any:
        """Compiles for these types, or reads what another process has compiled."""
        if isinstance(sig, tuple) and sig in self.overloads:
            return super().compile(sig)
        # numba's own lock first: it may be held by a function that calls this one.
        with global_compiler_lock, self._alone():
            return super().compile(sig)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time. Where no lock can be kept, each compiles for itself."""
        place = Path(self.stats.cache_path or "")
        try:
            place.mkdir(parents=True, exist_ok=True)
            lock = (place / f"{self.py_func.__module__}.{self.py_func.__name__}.lock").open("wb")
        except OSError:
            yield
            return
        with lock:
            _acquire(lock)
            try:
                yield
            finally:
                with contextlib.suppress(OSError):
                    fcntl.flock(lock, fcntl.LOCK_UN)  # a child forked meanwhile would keep it


def _acquire(lock: IO[bytes]) -> None:
    """Waits for the lock as long as there is hope; a file system without locks gives none."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)
        except OSError:
            return
        else:
            return


@contextlib.contextmanager
def meanwhile_interpreted() -> Iterator[None]:
    """What this task and the threads it starts call is compiled; others run as Python what is still to come."""
    Kernel.interpreted, token = True, _COMPILES.set(True)
    try:
        yield
    finally:
        Kernel.interpreted = False
        _COMPILES.reset(token)
