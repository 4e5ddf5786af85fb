"""The protocol's scripts against a model of them, by moves in any order: lost replies, deaths, late ends included."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Coroutine, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pydantic import BaseModel
from redis.asyncio import Redis

from crypto_mcp.errors import CryptoMcpError, IdempotencyConflict, SourceUnavailable, TooManyJobs
from crypto_mcp.job_kind import Catalogue, JobKind
from crypto_mcp.jobs import envelope, keys
from crypto_mcp.jobs.client import Door, JobClient
from crypto_mcp.jobs.dead import DeadLetters, NotReplayable
from crypto_mcp.jobs.desk import Desk
from crypto_mcp.jobs.leases import Lease, return_orphans
from crypto_mcp.jobs.scripting import Scripts
from crypto_mcp.local.redis_server import RedisServer
from crypto_mcp.models.answers import JobState
from crypto_mcp.settings import QueueSettings

LIST: Final = "analysis:queue"
WORKERS = ("one", "two")
CLIENTS = ("ann", "bob")
SHARE, MOST_HELD = 2, 3
T = TypeVar("T")


class Nothing(BaseModel):
    n: int = 0


KIND = JobKind("work", LIST, Nothing, Nothing, "none:none", "work", "work", max_tries=3)
CATALOGUE = Catalogue((KIND,))
QUEUE = QueueSettings(restart_grace=0)
REFUSED = SourceUnavailable("not now")


@dataclass
class Model:
    """What the queue should hold. A job is in one place: `held:C`, `list`, `arriving:W`, `desk:W`, `dead`, none."""

    state: dict[str, JobState] = field(default_factory=dict)
    place: dict[str, str] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    cancelling: set[str] = field(default_factory=set)
    not_yet: set[str] = field(default_factory=set)  # whose retry is not due for long
    resting: set[str] = field(default_factory=set)  # which wait for others, and go on with the attempt they were in
    waiting: list[str] = field(default_factory=list)  # the list, newest first
    same: dict[int, str] = field(default_factory=dict)  # by parameters, the job that equal requests join
    idempotent: dict[str, tuple[int, str]] = field(default_factory=dict)
    pushed_as: dict[str, str] = field(default_factory=dict)  # by a letter's id, the id its pusher gave
    arriving: dict[str, list[str]] = field(default_factory=lambda: {w: [] for w in WORKERS})
    held: dict[str, list[str]] = field(default_factory=lambda: {c: [] for c in CLIENTS})  # beyond a share, newest first
    counted: dict[str, str] = field(default_factory=dict)  # by job, the client into whose share it falls

    def on_desk(self, worker: str, *states: JobState) -> list[str]:
        return sorted(j for j, p in self.place.items() if p == f"desk:{worker}" and self.state[j] in states)

    def end(self, job: str, state: JobState) -> None:
        self.state[job] = state
        self.cancelling.discard(job)
        self.not_yet.discard(job)
        self.resting.discard(job)
        self.place.pop(job)
        self.same = {n: other for n, other in self.same.items() if other != job}
        if state is JobState.DEAD:
            self.place[job] = "dead"
        if (client := self.counted.pop(job, "")) in self.held:
            self.let_through(client)

    def full(self, client: str) -> bool:
        return list(self.counted.values()).count(client) >= SHARE

    def let_through(self, client: str) -> None:
        while self.held[client] and not (self.full(client) and self.waiting):
            self.step_forward(self.held[client][-1], client)

    def step_forward(self, job: str, client: str) -> None:
        self.held[self.place[job].removeprefix("held:")].remove(job)
        self.place[job] = "list"
        self.waiting.insert(0, job)
        self.counted[job] = client

    def begin(self, job: str) -> None:
        """The next attempt; that of a job that rested is the one it was in."""
        self.attempts[job] += job not in self.resting
        self.resting.discard(job)
        self.state[job] = JobState.RUNNING

    def give_back(self, worker: str, *, uncount: bool) -> None:
        """What had arrived, then the desk's jobs, the longest held next in line."""
        for job in self.arriving[worker]:
            self.place[job] = "list"
            self.waiting.append(job)
        self.arriving[worker] = []
        for job in [j for j, p in self.place.items() if p == f"desk:{worker}"]:
            if job in self.cancelling:
                self.end(job, JobState.CANCELLED)
                continue
            if uncount and self.state[job] is JobState.RUNNING:
                self.attempts[job] -= 1
            self.state[job] = JobState.QUEUED
            self.place[job] = "list"
            self.waiting.append(job)


