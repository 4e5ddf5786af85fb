"""What a job kind is: the contract by which tools, routes, workers, caches and docs treat every kind alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel

from crypto_mcp.errors import UnknownKind
from crypto_mcp.models.answers import LOCAL

ParamsT = TypeVar("ParamsT", bound=BaseModel)
ResultT = TypeVar("ResultT", bound=BaseModel)

ListName = Literal["analysis:queue", "backtest:queue", "alerts:pending", "notifications:queue"]
LISTS: tuple[ListName, ...] = ("analysis:queue", "backtest:queue", "alerts:pending", "notifications:queue")


@dataclass(frozen=True, slots=True)
class CacheRule(Generic[ParamsT, ResultT]):
    """Where an answer is cached and for how long.

    Attributes:
        key: Redis key of db 0 for given parameters; None where their answer is never cached.
        ttl: seconds, at most.
        good_for: seconds the result stays true, where that can be shorter than `ttl` (a bar closes).
        collection: MongoDB collection that keeps the result, or None.
        in_memory: whether front ends keep it in their memory too; not where a change may end it early.
    """

    key: Callable[[ParamsT], str | None]
    ttl: int
    good_for: Callable[[ResultT], float] | None = None
    collection: str | None = None
    in_memory: bool = True

    def seconds(self, result: ResultT) -> int:
        """TTL of this result; 0 means that it is out of date already and is not cached."""
        return self.ttl if self.good_for is None else max(0, min(self.ttl, int(self.good_for(result))))


@dataclass(frozen=True, slots=True)
class JobKind(Generic[ParamsT, ResultT]):
    """One kind of job.

    Attributes:
        name: also the name of its MCP tool and REST route.
        list: Redis list its jobs travel on.
        params, result: pydantic models, the contract.
        handler: `module:coroutine` taking `(job, params)` and returning a `result`, imported by workers only.
        title, summary: for people and models choosing a tool.
        example: parameters that work.
        timeout: seconds one attempt may take.
        max_tries: attempts before the job is dead, crashes of workers included.
        cache: how its answer is cached, or None.
        scope: area and `read`, what a client's key must allow; `write` instead for parameters that change something.
        cost: units of a client's rate limit that a call takes when no cache has its answer.
        tool: whether it is offered to clients; internal kinds are not.
        read_only: whether it changes nothing that a user owns.
        owned: whether answers belong to the client that asked; they are then neither shared with nor cached for others.
        changes: of a kind that is not read-only, which parameters change something; all, if None.
        chart: of a kind whose results can be drawn, the parameters of the job that draws one; the result is given as
            the JSON it is stored as.
        drawn_by: the kind of that job.
        resource: address of its answers as MCP resources, parameters in braces: `analyses/{symbol}/{timeframe}`.
        destroys: of parameters that cannot be taken back, what to ask the user before; None for others.
        files: names under /v1/jobs/{backtest_job_id}/ that tell more of a result.
    """

    name: str
    list: ListName
    params: type[ParamsT]
    result: type[ResultT]
    handler: str
    title: str
    summary: str
    example: Mapping[str, Any] = field(default_factory=dict)
    timeout: float = 30.0
    max_tries: int = 5
    cache: CacheRule[ParamsT, ResultT] | None = None
    scope: str = "market:read"
    cost: int = 1
    tool: bool = True
    read_only: bool = True
    owned: bool = False
    changes: Callable[[ParamsT], bool] | None = None
    chart: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
    drawn_by: str = "draw_chart"
    resource: str = ""
    destroys: Callable[[ParamsT], str | None] | None = None
    files: tuple[str, ...] = ()

    def shareable(self, params: ParamsT) -> bool:
        """Whether equal requests are one: reading twice is reading once, depositing twice is not."""
        return self.read_only or (self.changes is not None and not self.changes(params))

    def scope_of(self, params: ParamsT) -> str:
        """What a client needs to ask this."""
        return self.scope if self.shareable(params) else f"{self.scope.partition(':')[0]}:write"

    def cache_key(self, params: ParamsT, client: str) -> str | None:
        """The key under which this client finds the answer; None where it is not cached."""
        key = self.cache.key(params) if self.cache is not None and self.shareable(params) else None
        foreign = self.owned and client not in ("", LOCAL)
        return f"{key}:of:{client}" if key is not None and foreign else key


class Catalogue:
    """The kinds a process knows, by name."""

    def __init__(self, kinds: tuple[JobKind[Any, Any], ...]) -> None:
        self._kinds = {kind.name: kind for kind in kinds}
        if len(self._kinds) != len(kinds):
            raise ValueError("two job kinds have one name")

    def __iter__(self) -> Iterator[JobKind[Any, Any]]:
        return iter(self._kinds.values())

    def __getitem__(self, name: str) -> JobKind[Any, Any]:
        """The kind of that name, or `UnknownKind` with the nearest names."""
        try:
            return self._kinds[name]
        except KeyError:
            near = get_close_matches(name, self._kinds, n=3)
            known = f"Did you mean {' or '.join(near)}?" if near else f"Known kinds: {', '.join(self._kinds)}."
            raise UnknownKind(f"there is no job kind {name[:80]!r}", hint=known) from None

    def on(self, *lists: str) -> list[JobKind[Any, Any]]:
        """The kinds that travel on these lists."""
        return [kind for kind in self if kind.list in lists]

    def tools(self) -> list[JobKind[Any, Any]]:
        """The kinds that clients may call."""
        return [kind for kind in self if kind.tool]
