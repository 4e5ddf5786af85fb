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
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any, TypeVar, cast

import numpy as np
from numba.core import config
from numba.core.caching import FunctionCache
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher

C = TypeVar("C", bound=Callable[..., object])

# Nothing of ours asks for a kernel's address: without that wrapper a tenth less is to be compiled.
_OPTIONS = {"nopython": True, "nogil": True, "no_cfunc_wrapper": True}
_ARRAYS_GIVEN = _OPTIONS | {"error_model": "numpy", "_nrt": False}

_COMPILES = ContextVar("compiles", default=False)

_PATIENCE = 60.0
"""Seconds after which another process that compiles the same function counts as stuck."""


def compiled(function: C) -> C:
    """The function as machine code that runs without the interpreter's lock; no fastmath: results are exact."""
    return _kept(Kernel, function, _OPTIONS)


def compiled_only(function: C) -> C:
    """Like `compiled`, for what cannot run as Python.

    It divides by zero without an error. It makes no arrays, so that nothing is to be freed: counting who still holds
    one takes a third of the time of a loop that calls others with many.
    """
    return _kept(_Machine, function, _ARRAYS_GIVEN)


def inlined(function: C) -> C:
    """Like `compiled_only`, for what is called so often that a call would cost more than the body."""
    return _kept(_Machine, function, _ARRAYS_GIVEN | {"forceinline": True})


def _kept(kind: type[_Machine], function: C, options: Mapping[str, object]) -> C:
    if cast(Any, config).DISABLE_JIT:
        return function
    machine = kind(function, targetoptions=dict(options))
    machine.enable_caching()
    return cast(C, machine)


class _Kept(FunctionCache):
    """What is on the disk: numba itself would not notice that a function that is called has changed in another file."""

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        key = super()._index_key(sig, codegen)  # type: ignore[no-untyped-call]
        return (*key, *sorted(_stamps(self._py_func)))


def _stamps(function: Any) -> set[tuple[str, float, int]]:
    """Name, time and size of the files of all compiled functions that this one calls."""
    found: set[tuple[str, float, int]] = set()
    for name in function.__code__.co_names:
        called = function.__globals__.get(name)
        if isinstance(called, _Machine) and called.py_func is not function:
            place = Path(called.py_func.__code__.co_filename)
            state = place.stat()
            found |= {(place.name, state.st_mtime, state.st_size)} | _stamps(called.py_func)
    return found


class _Machine(CPUDispatcher):
    """A compiled function. An argument of another type compiles it again."""

    def enable_caching(self) -> None:
        """Keeps what is compiled on the disk."""
        self._cache = cast(Any, _Kept)(self.py_func)

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


class Kernel(_Machine):
    """A compiled function that runs as Python too."""

    interpreted = False

    def __call__(self, *args: Any) -> Any:
        """As machine code; as Python while others compile and have not come to this function yet."""
        if not Kernel.interpreted or self.overloads or _COMPILES.get():
            return super().__call__(*args)
        with np.errstate(all="ignore"):
            return self.py_func(*args)


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