class QueueMachine(RuleBasedStateMachine):
    """Two workers, a client, and somebody who kills."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.numbers = itertools.count(1)
        self.model = Model()

    def do(self, call: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(call)

    def teardown(self) -> None:
        if hasattr(self, "redis"):
            self.do(self.redis.aclose())
        self.loop.close()

    @initialize()
    def open(self) -> None:
        async def connect() -> None:
            self.redis = Redis.from_url(self.url)
            await self.redis.flushall()
            scripts = Scripts(self.redis)
            self.scripts = scripts
            self.client = JobClient(self.redis, QUEUE)
            self.dead = DeadLetters(self.redis, QUEUE)
            self.desks = {w: Desk(scripts, w, 2, QUEUE) for w in WORKERS}
            self.leases = {w: Lease(self.redis, scripts, w, QUEUE) for w in WORKERS}
            for lease in self.leases.values():
                await lease.beat({})

        self.do(connect())

    # -- moves ---------------------------------------------------------------------------------------------------------

    @rule(repeated=st.booleans())
    def submit(self, repeated: bool) -> None:
        job = f"job-{next(self.numbers)}"
        for _ in range(1 + repeated):  # a submission whose reply was lost is made again
            told = self.do(self.client.submit(KIND, Nothing(n=len(self.model.state)), job_id=job, share=False))
            assert told.job_id == job
        self._queued(job)

    @rule(n=st.integers(0, 1), key=st.sampled_from([None, "a", "b"]))
    def submit_shared(self, n: int, key: str | None) -> None:
        """Of few different requests, so that many are equal; the first use of a key decides what it stands for."""
        job = f"job-{next(self.numbers)}"
        call = self.client.submit(KIND, Nothing(n=-1 - n), job_id=job, idempotency_key=key)
        asked, known = self.model.idempotent.get(key or "", (n, ""))
        if asked != n:
            with pytest.raises(IdempotencyConflict):
                self.do(call)
            return
        equal = self.model.same.get(n, "")
        expected = known or (equal if equal not in self.model.cancelling else "") or job
        told = self.do(call)
        assert (told.job_id, told.joined) == (expected, expected != job)
        if key:
            self.model.idempotent[key] = (n, expected)
        if expected == job:
            self.model.same[n] = job
            self._queued(job)
        elif self.model.place.get(expected, "").startswith("held:"):
            self.model.step_forward(expected, "")
        assert told.state is self.model.state[expected]

    @rule(client=st.sampled_from(CLIENTS), n=st.sampled_from([None, None, 0, 1]), repeated=st.booleans())
    def submit_within_a_share(self, client: str, n: int | None, repeated: bool) -> None:
        """What is beyond it waits in a list of the client's own; whoever joins that does not wait behind the client."""
        job, model = f"job-{next(self.numbers)}", self.model
        params = Nothing(n=len(model.state) if n is None else -1 - n)
        equal = model.same.get(n, "") if n is not None else ""
        if equal in model.cancelling:
            equal = ""
        options: dict[str, Any] = {"client": client, "share": n is not None, "door": Door(SHARE, MOST_HELD)}
        if not equal and len(model.held[client]) >= MOST_HELD:
            with pytest.raises(TooManyJobs):
                self.do(self.client.submit(KIND, params, job_id=job, **options))
            return
        for _ in range(1 + repeated):
            told = self.do(self.client.submit(KIND, params, job_id=job, **options))
            assert told.job_id == (equal or job)
        if equal:
            elsewhere = [other for other in CLIENTS if other != client and equal in model.held[other]]
            if elsewhere and not model.full(client):
                model.step_forward(equal, client)
            return
        if n is not None:
            model.same[n] = job
        self._queued(job)
        model.waiting.remove(job)
        model.held[client].insert(0, job)
        model.place[job] = f"held:{client}"
        model.let_through(client)

    @rule()
    def push_garbage(self) -> None:
        job = f"bad-{next(self.numbers)}"
        self.do(self.redis.lpush(LIST, json.dumps({"colour": "red", "id": job})))
        self._queued(job)

    @rule()
    def push(self) -> None:
        job = f"job-{next(self.numbers)}"
        self.do(self.redis.lpush(LIST, json.dumps({"kind": "work", "id": job, "params": {}})))
        self._queued(job)

    def _queued(self, job: str) -> None:
        self.model.state[job] = JobState.QUEUED
        self.model.place[job] = "list"
        self.model.attempts[job] = 0
        self.model.waiting.insert(0, job)

    @rule(worker=st.sampled_from(WORKERS), most=st.integers(1, 3))
    def take_some(self, worker: str, most: int) -> None:
        self.take(worker, most)

    def take(self, worker: str, most: int) -> None:
        taken = [json.loads(raw)["id"] for raw in self.do(self.desks[worker].take(LIST, most))]
        expected = [self.model.waiting.pop() for _ in range(min(most, len(self.model.waiting)))]
        assert taken == expected
        for job in taken:
            self.model.place[job] = f"arriving:{worker}"
            self.model.arriving[worker].insert(0, job)

    @precondition(lambda self: any(self.model.arriving.values()))
    @rule(data=st.data(), repeated=st.booleans(), knows=st.sampled_from([True, True, True, False]))
    def accept(self, data: st.DataObject, repeated: bool, knows: bool) -> None:
        """Or refuse: garbage, and whatever this worker does not know the kind of."""
        worker = data.draw(st.sampled_from([w for w in WORKERS if self.model.arriving[w]]))
        job = data.draw(st.sampled_from(self.model.arriving[worker]))
        self._accept(worker, job, repeated, knows)

    @precondition(lambda self: self.model.waiting)
    @rule(worker=st.sampled_from(WORKERS))
    def take_and_accept(self, worker: str) -> None:
        """What a worker does most."""
        job = self.model.waiting[-1]
        self.take(worker, 1)
        self._accept(worker, job, repeated=False, knows=True)

    def _accept(self, worker: str, job: str, repeated: bool, knows: bool) -> None:
        raw = next(r for r in self.do(self._arrivals(worker)) if json.loads(r)["id"] == job)
        if job.startswith("bad-") or not knows:
            self._refuse(worker, job, raw, repeated)
            return
        accepted = envelope.read(raw, LIST, CATALOGUE, 10_000)
        claim = self.desks[worker].claim()
        starts = [self.do(self.desks[worker].accept(raw, accepted, claim)) for _ in range(1 + repeated)]
        self.model.arriving[worker].remove(job)
        if job in self.model.cancelling:
            assert starts[0].verdict == "cancelled"
            self.model.end(job, JobState.CANCELLED)
            return
        if job in self.model.not_yet:
            assert {s.verdict for s in starts} == {"later"}
            self.model.state[job] = JobState.RETRYING
        else:
            self.model.begin(job)
            assert {(s.verdict, s.attempt) for s in starts} == {("run", self.model.attempts[job])}
        self.model.place[job] = f"desk:{worker}"

    def _refuse(self, worker: str, job: str, raw: bytes, repeated: bool) -> None:
        """The job itself is dead if there is a record of it; else its letter has an id of its own."""
        letter = f"letter-{next(self.numbers)}"
        known = self.do(self.redis.exists(keys.job(job)))
        refused = {
            self.do(self.desks[worker].refuse(raw, LIST, REFUSED, letter, "work", "")) for _ in range(1 + repeated)
        }
        assert refused - {""} == {job if known else letter}
        self.model.arriving[worker].remove(job)
        if known:
            self.model.end(job, JobState.DEAD)
            return
        for of in (self.model.state, self.model.place, self.model.attempts):
            of.pop(job)
        self.model.state[letter], self.model.place[letter], self.model.attempts[letter] = JobState.DEAD, "dead", 0
        self.model.pushed_as[letter] = job

    async def _arrivals(self, worker: str) -> list[bytes]:
        rows: list[bytes] = await self.redis.lrange(keys.arriving(worker, LIST), 0, -1)
        return rows

    @precondition(lambda self: self._running())
    @rule(data=st.data(), state=st.sampled_from([JobState.DONE, JobState.FAILED]), repeated=st.booleans())
    def finish(self, data: st.DataObject, state: JobState, repeated: bool) -> None:
        worker, job = data.draw(st.sampled_from(self._running()))
        error: CryptoMcpError | None = None if state is JobState.DONE else REFUSED
        for _ in range(1 + repeated):
            assert self.do(self.desks[worker].finish(job, self.model.attempts[job], state, result=b"{}", error=error))
        self.model.end(job, state)

    @precondition(lambda self: self._running())
    @rule(data=st.data())
    def finish_late(self, data: st.DataObject) -> None:
        """By a worker it was taken from, or of an attempt that is over: refused, and nothing changes."""
        worker, job = data.draw(st.sampled_from(self._running()))
        other = next(w for w in WORKERS if w != worker)
        attempt = self.model.attempts[job]
        assert not self.do(self.desks[other].finish(job, attempt, JobState.DONE, result=b"late"))
        assert not self.do(self.desks[worker].finish(job, attempt - 1, JobState.DONE, result=b"late"))
        assert self.do(self.desks[other].retry(job, attempt, 0, REFUSED)) is None

    @precondition(lambda self: self.model.state)
    @rule(data=st.data())
    def finish_what_nobody_holds(self, data: st.DataObject) -> None:
        """Waiting again, or over: nothing changes; only who ended it itself is told that it did."""
        held = {job for _, job in [*self._running(), *self._retrying()]}
        loose = sorted(self.model.state.keys() - held)
        if loose:
            job = data.draw(st.sampled_from(loose))
            for desk in self.desks.values():
                ended = self.do(desk.finish(job, self.model.attempts[job], JobState.DONE, result=b"late"))
                assert self.model.state[job].finished or not ended
            assert self.do(self.redis.get(keys.answer(job))) != b"late"

    @precondition(lambda self: self._running())
    @rule(data=st.data(), fraction=st.sampled_from([0.0, 0.25, 1.0]))
    def progress(self, data: st.DataObject, fraction: float) -> None:
        worker, job = data.draw(st.sampled_from(self._running()))
        other = next(w for w in WORKERS if w != worker)
        self.do(self.desks[worker].progress(job, self.model.attempts[job], fraction, "on its way"))
        self.do(self.desks[other].progress(job, self.model.attempts[job], 0.5, "late"))
        progress = self.do(self.client.get(job)).progress
        assert progress is not None
        assert (progress.fraction, progress.words) == (fraction, "on its way")

    @precondition(lambda self: self._running())
    @rule(data=st.data(), repeated=st.booleans(), delay=st.sampled_from([0, 60]))
    def retry(self, data: st.DataObject, repeated: bool, delay: int) -> None:
        worker, job = data.draw(st.sampled_from(self._running()))
        dues = {
            self.do(self.desks[worker].retry(job, self.model.attempts[job], delay, REFUSED))
            for _ in range(1 + repeated)
        }
        assert len(dues) == 1
        self.model.state[job] = JobState.RETRYING
        if delay:
            self.model.not_yet.add(job)

    @precondition(lambda self: self._running())
    @rule(data=st.data(), repeated=st.booleans(), delay=st.sampled_from([0, 60]))
    def rest(self, data: st.DataObject, repeated: bool, delay: int) -> None:
        """It waits for others: to who asks it is running, and it is no attempt of its own."""
        worker, job = data.draw(st.sampled_from(self._running()))
        attempt, other = self.model.attempts[job], next(w for w in WORKERS if w != worker)
        assert self.do(self.desks[other].rest(job, attempt, delay)) is None
        dues = {self.do(self.desks[worker].rest(job, attempt, delay)) for _ in range(1 + repeated)}
        assert len(dues) == 1
        assert self.do(self.client.get(job)).state is JobState.RUNNING
        self.model.state[job] = JobState.RETRYING
        self.model.resting.add(job)
        if delay:
            self.model.not_yet.add(job)

    @precondition(lambda self: self._retrying())
    @rule(data=st.data(), repeated=st.booleans())
    def start(self, data: st.DataObject, repeated: bool) -> None:
        worker, job = data.draw(st.sampled_from(self._retrying()))
        starts = [self.do(self.desks[worker].start(job)) for _ in range(1 + repeated)]
        self.model.not_yet.discard(job)
        self.model.begin(job)
        assert {(s.verdict, s.attempt) for s in starts} == {("run", self.model.attempts[job])}

    @precondition(lambda self: self._running())
    @rule(data=st.data(), repeated=st.booleans())
    def bury(self, data: st.DataObject, repeated: bool) -> None:
        worker, job = data.draw(st.sampled_from(self._running()))
        text = envelope.write(job, KIND, Nothing(), reply_to="", trace="", client="")
        accepted = envelope.read(text, LIST, CATALOGUE, 10_000)
        for _ in range(1 + repeated):
            assert self.do(self.desks[worker].bury(accepted, self.model.attempts[job], REFUSED))
        self.model.end(job, JobState.DEAD)

    @precondition(lambda self: self.model.state)
    @rule(data=st.data(), repeated=st.booleans())
    def cancel(self, data: st.DataObject, repeated: bool) -> None:
        alike: dict[
            tuple[JobState, str], list[str]
        ] = {}  # all kinds of places equally often, however many jobs are there
        for each, its_state in sorted(self.model.state.items()):
            alike.setdefault((its_state, self.model.place.get(each, "")), []).append(each)
        job = data.draw(st.sampled_from(alike[data.draw(st.sampled_from(sorted(alike)))]))
        if not self.do(self.redis.exists(keys.job(job))):
            return  # pushed by a stranger and not taken yet: nobody knows its id
        for _ in range(1 + repeated):
            self.do(self.client.cancel(job))
        state, place = self.model.state[job], self.model.place.get(job, "")
        if (state is JobState.QUEUED and place == "list") or state is JobState.RETRYING:
            if job in self.model.waiting:
                self.model.waiting.remove(job)
            self.model.end(job, JobState.CANCELLED)
        elif place.startswith("held:"):
            self.model.held[place.removeprefix("held:")].remove(job)
            self.model.end(job, JobState.CANCELLED)
        elif not state.finished:
            self.model.cancelling.add(job)

    @precondition(lambda self: any(p == "dead" for p in self.model.place.values()))
    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(sorted(j for j, p in self.model.place.items() if p == "dead")))
        pushed = self.model.pushed_as.get(job, job)
        if pushed.startswith("bad-"):
            with pytest.raises(NotReplayable):
                self.do(self.dead.replay(LIST, job))
            return
        assert self.do(self.dead.replay(LIST, job)) == pushed
        self.model.place.pop(job)
        self._queued(pushed)

    # -- bad days ------------------------------------------------------------------------------------------------------

    @rule(worker=st.sampled_from(WORKERS))
    def die(self, worker: str) -> None:
        """The heartbeat ends; whoever looks returns what the worker held; then it comes back under its name."""
        self.do(self.redis.delete(keys.heartbeat(worker)))
        held = [j for j, p in self.model.place.items() if p.endswith(f":{worker}")]
        self._order_desk(worker)
        returned = self.do(return_orphans(self.redis, self.scripts, QUEUE))
        assert returned == ({worker: len(held)} if held else {})
        self.model.give_back(worker, uncount=False)
        self.do(self.leases[worker].beat({}))

    @rule(worker=st.sampled_from(WORKERS))
    def leave(self, worker: str) -> None:
        self._order_desk(worker)
        self.do(self.leases[worker].leave())
        self.model.give_back(worker, uncount=True)
        self.do(self.leases[worker].beat({}))

    def _order_desk(self, worker: str) -> None:
        """The model keeps no times: the order in which a desk goes back is read from its scores."""
        order = [i.decode() for i in self.do(self.redis.zrevrange(keys.desk(worker), 0, -1))]
        for job in order:
            self.model.place[job] = self.model.place.pop(job)

    @precondition(lambda self: self._running())
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        worker, job = data.draw(st.sampled_from(self._running()))
        self.do(self.desks[worker].release(job))
        if job in self.model.cancelling:
            self.model.end(job, JobState.CANCELLED)
        else:
            self.model.state[job] = JobState.QUEUED
            self.model.place[job] = "list"
            self.model.waiting.append(job)

    def _running(self) -> list[tuple[str, str]]:
        return [(w, j) for w in WORKERS for j in self.model.on_desk(w, JobState.RUNNING)]

    def _retrying(self) -> list[tuple[str, str]]:
        return [(w, j) for w in WORKERS for j in self.model.on_desk(w, JobState.RETRYING)]

    # -- what must hold after every move -------------------------------------------------------------------------------

    @invariant()
    def every_job_is_where_the_model_has_it(self) -> None:
        if hasattr(self, "redis"):
            self.do(self._compare())

    async def _read(self, lists: Iterable[str]) -> Iterator[Any]:
        """Everything there is, in one round trip."""
        digests = [envelope.params_digest(KIND, Nothing(n=-1 - n)) for n in (0, 1)]
        pipe = self.redis.pipeline(transaction=False)
        for key in (*lists, keys.dead(LIST)):
            pipe.lrange(key, 0, -1)
        for worker in WORKERS:
            pipe.zrange(keys.desk(worker), 0, -1)
        for client in CLIENTS:
            pipe.lrange(f"held:work:{client}", 0, -1)
            pipe.smembers(f"share:work:{client}")
        pipe.hget(keys.HELD_LENGTHS, LIST)
        pipe.mget([f"same:{digest}" for digest in digests])
        for job in self.model.state:
            pipe.hmget(keys.job(job), ["state", "attempts"])
            pipe.ttl(keys.job(job))
        return iter(await pipe.execute())

    async def _compare(self) -> None:
        lists = {"list": LIST} | {f"arriving:{worker}": keys.arriving(worker, LIST) for worker in WORKERS}
        replies = await self._read(lists.values())
        found: dict[str, list[str]] = {}
        for place, name in [*((place, "id") for place in lists), ("dead", "job_id")]:
            for raw in next(replies):
                found.setdefault(json.loads(raw)[name], []).append(place)
        for worker in WORKERS:
            for job_id in next(replies):
                found.setdefault(job_id.decode(), []).append(f"desk:{worker}")
        for client in CLIENTS:
            for job in self._compare_share(client, *([i.decode() for i in next(replies)] for _ in range(2))):
                found.setdefault(job, []).append(f"held:{client}")
        assert int(next(replies) or 0) == sum(map(len, self.model.held.values()))
        assert found == {job: [place] for job, place in self.model.place.items()}
        assert [(job or b"").decode() for job in next(replies)] == [self.model.same.get(n, "") for n in (0, 1)]
        for job in self.model.state:
            self._compare_record(job, next(replies), next(replies))

    def _compare_share(self, client: str, held: list[str], counted: list[str]) -> list[str]:
        assert held == self.model.held[client]
        assert sorted(counted) == sorted(job for job, whose in self.model.counted.items() if whose == client)
        return held

    def _compare_record(self, job: str, record: list[bytes | None], ttl: int) -> None:
        state = self.model.state[job]
        if record[0] is not None:
            assert record == [state.value.encode(), str(self.model.attempts[job]).encode()], job
            assert (ttl > 0) is state.finished


async def test_any_order_of_moves_keeps_every_job_in_one_place(redis_server: RedisServer) -> None:
    """Runs in a thread: the machine has an event loop of its own."""
    QueueMachine.url = redis_server.url(2)
    bounds = settings(
        max_examples=80, stateful_step_count=40, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    await asyncio.to_thread(run_state_machine_as_test, QueueMachine, settings=bounds)
