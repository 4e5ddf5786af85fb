"""The queues under test: ours and its peers, each with a client here and workers in processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import TracebackType
from typing import Any, Protocol, Self, cast


class Client(Protocol):
    """What every peer module offers as `Client`."""

    async def start(self) -> None: ...

    async def call(self, n: int) -> None:
        """A no-op, until its result is here."""

    async def enqueue(self, n: int) -> None:
        """A no-op, without waiting for it."""

    async def stop(self) -> None: ...


@dataclass(frozen=True, eq=False)
class System:
    """One system as its users would set it up.

    Attributes:
        calls: for one round of latency; few for those that take half a second by design.
        batch: jobs for one round of throughput; few where the poll bounds the rate, whatever their number.
        client_options: for the peer module's `Client`.
        environment: of the worker.
    """

    name: str
    module: str
    package: str | None = None
    calls: int = 100
    batch: int = 5000
    client_options: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    def client(self) -> Client:
        return cast("Client", import_module(f"tests.bench.peers.{self.module}").Client(**self.client_options))

    def worker(self, batch: int = 0) -> WorkerProcess:
        return WorkerProcess(self, batch)


OURS = System("ours", "ours", calls=200)
ARQ = System("arq", "arq_peer", "arq", calls=4, batch=1000)
ARQ_BUSY = System("arq, poll 10 ms", "arq_peer", calls=60, environment={"BENCH_ARQ_POLL": "0.01"})
SAQ = System("saq", "saq_peer", "saq")
TASKIQ = System("taskiq", "taskiq_peer", "taskiq", calls=200)
TASKIQ_SPINNING = System("taskiq, spinning", "taskiq_peer", calls=200, client_options={"check_interval": 0.0})
DRAMATIQ = System("dramatiq", "dramatiq_peer", "dramatiq")


class WorkerProcess:
    """One worker of a system, killed at the end of the block."""

    def __init__(self, system: System, batch: int) -> None:
        self._system, self._batch = system, batch

    def __enter__(self) -> Self:
        environment = {**os.environ, **self._system.environment, "BENCH_BATCH": str(self._batch)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"tests.bench.peers.{self._system.module}"],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def batch_seconds(self) -> float:
        """Waits until the batch has run; seconds from its first job to its last."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("batch"):
                return float(line.split()[1])
        raise RuntimeError(f"the worker of {self._system.name} ended before its batch did")
