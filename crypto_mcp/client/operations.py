"""What a client can ask of a front end, as exchanges: the blocking and the asynchronous client drive the same."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar
from urllib.parse import quote

import orjson
from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from crypto_mcp.client.exchange import Call, Exchange, Pause, Retrying, sent
from crypto_mcp.client.problems import error_of, problem_of
from crypto_mcp.errors import InternalError, TimedOut
from crypto_mcp.job_kind import JobKind, ResultT
from crypto_mcp.models.answers import Answer, JobRecord
from crypto_mcp.models.rest import (
    LARGEST_BATCH,
    AnalysisList,
    DeadLetterList,
    Erased,
    JobList,
    KindList,
    Replayed,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import httpx2

    from crypto_mcp.job_kind import ListName
    from crypto_mcp.models.rest import DeadLetter, Kind, StoredAnalysis

ModelT = TypeVar("ModelT", bound=BaseModel)
PageT = TypeVar("PageT", JobList, AnalysisList)
ItemT = TypeVar("ItemT")
AnyKind: TypeAlias = "JobKind[Any, Any] | str"
"""A kind of the catalogue, whose results are its models, or the name of one, whose results are plain JSON."""

Params: TypeAlias = "BaseModel | Mapping[str, Any]"

_LONG_POLL = 20.0
_LONG = 600.0
"""Seconds that giving out or erasing a user may take."""
_QUICK = 0.25
"""A long poll that comes back sooner than this was not held, so that the next one waits as long."""


@dataclass(frozen=True, slots=True)
class Operations:
    """Exchanges with the front end at `url`."""

    url: str
    retrying: Retrying

    def sent(self, call: Call, until: float | None = None) -> Exchange[httpx2.Response]:
        """The response of a call, repeated where that helps."""
        return sent(call, self.url, self.retrying, until)

    def read(self, call: Call, model: type[ModelT], until: float | None = None) -> Exchange[ModelT]:
        """The response of a call as a model. Fields that a newer front end has are left out."""
        response = yield from self.sent(call, until)
        return model.model_validate_json(response.content, extra="ignore")

    def submit(
        self,
        kind: AnyKind,
        params: Params,
        *,
        wait: float,
        idempotency_key: str | None,
        callback_url: str | None,
        until: float | None = None,
    ) -> Exchange[Answer[Any]]:
        """One job."""
        key = idempotency_key or _own_key([(kind, params)])
        call = Call(
            "POST",
            job_path(_name(kind)),
            {"wait": wait, "callback_url": callback_url},
            _body(params),
            {} if key is None else {"Idempotency-Key": key},
            patience=wait,
            repeatable=key is not None or not _may_change(kind, params),
        )
        return (yield from self.read(call, _envelope(kind), until))

    def ask(self, kind: AnyKind, params: Params, *, within: float, idempotency_key: str | None) -> Exchange[Any]:
        """A job's result, once it is there."""
        until = time.monotonic() + within
        answer = yield from self.submit(
            kind, params, wait=min(_LONG_POLL, within), idempotency_key=idempotency_key, callback_url=None, until=until
        )
        if not answer.status.finished:
            assert answer.job_id is not None
            answer = yield from self.waited(answer.job_id, kind, within=within, until=until)
        return result_of(answer)

    def batch(
        self, jobs: Sequence[tuple[AnyKind, Params]], *, idempotency_key: str | None
    ) -> Exchange[list[Answer[Any]]]:
        """Many jobs, in as few requests as are allowed."""
        key, answers = idempotency_key or _own_key(jobs), []
        safe = key is not None or not any(_may_change(kind, params) for kind, params in jobs)
        for first in range(0, len(jobs), LARGEST_BATCH):
            part = jobs[first : first + LARGEST_BATCH]
            items = [{"kind": _name(kind), "params": orjson.Fragment(_body(params))} for kind, params in part]
            headers = {} if key is None else {"Idempotency-Key": f"{key}:{first}" if first else key}
            call = Call("POST", "/v1/jobs", body=orjson.dumps({"jobs": items}), headers=headers, repeatable=safe)
            response = yield from self.sent(call)
            answers += [
                _envelope(kind).model_validate_json(orjson.dumps(each), extra="ignore")
                for (kind, _), each in zip(part, orjson.loads(response.content)["answers"], strict=True)
            ]
        return answers

    def job(self, job_id: str, *, wait: float) -> Exchange[JobRecord]:
        """How a job stands."""
        return self.read(Call("GET", job_path(job_id), {"wait": wait}, patience=wait), JobRecord)

    def result(
        self, job_id: str, kind: AnyKind | None, *, wait: float, until: float | None = None
    ) -> Exchange[Answer[Any]]:
        """A job's answer, or how it stands."""
        call = Call("GET", f"{job_path(job_id)}/result", {"wait": wait}, patience=wait)
        return self.read(call, _envelope(kind), until)

    def waited(
        self, job_id: str, kind: AnyKind | None, *, within: float, until: float | None = None
    ) -> Exchange[Answer[Any]]:
        """A job's answer, once it is there; `TimedOut` if that is not within so many seconds, which began already if
        `until` (of the monotonic clock) says when they are over."""
        end = time.monotonic() + within if until is None else until
        answer = yield from _polled(
            lambda wait: self.result(job_id, kind, wait=wait, until=end + _LONG_POLL),
            lambda found: found.status.finished,
            end,
        )
        if answer.status.finished:
            return answer
        late = TimedOut(
            f"job {job_id} is still {answer.status} after {within:g} s", hint="It goes on: wait for it again by its id."
        )
        late.job_id = job_id
        raise late

    def cancel(self, job_id: str) -> Exchange[JobRecord]:
        """Tells a job to stop."""
        return self.read(Call("DELETE", job_path(job_id)), JobRecord)

    def jobs(self, kind: str | None, state: str | None, limit: int | None) -> Listing[JobList, JobRecord]:
        """Recent jobs."""
        query = {"kind": kind, "state": state, "limit": limit and min(limit, 500)}
        return Listing(self, Call("GET", "/v1/jobs", query), JobList, lambda page: page.jobs, limit)

    def analyses(self, symbol: str, timeframe: str | None, limit: int | None) -> Listing[AnalysisList, StoredAnalysis]:
        """Stored analyses of a symbol."""
        query = {"symbol": symbol, "timeframe": timeframe, "limit": limit and min(limit, 200)}
        return Listing(self, Call("GET", "/v1/analyses", query), AnalysisList, lambda page: page.analyses, limit)

    def kinds(self) -> Exchange[list[Kind]]:
        """What can be asked."""
        return (yield from self.read(Call("GET", "/v1/kinds"), KindList)).kinds

    def dead(self, list_name: ListName, limit: int) -> Exchange[list[DeadLetter]]:
        """What failed for good."""
        return (yield from self.read(Call("GET", f"/v1/dead/{list_name}", {"limit": limit}), DeadLetterList)).dead

    def replay(self, list_name: ListName, job_id: str) -> Exchange[str]:
        """Puts a dead job back; the new job's id."""
        call = Call("POST", f"{_dead_path(list_name, job_id)}/replay", repeatable=False, signed=True)
        return (yield from self.read(call, Replayed)).job_id

    def drop(self, list_name: ListName, job_id: str) -> Exchange[None]:
        """Removes a dead job."""
        yield from self.sent(Call("DELETE", _dead_path(list_name, job_id), signed=True))

    def erase(self, user_id: str) -> Exchange[Erased]:
        """Erases a user everywhere."""
        call = Call("DELETE", f"/v1/users/{quote(user_id, safe='')}", patience=_LONG, signed=True)
        return self.read(call, Erased)

    def file(self, path: str, query: Mapping[str, Any], *, within: float) -> Exchange[bytes]:
        """What a route of files answers, once it is made; `TimedOut` if that is not within so many seconds."""
        response = yield from _polled(
            lambda wait: self.sent(Call("GET", path, {**query, "wait": wait}, patience=wait)),
            lambda found: found.status_code != HTTPStatus.ACCEPTED,
            time.monotonic() + within,
        )
        if response.status_code != HTTPStatus.ACCEPTED:
            return response.content
        name = path.rpartition("/")[2]
        raise TimedOut(f"no {name} within {within:g} s", hint="Are there workers? `crypto-mcp doctor` says.")

    def health(self) -> Exchange[dict[str, Any]]:
        """What the front end can reach; also when that is not enough, which is 503."""
        response = yield from self.sent(Call("GET", "/health", answers=(200, 503)))
        try:
            said = orjson.loads(response.content)
        except ValueError:
            said = None
        if not isinstance(said, dict) or "status" not in said:
            raise problem_of(response)
        return said


