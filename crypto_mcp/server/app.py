"""The ASGI application: REST, MCP over streamable HTTP, health and a page for people."""

from __future__ import annotations

from contextlib import asynccontextmanager
from html import escape
from typing import TYPE_CHECKING, Any, TypeAlias

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi_offline import FastAPIOffline
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse
from starlette.routing import Route

import crypto_mcp
from crypto_mcp.access.identity import current
from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.models.rest import Problem
from crypto_mcp.server import problems
from crypto_mcp.server.alertmanager import operations_routes
from crypto_mcp.server.analyses import analysis_routes
from crypto_mcp.server.batches import batch_routes
from crypto_mcp.server.callback_routes import callback_routes, url_check
from crypto_mcp.server.charts import chart_routes
from crypto_mcp.server.client_routes import client_routes
from crypto_mcp.server.dead_letters import dead_routes
from crypto_mcp.server.deliveries import delivery_routes
from crypto_mcp.server.etags import JSON
from crypto_mcp.server.events import event_routes
from crypto_mcp.server.front import Front, open_front, prepare
from crypto_mcp.server.gate import Gate
from crypto_mcp.server.infrastructure import infrastructure
from crypto_mcp.server.linked_charts import linked_chart_routes
from crypto_mcp.server.mcp import mcp_server
from crypto_mcp.server.metrics import exposition
from crypto_mcp.server.problems import described
from crypto_mcp.server.provider_webhooks import webhook_routes
from crypto_mcp.server.reports import report_routes
from crypto_mcp.server.requests import LARGEST_BODY, RequestBounds
from crypto_mcp.server.rest import catalogue_routes, front_of, job_routes
from crypto_mcp.server.routing import PREFIX
from crypto_mcp.server.session_routes import session_routes
from crypto_mcp.server.user_routes import user_routes
from crypto_mcp.server.workflows import workflow_routes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from mcp.server.lowlevel import Server
    from starlette.types import Receive, Scope, Send

    from crypto_mcp.job_kind import Catalogue
    from crypto_mcp.server.challenges import Challenges
    from crypto_mcp.server.routing import Routes
    from crypto_mcp.settings import Settings

MakeServer: TypeAlias = "Callable[..., Server[Front]]"

_DESCRIPTION = """\
Submit a job, wait for it or poll it, fetch its result. Errors are `application/problem+json` with a stable `code`.
Answers come from a cache where one is fresh: then no job runs and there is no `job_id`.
"""


class McpEndpoint:
    """Streamable HTTP. One session manager for each run of the app, as the SDK wants it."""

    def __init__(self, settings: Settings, catalogue: Catalogue, make: MakeServer) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._make = make
        # Without sessions only POST: the SDK would answer GET with a stream on which nothing ever comes.
        self.methods = ["GET", "POST", "DELETE"] if settings.server.mcp_sessions else ["POST"]
        self._manager: StreamableHTTPSessionManager | None = None

    @asynccontextmanager
    async def running(self, front: Front) -> AsyncIterator[None]:
        """Serves MCP while inside."""

        @asynccontextmanager
        async def lifespan(_: Server[Front]) -> AsyncIterator[Front]:
            yield front

        self._manager = StreamableHTTPSessionManager(
            self._make(self._catalogue, self._settings.server, lifespan),
            stateless=not self._settings.server.mcp_sessions,
            security_settings=TransportSecuritySettings(
                allowed_hosts=self._settings.server.allowed_hosts, allowed_origins=self._settings.server.allowed_origins
            ),
            max_request_body_size=LARGEST_BODY,
        )
        async with self._manager.run():
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._manager is not None
        await self._manager.handle_request(scope, receive, send)


