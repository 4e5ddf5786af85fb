"""The product behind a front end and a worker, on a sandbox market: the fixtures of the risk room."""

from __future__ import annotations

from tests.risk.conftest import address, ask, http, sandbox, stores

__all__ = ["address", "ask", "http", "sandbox", "stores"]
