"""What a call asks of its answer (how long to wait, what to tell), and the answer as a tool gives it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from cachetools import LRUCache
from mcp.types import CallToolResult, TextContent

from crypto_mcp.errors import CryptoMcpError, InvalidRequest
from crypto_mcp.models.answers import ErrorBody, JobState
from crypto_mcp.server.brief import EVERYTHING, Told, brief, chosen
from crypto_mcp.server.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from crypto_mcp.job_kind import JobKind

ASKED = ("wait", "fields", "page")
"""Arguments of a tool that are not parameters of its kind."""

_told: LRUCache[bytes, Told] = LRUCache(200)
"""What the same call was told before: of a cached answer, finding what to leave out is most of the work."""

_LONGEST_REPEATED = 400
"""Characters of arguments that the answer of a call repeats to say how to get more."""


@dataclass(frozen=True, slots=True)
class Asked:
    """How long to wait, in seconds, and which fields to tell: those a default answer has, if none are named."""

    wait: float
    fields: tuple[str, ...] = ()
    page: int = 1

    @classmethod
    def taken(cls, arguments: dict[str, Any], default_wait: float, longest_wait: float) -> Asked:
        """Takes them out of the arguments. `InvalidRequest` says what is wrong with one."""
        wait, fields, page = (arguments.pop(name, None) for name in ASKED)
        if wait is None:
            wait = default_wait
        if isinstance(wait, bool) or not isinstance(wait, (int, float)) or not wait >= 0:
            raise InvalidRequest("wait: must be a number of seconds", hint="Leave it out, or give 0 or more.")
        names = fields.replace(",", " ").split() if isinstance(fields, str) else [] if fields is None else fields
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InvalidRequest("fields: must be names of fields", hint="Such as `data,rows`, or * for all.")
        page = 1 if page is None else page
        if isinstance(page, bool) or not isinstance(page, int) or page < 1:
            raise InvalidRequest("page: must be a number from 1", hint="Leave it out for the first.")
        return cls(float(min(wait, longest_wait)), tuple(names), page)

    def argument(self) -> dict[str, Any]:
        """The fields as arguments of a call that goes on."""
        return {"fields": ",".join(self.fields)} if self.fields else {}


def ended(
    kind: JobKind[Any, Any], outcome: Outcome, asked: Asked, arguments: Mapping[str, Any] | None,
    steps: Sequence[Mapping[str, Any]],
) -> bytes:  # fmt: skip
    """The answer of a job that is done. `arguments` are those by which the same call can be made again."""
    assert outcome.result is not None
    result = outcome.result

    def envelope(told: Told) -> bytes:
        more = [] if not told.left else [_more_step(kind, outcome, asked, arguments, told)]
        return outcome.to_json([*steps, *more], told=orjson.dumps(told.result), more=told.more)

    if asked.fields:
        return envelope(chosen(kind, result, list(asked.fields), asked.page))
    call = hashlib.blake2b(b"\0".join((kind.name.encode(), orjson.dumps([arguments, steps]), result))).digest()
    told = _told.get(call)
    if told is None:
        told = _told[call] = brief(kind, result, envelope)
    return envelope(told)


def _more_step(
    kind: JobKind[Any, Any], outcome: Outcome, asked: Asked, arguments: Mapping[str, Any] | None, told: Told
) -> dict[str, Any]:
    """The call that gets more of one field of which there is more, of rows rather than of anything else."""
    wanted: dict[str, Any] = {"fields": max(told.left, key=lambda name: bool(told.left[name]))}
    if asked.fields:
        wanted = {**asked.argument(), "page": asked.page + 1}
    why = "the next page" if asked.fields else "one of `more`; several: a,b"
    if outcome.job_id is not None:
        return {"tool": "job_result", "arguments": {"job_id": outcome.job_id, **wanted}, "why": why}
    repeated = dict(arguments or {})
    if len(orjson.dumps(repeated)) > _LONGEST_REPEATED:
        repeated, why = {}, f"added to the same arguments: {why}"
    return {"tool": kind.name, "arguments": {**repeated, **wanted}, "why": why}


def as_tool_result(answer: bytes, *, failed: bool = False) -> CallToolResult:
    """An envelope as structured content, and the same as text: a client gives its model one of the two."""
    return CallToolResult(
        content=[TextContent(type="text", text=answer.decode())],
        structured_content=orjson.loads(answer),
        is_error=failed,
    )


def refusal(error: CryptoMcpError) -> CallToolResult:
    """An error where a model can read it."""
    return as_tool_result(Outcome(JobState.FAILED, error=ErrorBody.of(error)).to_json(), failed=True)


def in_full(arguments: Any) -> bool:
    """Whether parameters ask for everything that their kind can tell."""
    return isinstance(arguments, dict) and arguments.get("detail") == "full"


WHOLE = (EVERYTHING,)
