"""What failed for good: found with its reason, replayed, dropped; nothing of it is left half-way."""

from __future__ import annotations

import json
from typing import Any

import pytest

from crypto_mcp.errors import InvalidRequest, SourceUnavailable
from crypto_mcp.job_kind import JobKind
from crypto_mcp.jobs import envelope, keys
from crypto_mcp.jobs.dead import NoDeadLetter, NotReplayable
from crypto_mcp.models.answers import JobState
from tests.jobs.hand_driven import LIST, Ask, HandDriven

AWAY = SourceUnavailable("not now", hint="Later.")


async def _bury(queue: HandDriven) -> None:
    job, start = await queue.accept()
    assert await queue.desk.bury(job, start.attempt, AWAY)


async def test_a_buried_job_is_found_with_its_reason_and_what_was_pushed(queue: HandDriven) -> None:
    job = await queue.submit(7)
    await _bury(queue)
    letter = await queue.letters.show(LIST, job)
    assert (letter.reason.code, letter.reason.message, letter.reason.hint) == (AWAY.code, "not now", "Later.")
    assert (letter.attempts, letter.worker, letter.list) == (1, queue.worker, LIST)
    assert json.loads(letter.envelope or "")["params"]["n"] == 7
    record = await queue.jobs.get(job)
    assert record.state is JobState.DEAD
    assert record.error is not None
    assert record.error.code == AWAY.code
    assert (await queue.letters.counts())[LIST] == 1


async def test_burying_again_after_a_lost_reply_makes_no_second_letter(queue: HandDriven) -> None:
    await queue.submit()
    job, start = await queue.accept()
    for _ in range(2):
        assert await queue.desk.bury(job, start.attempt, AWAY)
    assert (await queue.letters.counts())[LIST] == 1


async def test_a_replayed_job_keeps_its_id_and_starts_afresh(queue: HandDriven) -> None:
    job = await queue.submit(7)
    await _bury(queue)
    assert await queue.letters.replay(LIST, job) == job
    assert (await queue.letters.counts())[LIST] == 0
    record = await queue.jobs.get(job)
    assert (record.state, record.attempts, record.error) == (JobState.QUEUED, 0, None)
    assert await queue.redis.ttl(keys.job(job)) == -1
    accepted, start = await queue.accept()
    assert (accepted.id, accepted.params, start.attempt) == (job, Ask(n=7), 1)
    assert await queue.desk.finish(job, 1, JobState.DONE, result=b"{}")


async def test_a_replayed_job_still_answers_to_its_pusher(queue: HandDriven) -> None:
    """Even if nothing is left of it but the letter: its record expired long ago."""
    await queue.push({"kind": "work", "id": "old", "reply_to": "mine", "client": "n8n", "trace": "t-1"})
    await _bury(queue)
    await queue.redis.delete(keys.job("old"), "mine")
    await queue.letters.replay(LIST, "old")
    await queue.accept()
    await queue.desk.finish("old", 1, JobState.DONE, result=b"{}")
    assert [line["state"] for line in await queue.lines("mine")] == ["done"]
    record = await queue.jobs.get("old")
    assert (record.client, record.trace) == ("n8n", "t-1")


async def test_a_letter_is_not_replayed_while_its_job_is_under_way(queue: HandDriven) -> None:
    """A second entry of the id can be there: a stranger used it for something that is no job."""
    await queue.push({"kind": "nobody", "id": "one"})
    letter = await queue.handle()
    assert isinstance(letter, str)
    await queue.push({"kind": "work", "id": "one"})
    await queue.accept()
    with pytest.raises(NotReplayable):
        await queue.letters.replay(LIST, letter)
    assert (await queue.letters.counts())[LIST] == 1
    assert (await queue.jobs.get("one")).state is JobState.RUNNING


@pytest.mark.parametrize(
    "raw",
    [
        b"garbage",
        b"\xff\xfe",
        b"[1]",
        b'{"params":{}}',
        b'{"kind":"work","id":"a b"}',
        b'{"kind":"work","id":5}',
        b'{"kind":"work","colour":"red"}',
    ],
)
async def test_what_is_no_envelope_cannot_be_replayed_and_can_be_dropped(queue: HandDriven, raw: bytes) -> None:
    await queue.push(raw)
    letter = await queue.handle()
    assert isinstance(letter, str)
    with pytest.raises(NotReplayable):
        await queue.letters.replay(LIST, letter)
    assert await queue.redis.llen(LIST) == 0  # type: ignore[misc]
    await queue.letters.drop(LIST, letter)
    assert await queue.letters.entries(LIST) == []


