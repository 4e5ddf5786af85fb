"""The product behind a front end and a worker, for the tests of the job."""

from __future__ import annotations

from tests.risk.conftest import address, ask, http, sandbox, stores

__all__ = ["address", "ask", "http", "sandbox", "stores"]
