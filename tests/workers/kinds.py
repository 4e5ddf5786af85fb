"""Kinds of jobs for tests of the worker: each misbehaves in one way."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

from arq.worker import Retry
from pydantic import BaseModel

from crypto_mcp.errors import InvalidRequest, SourceUnavailable
from crypto_mcp.job_kind import CacheRule, Catalogue, JobKind
from workers.children import run_in_child
from workers.job import Job

LIST = "analysis:queue"


class Ask(BaseModel, extra="forbid"):
    """What a test job is told."""

    n: int = 0
    seconds: float = 0.0
    times: int = 0
    file: str = ""
    size: int = 0


class Told(BaseModel):
    """What it answers."""

    n: int = 0
    attempt: int = 0
    text: str = ""


def note(params: Ask, line: str) -> None:
    """Leaves a line outside the queue: an effect that can be counted."""
    if params.file:
        with Path(params.file).open("a") as file:
            file.write(line + "\n")


async def quick(job: Job, params: Ask) -> Told:
    note(params, f"{job.id} {job.attempt} {os.getpid()}")
    return Told(n=params.n, attempt=job.attempt, text="x" * params.size)


async def slow(job: Job, params: Ask) -> Told:
    note(params, f"{job.id} {job.attempt} {os.getpid()}")
    await asyncio.sleep(params.seconds)
    return Told(n=params.n, attempt=job.attempt)


async def flaky(job: Job, params: Ask) -> Told:
    """Fails in passing for the first `times` attempts."""
    note(params, f"{job.id} {job.attempt}")
    if job.attempt <= params.times:
        raise SourceUnavailable("not now", hint="Later.")
    return Told(n=params.n, attempt=job.attempt)


async def refusing(_: Job, __: Ask) -> Told:
    raise InvalidRequest("no such thing", hint="Ask for another.")


async def surprising(_: Job, __: Ask) -> Told:
    raise ZeroDivisionError("a secret of the inside")


async def asking_again(job: Job, params: Ask) -> Told:
    if job.attempt == 1:
        raise Retry(defer=params.seconds)
    return Told(attempt=job.attempt)


async def killing(job: Job, params: Ask) -> Told:
    """Kills its worker."""
    note(params, f"{job.id} {job.attempt}")
    os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.sleep(60)
    return Told()


async def progressing(job: Job, params: Ask) -> Told:
    await job.progress(0.5, "half way")
    await asyncio.sleep(params.seconds)
    return Told()


async def lying(_: Job, __: Ask) -> Told:
    return Ask()  # type: ignore[return-value]


async def unspeakable(_: Job, params: Ask) -> Told:
    """Bytes of a file name, as Python reads them: no UTF-8, so no JSON."""
    if params.n:
        raise InvalidRequest("no file \udcff", hint="\udcff")
    return Told(text="\udcff")


def _spin(seconds: float, file: str) -> int:
    Path(file).write_text(str(os.getpid()))
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass
    return os.getpid()


async def computing(_: Job, params: Ask) -> Told:
    """Keeps a core busy in a child process."""
    return Told(n=await run_in_child(_spin, params.seconds, params.file))


def _kind(name: str, **options: object) -> JobKind[Ask, Told]:
    return JobKind(
        name=name, list=LIST, params=Ask, result=Told, handler=f"tests.workers.kinds:{name}", title=name, summary=name,
        **{"timeout": 60.0, "max_tries": 3, **options},  # type: ignore[arg-type]
    )  # fmt: skip


QUICK, SLOW, FLAKY, REFUSING = _kind("quick"), _kind("slow"), _kind("flaky"), _kind("refusing")
SURPRISING, ASKING_AGAIN, KILLING = _kind("surprising"), _kind("asking_again"), _kind("killing")
PROGRESSING, LYING, COMPUTING = _kind("progressing"), _kind("lying"), _kind("computing")
UNSPEAKABLE = _kind("unspeakable")
HASTY = JobKind("hasty", LIST, Ask, Told, "tests.workers.kinds:slow", "hasty", "hasty", timeout=0.2, max_tries=2)
CACHED = JobKind(
    "cached", LIST, Ask, Told, "tests.workers.kinds:slow", "cached", "cached",
    cache=CacheRule(key=lambda p: f"cached:{p.n}", ttl=90),
)  # fmt: skip

CATALOGUE = Catalogue((
    QUICK, SLOW, FLAKY, REFUSING, SURPRISING, ASKING_AGAIN, KILLING, PROGRESSING, LYING, UNSPEAKABLE, COMPUTING, HASTY,
    CACHED,
))  # fmt: skip
