"""MCP tools: every kind of the catalogue that is offered to clients, and three that go on with a job."""

from __future__ import annotations

import secrets
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ImageContent,
    InputRequiredResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)
from pydantic import Field, ValidationError
from structlog.contextvars import bound_contextvars, get_contextvars

from crypto_mcp.access.identity import current
from crypto_mcp.errors import CryptoMcpError, InvalidRequest
from crypto_mcp.models.answers import Contract
from crypto_mcp.server.answering import checked, longest_wait
from crypto_mcp.server.confirmation import confirm
from crypto_mcp.server.drawing import Charts, file_steps, png_of, wants_chart
from crypto_mcp.server.mcp_logging import tell
from crypto_mcp.server.outcome import standing
from crypto_mcp.server.problems import surprise
from crypto_mcp.server.schemas import PAGE, answer_inputs, answer_outline, input_schema, tool_input
from crypto_mcp.server.tool_answers import ASKED, WHOLE, Asked, as_tool_result, ended, in_full, refusal
from crypto_mcp.validation import explain

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from mcp.server.context import ServerRequestContext

    from crypto_mcp.job_kind import Catalogue, JobKind
    from crypto_mcp.models.answers import JobRecord, Progress
    from crypto_mcp.server.answering import OnProgress
    from crypto_mcp.server.drawing import Drawing
    from crypto_mcp.server.front import Front
    from crypto_mcp.server.outcome import Outcome
    from crypto_mcp.settings import ServerSettings

Call: TypeAlias = "Callable[[ServerRequestContext[Front], dict[str, Any]], Awaitable[CallToolResult]]"


class _JobId(Contract):
    job_id: str = Field(min_length=1, max_length=64)


