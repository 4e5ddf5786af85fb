"""Executions of workflows in PostgreSQL, and the calls they made."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import BaseModel

from crypto_mcp.errors import InvalidRequest
from crypto_mcp.models.answers import LOCAL

if TYPE_CHECKING:
    from crypto_mcp.stores.postgres import PostgresStore

_MOST_CALLS = 200


class UnknownExecution(InvalidRequest):
    """No execution of that id, or another client's."""

    code = "unknown_execution"
    http_status = 404


class ExecutionCall(BaseModel):
    """A call that an execution made."""

    tool_name: str
    job_id: str | None
    status: str
    created_at: datetime


class Execution(BaseModel):
    """An execution as it stands."""

    execution_id: str
    workflow_id: str
    status: str
    data: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    calls: list[ExecutionCall] = []


class Executions:
    """Every method raises `StoreUnavailable` when PostgreSQL does not answer."""

    def __init__(self, postgres: PostgresStore) -> None:
        self._postgres = postgres

    async def put(
        self, client: str, execution_id: str, workflow_id: str, status: str, data: dict[str, Any]
    ) -> Execution:
        """Begins an execution, or brings it up to date; what `data` does not name stays."""
        text = orjson.dumps(data).decode().replace("\\u0000", "\\ufffd")  # jsonb has no NUL
        async with self._postgres.connection() as connection:
            row = await connection.fetchrow(
                "INSERT INTO workflow_executions AS known "
                "(client_id, execution_id, workflow_id, status, execution_data) VALUES ($1, $2, $3, $4, $5::jsonb) "
                "ON CONFLICT (execution_id) DO UPDATE SET "
                "workflow_id = excluded.workflow_id, status = excluded.status, updated_at = now(), "
                "execution_data = known.execution_data || excluded.execution_data RETURNING *",
                client, _key(client, execution_id), workflow_id, status, text,
            )  # fmt: skip
        return _execution(row, execution_id)

    async def get(self, client: str, execution_id: str) -> Execution:
        """The execution with its calls. `UnknownExecution` if this client has none of that id."""
        async with self._postgres.connection() as connection:
            row = await connection.fetchrow(
                "SELECT * FROM workflow_executions WHERE execution_id = $1", _key(client, execution_id)
            )
            if row is None:
                raise UnknownExecution(
                    f"there is no execution {execution_id[:64]!r}", hint="POST /v1/workflows/executions begins one."
                )
            calls = await connection.fetch(
                "SELECT tool_name, job_id, status, created_at FROM mcp_tool_logs "
                "WHERE client_id = $1 AND execution_id = $2 ORDER BY created_at LIMIT $3",
                client, execution_id, _MOST_CALLS,
            )  # fmt: skip
        found = _execution(row, execution_id)
        return found.model_copy(update={"calls": [ExecutionCall.model_validate(dict(call)) for call in calls]})


def _key(client: str, execution_id: str) -> str:
    """The primary key: two clients may use the same numbers. No id of an execution holds a slash."""
    return execution_id if client == LOCAL else f"{client}/{execution_id}"


def _execution(row: Any, execution_id: str) -> Execution:
    fields = {**dict(row), "execution_id": execution_id, "data": orjson.loads(row["execution_data"])}
    return Execution(**fields)
