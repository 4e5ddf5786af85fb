"""Kinds of jobs for tests of the front end, and their handlers, run by the real worker in the test's own process."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from pydantic import Field

from crypto_mcp.errors import InvalidRequest, NotEnoughData, SourceUnavailable
from crypto_mcp.job_kind import CacheRule, Catalogue, JobKind
from crypto_mcp.models.answers import Contract

if TYPE_CHECKING:
    from workers.job import Job

ran: Counter[str] = Counter()
"""How often each text was worked on."""

gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
"""A gated job goes on when its gate is set."""


class Words(Contract):
    text: str = Field(min_length=1, max_length=200, description="Anything.")
    times: int = Field(1, ge=1, le=10)


class Echo(Contract):
    text: str
    length: int


async def echo(job: Job, params: Words) -> Echo:
    """Says it back."""
    ran[params.text] += 1
    return Echo(text=params.text * params.times, length=len(params.text) * params.times)


async def gated(job: Job, params: Words) -> Echo:
    """Reports progress, then waits for its gate."""
    await job.progress(0.25, "before the gate")
    await gates[params.text].wait()
    await job.progress(1.0, "behind the gate")
    return await echo(job, params)


class OnlyWorkersKnow(InvalidRequest):
    """An error that is declared where no front end imports it."""

    code = "only_workers_know"
    http_status = 409


async def failing(job: Job, params: Words) -> Echo:
    """Fails in the way its text says."""
    match params.text:
        case "bad":
            raise NotEnoughData("too few bars", hint="Ask for another symbol.")
        case "odd":
            raise OnlyWorkersKnow("no front end has heard of this", hint="Yet it answers.")
        case "away":
            raise SourceUnavailable("the exchange does not answer", hint="Wait.", retry_after=3)
        case _:
            raise RuntimeError("a secret of the inside")


def _kind(name: str, **more: object) -> JobKind[Words, Echo]:
    options = {"example": {"text": "hello"}} | more
    return JobKind(
        name=name,
        list="analysis:queue",
        params=Words,
        result=Echo,
        handler=f"tests.server.kinds:{options.pop('handler', name)}",
        title=name.title(),
        summary=f"The {name} kind.",
        **options,  # type: ignore[arg-type]
    )


def _key(prefix: str) -> CacheRule[Words, Echo]:
    return CacheRule(key=lambda params: f"{prefix}:{params.text}:{params.times}", ttl=60)


KINDS = (
    _kind("echo", cache=_key("echo"), resource="echoes/{text}/{times}"),
    _kind("kept", handler="echo", cache=CacheRule(key=_key("kept").key, ttl=60, collection="echoes")),
    _kind("uncached", handler="echo"),
    _kind("gated"),
    _kind("failing", max_tries=1),
    _kind("wipe", handler="echo", read_only=False, destroys=lambda params: f"Wipe {params.text}?"),
    _kind("internal", handler="echo", tool=False),
)
CATALOGUE = Catalogue(KINDS)