async def test_a_replay_that_is_refused_again_leaves_no_job_that_never_ends(queue: HandDriven) -> None:
    """No worker knows the kind yet: the replayed job ends dead, with a letter, and can be replayed another time."""
    await queue.push({"kind": "nobody"})
    letter = await queue.handle()
    assert isinstance(letter, str)
    replayed = await queue.letters.replay(LIST, letter)
    assert (await queue.jobs.get(replayed)).state is JobState.QUEUED
    await queue.handle()
    assert (await queue.jobs.get(replayed)).state is JobState.DEAD
    assert [entry.job_id for entry in await queue.letters.entries(LIST)] == [replayed]
    assert await queue.redis.ttl(keys.job(replayed)) > 0


async def test_a_submission_that_workers_refuse_is_dead_and_not_joined_for_ever(queue: HandDriven) -> None:
    """Front ends may be newer than workers, or allow more than these do."""
    newer = JobKind("newer", LIST, Ask, Ask, "none:none", "newer", "newer")
    first = await queue.jobs.submit(newer, Ask(), reply_to="mine")
    letter = await queue.handle()
    assert letter == first.job_id
    record = await queue.jobs.get(first.job_id)
    assert record.state is JobState.DEAD
    assert record.error is not None
    assert record.error.code == "unknown_kind"
    assert (await queue.lines("mine"))[-1]["state"] == "dead"
    assert not (await queue.jobs.submit(newer, Ask())).joined


async def test_a_copy_of_a_living_job_on_another_list_does_not_end_it(queue: HandDriven) -> None:
    """The id in a refused envelope is only believed if that very job was to be taken from that very list."""
    job = await queue.submit()
    (raw,) = await queue.redis.lrange(LIST, 0, -1)  # type: ignore[misc]
    await queue.push(raw, "backtest:queue")
    assert await queue.handle("backtest:queue") != job
    assert (await queue.jobs.get(job)).state is JobState.QUEUED
    await queue.push({"kind": "nobody", "id": job})
    await queue.accept()
    assert await queue.handle() != job
    assert (await queue.jobs.get(job)).state is JobState.RUNNING


async def test_refusing_again_after_a_lost_reply_makes_no_second_letter(queue: HandDriven) -> None:
    await queue.push(b"garbage")
    (raw,) = await queue.desk.take(LIST, 1)
    reason = envelope.BadEnvelope("no", hint="none")
    told = [await queue.desk.refuse(raw, LIST, reason, "fresh", "", "") for _ in range(2)]
    assert told == ["fresh", "fresh"]
    assert (await queue.letters.counts())[LIST] == 1


async def test_entries_come_newest_first_in_pages(queue: HandDriven) -> None:
    jobs = [await queue.submit(n) for n in range(5)]
    for _ in jobs:
        await _bury(queue)
    first, second = [await queue.letters.entries(LIST, limit=3, offset=at) for at in (0, 3)]
    assert [entry.job_id for entry in [*first, *second]] == jobs[::-1]


async def test_an_entry_behind_many_is_found(queue: HandDriven) -> None:
    def entry(n: int) -> bytes:
        return envelope.dead_entry(b"{}", LIST, AWAY, job_id=f"job-{n}", attempts=1, worker="w", at=0.0)

    await queue.redis.rpush(keys.dead(LIST), *[entry(n) for n in range(250)])  # type: ignore[misc]
    assert (await queue.letters.show(LIST, "job-249")).job_id == "job-249"


async def test_what_is_not_there_is_said_to_be_not_there(queue: HandDriven) -> None:
    calls: list[Any] = [queue.letters.show, queue.letters.replay, queue.letters.drop]
    for call in calls:
        with pytest.raises(NoDeadLetter):
            await call(LIST, "nobody")
        with pytest.raises(InvalidRequest, match="no list"):
            await call("job:1", "nobody")
