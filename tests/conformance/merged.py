"""The product's MCP server with the fixture's tools, prompts and resources beside its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mcp.server.lowlevel import Server
from mcp.types import (
    CallToolRequestParams,
    GetPromptRequestParams,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    UnsubscribeRequestParams,
)

from crypto_mcp.server.mcp import mcp_server
from crypto_mcp.server.resources import SCHEME

_LISTS = {
    "tools/list": "tools",
    "prompts/list": "prompts",
    "resources/list": "resources",
    "resources/templates/list": "resource_templates",
}
_BY_NAME: dict[str, tuple[type[Any], Callable[[Any], bool]]] = {
    "tools/call": (CallToolRequestParams, lambda params: not _of_fixture(params.name)),
    "prompts/get": (GetPromptRequestParams, lambda params: not _of_fixture(params.name)),
    "resources/read": (ReadResourceRequestParams, lambda params: str(params.uri).startswith(SCHEME)),
    "subscriptions/listen": (
        SubscriptionsListenRequestParams,
        lambda params: any(str(uri).startswith(SCHEME) for uri in params.notifications.resource_subscriptions or ()),
    ),
}


def _of_fixture(name: str) -> bool:
    return name.startswith(("test_", "json_schema"))


def merged(fixture: Server[Any], *args: Any) -> Server[Any]:
    """What `mcp_server(*args)` makes, answering for the fixture too."""
    server = mcp_server(*args)
    server.middleware.extend(fixture.middleware)
    for method, field in _LISTS.items():
        server.add_request_handler(method, PaginatedRequestParams, _both(server, fixture, method, field))
    for method, (params, is_ours) in _BY_NAME.items():
        server.add_request_handler(method, params, _either(server, fixture, method, is_ours))
    for method, params in (
        ("resources/subscribe", SubscribeRequestParams),
        ("resources/unsubscribe", UnsubscribeRequestParams),
    ):
        entry = fixture.get_request_handler(method)
        assert entry is not None
        server.add_request_handler(method, params, entry.handler)
    ours, theirs = server.get_tool_input_schema, fixture.get_tool_input_schema
    assert ours is not None
    assert theirs is not None
    server.get_tool_input_schema = lambda name: (theirs if _of_fixture(name) else ours)(name)
    return server


def _both(server: Server[Any], fixture: Server[Any], method: str, field: str) -> Any:
    ours, theirs = server.get_request_handler(method), fixture.get_request_handler(method)
    assert ours is not None
    assert theirs is not None

    async def listed(ctx: Any, params: Any) -> Any:
        result, more = await ours.handler(ctx, params), await theirs.handler(ctx, params)
        return result.model_copy(update={field: [*getattr(result, field), *getattr(more, field)]})

    return listed


def _either(server: Server[Any], fixture: Server[Any], method: str, is_ours: Callable[[Any], bool]) -> Any:
    ours, theirs = server.get_request_handler(method), fixture.get_request_handler(method)
    assert ours is not None
    assert theirs is not None

    async def answered(ctx: Any, params: Any) -> Any:
        return await (ours if is_ours(params) else theirs).handler(ctx, params)

    return answered
