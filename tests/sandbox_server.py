"""A sandbox exchange on a free port, for tests: served by a thread of this process, over real HTTP."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import uvicorn

from crypto_mcp.sandbox.app import create_app
from crypto_mcp.settings import SandboxSettings


@dataclass
class Clock:
    """The sandbox's time in ms; a test may move it by `ahead`, or stop it."""

    ahead: int = 0
    stopped_at: int | None = None

    def __call__(self) -> int:
        return (time.time_ns() // 1_000_000 if self.stopped_at is None else self.stopped_at) + self.ahead

    def stop(self) -> None:
        self.stopped_at, self.ahead = self(), 0


@dataclass
class SandboxServer:
    """A running sandbox."""

    url: str
    clock: Clock
    http: httpx2.Client

    def get(self, path: str, **params: Any) -> httpx2.Response:
        return self.http.get(self.url + path, params=params)

    @property
    def streams(self) -> str:
        """Where its WebSockets are."""
        return self.url.replace("http://", "ws://")

    def fault(self, kind: str, **how: Any) -> None:
        self.http.post(f"{self.url}/sandbox/faults", json={"kind": kind, **how}).raise_for_status()

    def mend(self) -> None:
        self.http.delete(f"{self.url}/sandbox/faults")

    def requests(self, path: str) -> int:
        return int(self.get("/sandbox/state").json()["requests"].get(path, 0))


@contextlib.contextmanager
def running_sandbox(**options: Any) -> Iterator[SandboxServer]:
    """A sandbox until the block ends. `options` are settings of `SandboxSettings`."""
    clock = Clock()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        app = create_app(SandboxSettings(**options), clock=clock)
        server = uvicorn.Server(
            uvicorn.Config(app, log_config=None, lifespan="off", ws_ping_timeout=60, timeout_graceful_shutdown=1)
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        _until(lambda: server.started)
        try:
            with httpx2.Client(timeout=30) as http:
                yield SandboxServer(f"http://127.0.0.1:{listener.getsockname()[1]}", clock, http)
        finally:
            server.should_exit = True
            thread.join(5)


def _until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.005)
