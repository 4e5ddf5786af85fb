"""A job's server-sent events, read to its end through streams that are cut on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from crypto_mcp.client.exchange import Call, Retrying
from crypto_mcp.client.operations import job_path
from crypto_mcp.models.answers import JobRecord

if TYPE_CHECKING:
    import httpx2

    from crypto_mcp.errors import CryptoMcpError

_SILENCE = 45.0
"""Seconds without a sign of life, of which there is one every 15 s, after which a stream is taken for dead."""


class Following:
    """Where the reader of a job's events is. Nothing here reads: the client feeds it."""

    def __init__(self, job_id: str, retrying: Retrying) -> None:
        self.call = Call(
            "GET", f"{job_path(job_id)}/events", headers={"Accept": "text/event-stream"}, patience=_SILENCE
        )
        self.over = False
        self.pause = 0.0
        self._retrying = retrying
        self._failures = 0
        self._newest: bytes | None = None

    def read(self, event: httpx2.ServerSentEvent) -> JobRecord | None:
        """The record an event tells; None if it tells none, or the one that the stream before ended with."""
        if event.retry is not None:
            self.pause = event.retry / 1000
        data = event.data.encode()
        if not data or data == self._newest:
            return None
        record = JobRecord.model_validate(orjson.loads(data), extra="ignore")
        self._newest, self._failures, self.over = data, 0, record.state.finished
        return record

    def failed(self, error: CryptoMcpError) -> None:
        """A stream broke, or was refused; raises it if it is not worth another try."""
        self._failures += 1
        pause = self._retrying.pause(error, self._failures, repeatable=True)
        if pause is None:
            raise error
        self.pause = pause