def _polled(asked: Callable[[float], Exchange[ItemT]], there: Callable[[ItemT], bool], until: float) -> Exchange[ItemT]:
    """The first of what `asked`, told how many seconds to wait, answers that is there; its last answer at `until`."""
    while True:
        began = time.monotonic()
        found = yield from asked(max(0.0, min(_LONG_POLL, until - began)))
        now = time.monotonic()
        if there(found) or now >= until:
            return found
        if now - began < _QUICK:
            yield Pause(min(_QUICK, until - now))


def result_of(answer: Answer[ResultT]) -> ResultT:
    """The result of an answer that is finished; raises the error that is in its place."""
    if answer.error is not None:
        raise error_of(answer.error, answer.job_id)
    if answer.result is None:
        raise InternalError(f"the answer is {answer.status} and has no result", hint="Ask for it again.")
    return answer.result


class Listing(Generic[PageT, ItemT]):
    """A list that comes page by page, at most `limit` of it."""

    def __init__(
        self,
        operations: Operations,
        first: Call,
        model: type[PageT],
        items: Callable[[PageT], list[ItemT]],
        limit: int | None,
    ) -> None:
        self._operations = operations
        self._model: type[PageT] = model
        self._items: Callable[[PageT], list[ItemT]] = items
        self._next = first
        self._wanted = limit
        self.over = limit == 0

    def page(self) -> Exchange[list[ItemT]]:
        """The items that come next."""
        page = yield from self._operations.read(self._next, self._model)
        found = self._items(page)[: self._wanted]
        if self._wanted is not None:
            self._wanted -= len(found)
        href = page.next[0].href if page.next else None
        self.over = href is None or self._wanted == 0
        self._next = Call("GET", href or "")
        return found


