"""MCP resources under `crypto://`: what a kind answers for an address, the contracts, the condition language."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import orjson
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    BlobResourceContents,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    TextResourceContents,
)
from structlog.contextvars import get_contextvars

from crypto_mcp.access.identity import current
from crypto_mcp.server.reference_pages import LanguagePages, contract, contract_part
from crypto_mcp.server.tool_answers import Asked, ended

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mcp.server.context import ServerRequestContext
    from mcp.types import PaginatedRequestParams, ReadResourceRequestParams

    from crypto_mcp.job_kind import Catalogue, JobKind
    from crypto_mcp.server.front import Front

SCHEME = "crypto://"
_JSON, _MARKDOWN, _PNG = "application/json", "text/markdown", "image/png"
_VARIABLE = re.compile(r"\\\{(\w+)\\\}")


@dataclass(frozen=True, slots=True)
class _Place:
    """A resource, or all that a template names. `read` is given the values of the template's variables."""

    template: str
    title: str
    description: str
    media_type: str
    read: Callable[[ServerRequestContext[Front], dict[str, str]], Awaitable[str]]

    @property
    def uri(self) -> str:
        """With its scheme."""
        return SCHEME + self.template

    def match(self, uri: str) -> dict[str, str] | None:
        """The values that an address has for the variables; None if it is not of this place."""
        pattern = _VARIABLE.sub(r"(?P<\1>[^/?#]+)", re.escape(self.uri))
        found = re.fullmatch(pattern, uri)
        return None if found is None else {name: unquote(value) for name, value in found.groupdict().items()}


class Resources:
    """Lists and reads them."""

    def __init__(self, catalogue: Catalogue, default_wait: float) -> None:
        self._wait = default_wait
        self._kinds = {kind.name: kind for kind in catalogue.tools()}
        self.places = [
            _Place(
                "conditions", "Condition language", "How alerts, screens and strategies say what they wait for.",
                _MARKDOWN, self._conditions,
            ),
            _Place(
                "conditions/{group}", "Words of the condition language", "Arguments and examples of a group of words.",
                _MARKDOWN, self._words,
            ),
            _Place("kinds/{kind}", "Contract", "Parameters and results of a tool, in short.", _JSON, self._contract),
            _Place(
                "kinds/{kind}/{part}", "Whole contract", "The schema of a tool's `params` or `result`.", _JSON,
                self._contract_part,
            ),
            _Place("jobs/{job_id}", "Job", "State and progress of a job.", _JSON, _job),
            *(self._of_kind(kind) for kind in catalogue if kind.resource),
        ]  # fmt: skip

    @cached_property
    def _language(self) -> LanguagePages:
        return LanguagePages()

    async def listed(self, _: ServerRequestContext[Front], __: PaginatedRequestParams | None) -> ListResourcesResult:
        """Those without variables, and the contract of each tool."""
        whole = [(place, place.uri, place.title) for place in self.places if "{" not in place.template]
        contract = next(place for place in self.places if place.template == "kinds/{kind}")
        whole += [(contract, f"{SCHEME}kinds/{name}", f"Contract of {name}") for name in self._kinds]
        return ListResourcesResult(
            resources=[
                Resource(
                    uri=uri, name=uri.removeprefix(SCHEME), title=title, description=place.description,
                    mime_type=place.media_type,
                )
                for place, uri, title in whole
            ]
        )  # fmt: skip

    async def templates(
        self, _: ServerRequestContext[Front], __: PaginatedRequestParams | None
    ) -> ListResourceTemplatesResult:
        """Those with variables."""
        return ListResourceTemplatesResult(
            resource_templates=[
                ResourceTemplate(
                    uri_template=place.uri, name=place.template.partition("/")[0], title=place.title,
                    description=place.description, mime_type=place.media_type,
                )
                for place in self.places
                if "{" in place.template
            ]
        )  # fmt: skip

    async def read(self, ctx: ServerRequestContext[Front], params: ReadResourceRequestParams) -> ReadResourceResult:
        """What is at an address. What takes time is waited for as a tool would; JSON says how its job stands."""
        uri = str(params.uri)
        for place in self.places:
            values = place.match(uri)
            if values is not None:
                await ctx.lifespan_context.callers.rates.charge(current(), None)
                said = await place.read(ctx, values)
                if place.media_type == _PNG and not said.startswith("{"):
                    return ReadResourceResult(contents=[BlobResourceContents(uri=uri, mime_type=_PNG, blob=said)])
                media_type = _JSON if place.media_type == _PNG else place.media_type
                return ReadResourceResult(contents=[TextResourceContents(uri=uri, mime_type=media_type, text=said)])
        raise not_found(uri)

    def _of_kind(self, kind: JobKind[Any, Any]) -> _Place:
        drawn = "png" in kind.result.model_fields

        async def read(ctx: ServerRequestContext[Front], values: dict[str, str]) -> str:
            trace = get_contextvars().get("request_id") or secrets.token_hex(8)
            outcome = await ctx.lifespan_context.answering.call(kind, values, wait=self._wait, trace=trace)
            if drawn and outcome.result is not None:
                return str(orjson.loads(outcome.result)["png"])
            if outcome.result is None:
                return outcome.to_json().decode()
            return ended(kind, outcome, Asked(self._wait), values, ()).decode()

        return _Place(kind.resource, kind.title, kind.summary, _PNG if drawn else _JSON, read)

    async def _conditions(self, _: ServerRequestContext[Front], __: dict[str, str]) -> str:
        return self._language.start

    async def _words(self, _: ServerRequestContext[Front], values: dict[str, str]) -> str:
        return _found(self._language.pages.get(values["group"]), f"conditions/{values['group']}")

    async def _contract(self, _: ServerRequestContext[Front], values: dict[str, str]) -> str:
        kind = self._kinds.get(values["kind"])
        said = None if kind is None else orjson.dumps(contract(kind, self._wait)).decode()
        return _found(said, f"kinds/{values['kind']}")

    async def _contract_part(self, _: ServerRequestContext[Front], values: dict[str, str]) -> str:
        kind = self._kinds.get(values["kind"])
        said = None if kind is None else contract_part(kind, values["part"])
        return _found(said, f"kinds/{values['kind']}/{values['part']}")


def _found(said: str | None, place: str) -> str:
    if said is None:
        raise not_found(f"{SCHEME}{place}")
    return said


def not_found(uri: str) -> MCPError:
    """There is nothing at this address."""
    return MCPError(INVALID_PARAMS, f"Resource not found: {uri[:200]}", {"uri": uri[:200]})


async def _job(ctx: ServerRequestContext[Front], values: dict[str, str]) -> str:
    record = await ctx.lifespan_context.answering.status(values["job_id"])
    return record.model_dump_json(exclude_none=True)