def build_app(settings: Settings, catalogue: Catalogue = CATALOGUE, *, make_mcp: MakeServer = mcp_server) -> FastAPI:
    """The application. Nothing is opened before its lifespan begins."""
    mcp = McpEndpoint(settings, catalogue, make_mcp)
    prepare(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with open_front(settings, catalogue) as front, mcp.running(front):
            yield {"front": front}

    app = FastAPIOffline(
        title="Crypto MCP", version=crypto_mcp.__version__, description=_DESCRIPTION, lifespan=lifespan, redoc_url=None
    )
    problems.install(app)
    challenges = _challenges(settings)
    app.add_middleware(Gate, settings=settings, challenges=challenges)
    app.add_middleware(RequestBounds, timeout=settings.server.request_timeout)
    for path in ("/mcp", "/mcp/"):
        app.router.routes.append(Route(path, endpoint=mcp, methods=mcp.methods, include_in_schema=False))
    app.router.routes.extend(challenges.routes() if challenges is not None else ())
    app.add_api_route("/health", health, tags=["health"], summary="What can be reached")
    subjects = (
        catalogue_routes(catalogue, url_check(settings)), batch_routes(catalogue), chart_routes(catalogue),
        linked_chart_routes(catalogue, settings.access),
        report_routes(catalogue), analysis_routes(catalogue), job_routes, event_routes, dead_routes, delivery_routes,
        workflow_routes, session_routes, client_routes, user_routes(settings), callback_routes(settings.access),
        operations_routes(settings.monitor.operators),
    )  # fmt: skip
    for routes in subjects:
        app.router.routes.extend(routes.routes)
    app.router.routes.extend(webhook_routes(settings.notify).routes)
    app.openapi = lambda: _openapi(app, subjects)  # type: ignore[method-assign]
    app.add_api_route(
        "/health/infrastructure",
        _infrastructure(settings),
        tags=["health"],
        summary="How this process stands, in detail",
        responses=described(401, 403),
    )
    app.add_api_route(
        "/metrics",
        metrics,
        tags=["health"],
        summary="Figures for Prometheus",
        response_class=PlainTextResponse,
        responses=described(401, 403),
    )
    app.add_api_route("/", _page(catalogue), include_in_schema=False, response_class=HTMLResponse)
    return app


def _challenges(settings: Settings) -> Challenges | None:
    if settings.oauth.issuer is None:
        return None
    from crypto_mcp.server.challenges import Challenges

    return Challenges(settings.oauth)


async def health(request: Request) -> JSONResponse:
    """`ok`, or `degraded` when something is away but calls are still accepted; 503 when they are not."""
    report = await front_of(request).health.report()
    return JSONResponse(report, 503 if report["status"] == "down" else 200)


def _infrastructure(settings: Settings) -> Any:
    async def report(request: Request) -> dict[str, Any]:
        """Settings in force, connections, caches, queues, workers and speed."""
        current().require("metrics:read")
        return await infrastructure(front_of(request), settings)

    return report


async def metrics(request: Request) -> PlainTextResponse:
    """Of all processes of this front end together, in Prometheus's text format."""
    current().require("metrics:read")
    return PlainTextResponse(await exposition(front_of(request)), media_type=CONTENT_TYPE_LATEST)


def _openapi(app: FastAPI, subjects: Sequence[Routes]) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        for path, body in (each for routes in subjects for each in routes.bodies.items()):
            schema["paths"][PREFIX + path]["post"]["requestBody"] = {"required": True, "content": {JSON: body()}}
        schema.setdefault("components", {}).setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
        app.openapi_schema = schema
    return app.openapi_schema


def _page(catalogue: Catalogue) -> Any:
    rows = "".join(
        f"<li><code>POST /v1/jobs/{escape(kind.name)}</code> {escape(kind.summary)}</li>" for kind in catalogue.tools()
    )
    text = (
        "<!doctype html><meta charset=utf-8><title>Crypto MCP</title>"
        "<style>body{font:16px/1.5 sans-serif;max-width:46rem;margin:3rem auto;padding:0 1rem}</style>"
        f"<h1>Crypto MCP {crypto_mcp.__version__}</h1>"
        "<p>An MCP client connects to <code>/mcp</code>. People and programs read <a href=/docs>/docs</a>, "
        "<a href=/v1/kinds>/v1/kinds</a> and <a href=/health>/health</a>.</p>"
        f"<ul>{rows}</ul>"
    )

    async def page() -> HTMLResponse:
        return HTMLResponse(text)

    return page