def job_path(job_id: str) -> str:
    """Where a job is."""
    return f"/v1/jobs/{quote(job_id, safe='')}"


def export_call(user_id: str) -> Call:
    """Everything of a user, as lines of JSON."""
    return Call("GET", f"/v1/users/{quote(user_id, safe='')}/export", patience=_LONG, signed=True)


def _dead_path(list_name: str, job_id: str) -> str:
    return f"/v1/dead/{list_name}/{quote(job_id, safe='')}"


def _name(kind: AnyKind) -> str:
    return kind.name if isinstance(kind, JobKind) else kind


def _envelope(kind: AnyKind | None) -> type[Answer[Any]]:
    if isinstance(kind, JobKind):
        return Answer[kind.result]  # type: ignore[name-defined]  # a type that is known only now
    return Answer[Any]


def _body(params: Params) -> bytes:
    """JSON of what was set: what was not may be a preference of the session's."""
    if isinstance(params, BaseModel):
        return params.model_dump_json(exclude_unset=True).encode()
    return to_json(dict(params))


def _may_change(kind: AnyKind, params: Params) -> bool:
    """Whether a job could change something; of a kind given by its name nobody here knows."""
    if not isinstance(kind, JobKind):
        return True
    try:
        checked = params if isinstance(params, BaseModel) else kind.params.model_validate(params)
    except ValidationError:
        return not kind.read_only
    return not kind.shareable(checked)


def _own_key(jobs: Sequence[tuple[AnyKind, Params]]) -> str | None:
    """A key for jobs that change something, so that they can be sent again without changing it twice."""
    needed = any(isinstance(kind, JobKind) and _may_change(kind, params) for kind, params in jobs)
    return secrets.token_urlsafe(16) if needed else None
