"""Writes down every call of a kind, without what is private."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
from structlog.contextvars import get_contextvars

from crypto_mcp.access.identity import current
from crypto_mcp.models.privacy import redacted
from crypto_mcp.server.metrics import count_call
from crypto_mcp.stores.tool_log import ToolCall

if TYPE_CHECKING:
    from pydantic import BaseModel

    from crypto_mcp.errors import CryptoMcpError
    from crypto_mcp.job_kind import JobKind
    from crypto_mcp.server.outcome import Outcome
    from crypto_mcp.stores.tool_log import ToolLog

_LARGEST_RESULT = 16_384


class Recorder:
    """Notes calls in the tool log, if there is one."""

    def __init__(self, tool_log: ToolLog | None) -> None:
        self._tool_log = tool_log

    def answered(self, kind: JobKind[Any, Any], params: BaseModel, outcome: Outcome, began: float) -> None:
        """A call was answered; `began` is `time.perf_counter()` at its beginning."""
        code = None if outcome.error is None else outcome.error.code
        count_call(kind.name, outcome.status, outcome.cached_in, code, time.perf_counter() - began)
        if self._tool_log is not None:
            # What a cache answered was written down when it was computed.
            result = None if outcome.cached_in else _told(kind, outcome.result)
            response: dict[str, Any] = {"cached_in": outcome.cached_in, "result": result}
            response = {name: value for name, value in response.items() if value is not None}
            message = None if outcome.error is None else _message(kind, outcome.error.code, outcome.error.message)
            self._note(kind, redacted(params), response or None, outcome.status, message, outcome.job_id, began)

    def refused(self, kind: JobKind[Any, Any], params: BaseModel | None, error: CryptoMcpError, began: float) -> None:
        """A call was refused. Parameters that do not fit the contract are not written: nobody knows what is in them."""
        count_call(kind.name, "refused", None, error.code, time.perf_counter() - began)
        if self._tool_log is not None:
            arguments = {} if params is None else redacted(params)
            message = error.code if params is None else _message(kind, error.code, error.message)
            self._note(kind, arguments, None, "refused", message, None, began)

    def _note(
        self, kind: JobKind[Any, Any], arguments: dict[str, Any], response: dict[str, Any] | None, status: str,
        message: str | None, job_id: str | None, began: float,
    ) -> None:  # fmt: skip
        assert self._tool_log is not None
        bound = get_contextvars()
        self._tool_log.note(
            ToolCall(
                tool_name=kind.name,
                arguments=arguments,
                response=response,
                execution_time_ms=round((time.perf_counter() - began) * 1000, 3),
                status=status,
                error_message=message,
                created_at=datetime.now(UTC),
                client_id=current().client,
                job_id=job_id,
                request_id=bound.get("request_id"),
                execution_id=bound.get("execution_id"),
            )
        )


def _told(kind: JobKind[Any, Any], result: bytes | None) -> Any:
    """The result as it is written down: shortened to its size where it is long."""
    if result is None:
        return None
    if len(result) > _LARGEST_RESULT:
        return {"bytes": len(result)}
    return redacted(kind.result.model_validate_json(result)) if kind.owned else orjson.loads(result)


def _message(kind: JobKind[Any, Any], code: str, message: str) -> str:
    """An error about what is somebody's own may name it, so only its code is written."""
    return code if kind.owned else f"{code}: {message}"
