"""REST: executions of workflows (n8n and others), so that what they asked can be found by them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
from fastapi import Request
from pydantic import Field, field_validator

from crypto_mcp.access.identity import current
from crypto_mcp.errors import StoreUnavailable
from crypto_mcp.models.answers import Contract
from crypto_mcp.server.problems import described
from crypto_mcp.server.requests import EXECUTION_HEADER
from crypto_mcp.server.rest import front_of
from crypto_mcp.server.routing import Routes
from crypto_mcp.stores.executions import Execution

if TYPE_CHECKING:
    from crypto_mcp.stores.executions import Executions

workflow_routes = Routes(prefix="/workflows/executions", tags=["workflows"])

Id = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.:-]+$")]


class ExecutionUpdate(Contract, defer_build=False):  # FastAPI gives a body an alias, of which pydantic warns later
    """A workflow's execution has begun, goes on, or has ended."""

    execution_id: Id
    workflow_id: Id
    status: Literal["running", "waiting", "success", "error", "canceled"] = "running"
    data: dict[str, Any] = Field({}, description="Anything the workflow wants kept; names add to those kept before.")

    @field_validator("data")
    @classmethod
    def _is_kept(cls, data: dict[str, Any]) -> dict[str, Any]:
        """JSON may have numbers without end; what keeps them has not."""
        try:
            orjson.dumps(data)
        except orjson.JSONEncodeError as error:
            raise ValueError(f"cannot be kept: {error}; write such a number as text") from None
        return data


@workflow_routes.post("", summary="Start, update or finish an execution", responses=described(403))
async def put_execution(request: Request, update: ExecutionUpdate) -> Execution:
    """The same `execution_id` again is the same execution. Jobs asked with the header name it are linked to it."""
    current().require("market:read")
    return await _executions(request).put(
        current().client, update.execution_id, update.workflow_id, update.status, update.data
    )


@workflow_routes.get("/{execution_id}", summary="An execution, with the calls it made", responses=described(404))
async def get_execution(request: Request, execution_id: Id) -> Execution:
    """As it stands."""
    return await _executions(request).get(current().client, execution_id)


put_execution.__doc__ = f"{put_execution.__doc__} The header is `{EXECUTION_HEADER}`."


def _executions(request: Request) -> Executions:
    found = front_of(request).executions
    if found is None:
        raise StoreUnavailable("no PostgreSQL is set", hint="Set CRYPTO_MCP_POSTGRES__URL.")
    return found