class Tools:
    """Lists and calls the tools."""

    def __init__(self, catalogue: Catalogue, settings: ServerSettings) -> None:
        self._default_wait = settings.default_wait
        self._longest_wait = longest_wait(settings)
        self._catalogue = catalogue
        self._charts = Charts(catalogue)
        self._kinds = {kind.name: kind for kind in catalogue.tools()}
        self._tools = {tool.name: tool for tool in self._job_tools()}
        for name, kind in self._kinds.items():
            if name in self._tools or set(ASKED) & kind.params.model_fields.keys():
                raise ValueError(f"{name} has the name of a job tool, or one of {ASKED} as a parameter of its own")
        self._calls: dict[str, Call] = {
            **{name: partial(self._call_kind, kind) for name, kind in self._kinds.items()},
            "job_status": self._job_status,
            "job_result": self._job_result,
            "job_cancel": self._job_cancel,
            "again": self._again,
        }

    @property
    def by_name(self) -> dict[str, Tool]:
        """All of them, in the order in which they are listed."""
        return {name: self._tool(name) for name in self._calls}

    def input_schema(self, name: str) -> Mapping[str, Any] | None:
        """The input schema of a tool, for the SDK to check headers against."""
        return self._tool(name).input_schema if name in self._calls else None

    async def listed(self, _: ServerRequestContext[Front], __: PaginatedRequestParams | None) -> ListToolsResult:
        """All tools, on one page."""
        return ListToolsResult(tools=list(self.by_name.values()))

    async def call(
        self, ctx: ServerRequestContext[Front], params: CallToolRequestParams
    ) -> CallToolResult | InputRequiredResult:
        """Calls a tool. What goes wrong is told in the result, where a model can read it."""
        call = self._calls.get(params.name)
        if call is None:
            raise MCPError(INVALID_PARAMS, f"Unknown tool: {params.name[:80]}", {"tools": list(self._calls)})
        request_id = get_contextvars().get("request_id") or secrets.token_hex(8)  # stdio has none of its own
        with bound_contextvars(request_id=request_id):
            try:
                await ctx.lifespan_context.callers.rates.charge(current(), None)
                arguments = dict(params.arguments or {})
                asked = await self._confirmed(ctx, params, arguments)
                return asked or await call(ctx, arguments)
            except CryptoMcpError as error:
                return refusal(error)
            except Exception as error:  # noqa: BLE001 - the last line: the log has the cause, the client a reference
                return refusal(surprise(error))

    async def _confirmed(
        self, ctx: ServerRequestContext[Front], params: CallToolRequestParams, arguments: dict[str, Any]
    ) -> InputRequiredResult | None:
        """None to go on; else what has the client ask its user first."""
        kind = self._kinds.get(params.name)
        if kind is None or kind.destroys is None:
            return None
        question = kind.destroys(checked(kind, {name: arguments[name] for name in arguments if name not in ASKED}))
        return None if question is None else await confirm(ctx, question, params.input_responses)

    async def _call_kind(
        self, kind: JobKind[Any, Any], ctx: ServerRequestContext[Front], arguments: dict[str, Any]
    ) -> CallToolResult:
        front, trace = ctx.lifespan_context, get_contextvars()["request_id"]
        asked = self._asked(arguments)
        completed = await front.callers.sessions.completed(current().client, kind, arguments)
        if not asked.fields and in_full(completed):
            asked = replace(asked, fields=WHOLE)
        outcome = await front.answering.call(kind, completed, wait=asked.wait, trace=trace, on_progress=_reporter(ctx))
        await tell(ctx, kind.name, outcome)
        answer = self._answer(outcome, asked, kind, arguments)
        if outcome.result is not None and wants_chart(kind, arguments):
            drawing = self._charts.of_result(kind.name, outcome.result)
            answer.content.append(await self._picture(ctx, drawing, asked.wait, trace))
        return answer

    async def _picture(
        self, ctx: ServerRequestContext[Front], drawing: Drawing, wait: float, trace: str
    ) -> ImageContent | TextContent:
        """The picture, or why there is none: the answer stands without it."""
        try:
            outcome = await self._charts.draw(ctx.lifespan_context.answering, drawing, wait=wait, trace=trace)
        except CryptoMcpError as error:
            return TextContent(type="text", text=f"No chart: {error.message}")
        if (png := png_of(outcome)) is not None:
            return ImageContent(type="image", data=png, mime_type="image/png")
        reason = outcome.error.message if outcome.error else "it is still being drawn; call again"
        return TextContent(type="text", text=f"No chart: {reason}")

    async def _again(self, ctx: ServerRequestContext[Front], arguments: dict[str, Any]) -> CallToolResult:
        about_the_answer = {name: arguments.pop(name) for name in ASKED if name in arguments}
        changes = arguments.pop("changes", {})
        if arguments or not isinstance(changes, dict):
            raise InvalidRequest(
                "again takes `changes`, an object, `wait`, `fields` and `page`", hint='{"changes": {"symbol": "ETH"}}'
            )
        kind, repeated = await ctx.lifespan_context.callers.sessions.repeated(current().client, changes)
        return await self._call_kind(kind, ctx, repeated | about_the_answer)

    async def _job_status(self, ctx: ServerRequestContext[Front], arguments: dict[str, Any]) -> CallToolResult:
        record = await ctx.lifespan_context.answering.status(_job_id(arguments))
        return self._standing(record)

    async def _job_result(self, ctx: ServerRequestContext[Front], arguments: dict[str, Any]) -> CallToolResult:
        asked = self._asked(arguments)
        outcome = await ctx.lifespan_context.answering.result(
            _job_id(arguments), wait=asked.wait, on_progress=_reporter(ctx)
        )
        return self._answer(outcome, asked, self._catalogue[outcome.of_kind] if outcome.of_kind else None)

    async def _job_cancel(self, ctx: ServerRequestContext[Front], arguments: dict[str, Any]) -> CallToolResult:
        record = await ctx.lifespan_context.answering.cancel(_job_id(arguments))
        return self._standing(record)

    def _asked(self, arguments: dict[str, Any]) -> Asked:
        return Asked.taken(arguments, self._default_wait, self._longest_wait)

    def _answer(
        self, outcome: Outcome, asked: Asked, kind: JobKind[Any, Any] | None, arguments: Mapping[str, Any] | None = None
    ) -> CallToolResult:
        if outcome.result is not None and kind is not None:
            return as_tool_result(ended(kind, outcome, asked, arguments, file_steps(kind, outcome.result)))
        steps = [] if outcome.status.finished else [self._result_step(outcome.job_id, asked.argument())]
        return as_tool_result(outcome.to_json(steps), failed=outcome.failed)

    def _standing(self, record: JobRecord) -> CallToolResult:
        outcome = standing(record)
        return as_tool_result(outcome.to_json([] if outcome.failed else [self._result_step(record.job_id, {})]))

    def _result_step(self, job_id: str | None, wanted: Mapping[str, Any]) -> dict[str, Any]:
        arguments = {"job_id": job_id, "wait": self._default_wait, **wanted}
        return {"tool": "job_result", "arguments": arguments, "why": "waits for the result"}

    def _tool(self, name: str) -> Tool:
        """Kept once it was asked for: a process that has not been asked yet starts sooner."""
        if name not in self._tools:
            self._tools[name] = self._kind_tool(self._kinds[name])
        return self._tools[name]

    def _kind_tool(self, kind: JobKind[Any, Any]) -> Tool:
        example = f" Example: {orjson.dumps(dict(kind.example)).decode()}" if kind.example else ""
        return Tool(
            name=kind.name,
            title=kind.title,
            description=kind.summary + example,
            input_schema=tool_input(kind, self._default_wait),
            output_schema=answer_outline(),
            annotations=ToolAnnotations(
                read_only_hint=kind.read_only,
                destructive_hint=None if kind.read_only else kind.destroys is not None,
                idempotent_hint=None if kind.read_only else False,
                open_world_hint=True,
            ),
        )

    def _job_tools(self) -> list[Tool]:
        by_id = input_schema(_JobId)
        waiting = input_schema(_JobId)
        waiting["properties"] |= answer_inputs(self._default_wait) | {PAGE: {"type": "integer"}}
        return [
            Tool(
                name="job_status",
                title="Status of a job",
                description="Whether a job is finished: state, progress, attempts and timings, without its result.",
                input_schema=by_id,
                annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False),
            ),
            Tool(
                name="job_result",
                title="Result of a job",
                description="Waits for a job and returns its answer, as the tool that started it would have.",
                input_schema=waiting,
                output_schema=answer_outline(),
                annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False),
            ),
            Tool(
                name="job_cancel",
                title="Cancel a job",
                description="Stops a job that waits or runs. Ending a call that waits does not stop its job.",
                input_schema=by_id,
                annotations=ToolAnnotations(
                    read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False
                ),
            ),
            Tool(
                name="again",
                title="Repeat the last call",
                description='Repeats your last call with some parameters changed, such as {"symbol": "ETH"}.',
                input_schema={
                    "type": "object",
                    "properties": {"changes": {"type": "object"}, **answer_inputs(self._default_wait)},
                },
                output_schema=answer_outline(),
                annotations=ToolAnnotations(read_only_hint=True, open_world_hint=True),
            ),
        ]


def _job_id(arguments: dict[str, Any]) -> str:
    try:
        return _JobId.model_validate(arguments).job_id
    except ValidationError as error:
        raise InvalidRequest(explain(error), hint="Give the job_id of an answer.") from None


def _reporter(ctx: ServerRequestContext[Front]) -> OnProgress:
    """Passes a job's progress on; the protocol wants every notification to be ahead of the one before."""
    reported = -1.0

    async def report(progress: Progress) -> None:
        nonlocal reported
        if progress.fraction > reported:
            reported = progress.fraction
            await ctx.session.report_progress(progress.fraction, 1.0, progress.words or None)

    return report
