"""Anyone may push: good envelopes run, bad ones go to the dead list with their reason, and harm nobody."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from crypto_mcp.jobs import keys
from crypto_mcp.jobs.dead import DeadLetters, NotReplayable
from crypto_mcp.models.answers import JobState
from tests.workers import kinds
from tests.workers.kinds import LIST
from tests.workers.rig import Rig, until

BAD: dict[str, tuple[bytes, str, str]] = {
    "not JSON": (b"hello", "bad_envelope", "not JSON"),
    "half of it": (b'{"kind":"quick","par', "bad_envelope", "not JSON"),
    "bytes": (b"\xff\xfe\x00\x01", "bad_envelope", "not JSON"),
    "nothing": (b"", "bad_envelope", "not JSON"),
    "5 MiB": (b"x" * 5 * 1024 * 1024, "bad_envelope", "5242880 bytes"),
    "deep": (b"[" * 5000 + b"]" * 5000, "bad_envelope", "not JSON"),
    "a list": (b"[1,2]", "bad_envelope", "not a JSON object"),
    "NaN": (b'{"kind":"quick","params":{"seconds":NaN}}', "bad_envelope", "not JSON"),
    "no kind": (b'{"params":{}}', "bad_envelope", "kind"),
    "more fields": (b'{"kind":"quick","colour":"red"}', "bad_envelope", "colour"),
    "our key": (b'{"kind":"quick","reply_to":"job:1"}', "bad_envelope", "reply_to"),
    "our list": (b'{"kind":"quick","reply_to":"backtest:queue"}', "bad_envelope", "reply_to"),
    "bad id": (b'{"kind":"quick","id":"a b"}', "bad_envelope", "id"),
    "unknown kind": (b'{"kind":"quik"}', "unknown_kind", "quik"),
    "wrong params": (b'{"kind":"quick","params":{"n":"many"}}', "invalid_request", "n: "),
    "params of another": (b'{"kind":"quick","params":{"symbol":"BTC"}}', "invalid_request", "symbol"),
}


async def test_bad_envelopes_are_dead_letters_with_their_reasons(rig: Rig) -> None:
    """The worker lives on, and what was pushed between them runs."""
    worker = await rig.worker()
    for raw, _, _ in BAD.values():
        await rig.push(raw)
        await rig.push({"kind": "quick", "reply_to": "mine"})
    letters = DeadLetters(rig.redis, rig.settings.queue)
    await until(lambda: _count(letters, len(BAD)))
    for letter, (case, (raw, code, words)) in zip(reversed(await letters.entries(LIST)), BAD.items(), strict=True):
        assert letter.reason.code == code, case
        assert words in letter.reason.message, case
        assert letter.reason.hint, case
        kept = letter.envelope.encode() if letter.envelope is not None else bytes.fromhex(letter.envelope_hex or "")
        assert kept == raw, case
        assert (await rig.jobs.get(letter.job_id)).state is JobState.DEAD, case
    told = [json.loads(await _reply(rig))["state"] for _ in range(2 * len(BAD))]
    assert (told.count("queued"), told.count("done")) == (len(BAD), len(BAD))
    assert worker.process.poll() is None


async def _count(letters: DeadLetters, count: int) -> bool:
    return (await letters.counts())[LIST] == count


async def _reply(rig: Rig, name: str = "mine") -> bytes:
    reply = await rig.redis.brpop([name], timeout=10)  # type: ignore[misc]
    assert reply is not None
    return bytes(reply[1])


async def test_the_shortest_envelope_runs_and_its_pusher_is_told_id_end_and_answer(rig: Rig) -> None:
    await rig.worker()
    await rig.push({"kind": "quick", "params": {"n": 4}, "reply_to": "mine"})
    first, second = json.loads(await _reply(rig)), json.loads(await _reply(rig))
    assert first["job_id"] == second["job_id"]
    assert (first["state"], second["state"]) == ("queued", "done")
    assert orjson.loads(await rig.redis.get(second["answer"]))["n"] == 4
    (record,) = await rig.jobs.recent()
    assert record.job_id == first["job_id"]


async def test_a_failure_is_told_to_the_pusher(rig: Rig) -> None:
    await rig.worker()
    await rig.push({"kind": "refusing", "reply_to": "mine"})
    await _reply(rig)
    told = json.loads(await _reply(rig))
    assert told["state"] == "failed"
    assert told["error"]["code"] == "invalid_request"


async def test_a_reply_list_that_is_something_else_harms_nobody(rig: Rig) -> None:
    await rig.redis.set("taken", "a string")
    await rig.worker()
    await rig.push({"kind": "quick", "id": "with-odd-reply", "reply_to": "taken"})
    await until(lambda: _known(rig, "with-odd-reply"))
    await rig.ended("with-odd-reply", JobState.DONE)
    assert await rig.redis.get("taken") == b"a string"


async def _known(rig: Rig, job: str) -> bool:
    return bool(await rig.redis.exists(keys.job(job)))


async def test_the_same_id_pushed_twice_runs_once(rig: Rig, tmp_path: Any) -> None:
    notes = tmp_path / "notes"
    envelope = {"id": "chosen", "kind": "slow", "params": {"seconds": 0.3, "file": str(notes)}}
    await rig.push(envelope)
    await rig.push(envelope)
    await rig.worker()
    await until(lambda: _known(rig, "chosen"))
    await rig.ended("chosen", JobState.DONE)
    await rig.push(envelope)
    await rig.ended(await rig.submit(kinds.QUICK), JobState.DONE)
    assert len(notes.read_text().splitlines()) == 1
    assert await rig.redis.llen(LIST) == 0


async def test_the_wrong_list_is_said_to_be_wrong(rig: Rig) -> None:
    await rig.worker("backtest:queue")
    await rig.push({"kind": "quick"}, "backtest:queue")
    letters = DeadLetters(rig.redis, rig.settings.queue)

    async def there() -> bool:
        return (await letters.counts())["backtest:queue"] == 1

    await until(there)
    (letter,) = await letters.entries("backtest:queue")
    assert "does not belong on backtest:queue" in letter.reason.message
    assert LIST in letter.reason.hint


async def test_garbage_cannot_be_replayed_and_can_be_dropped(rig: Rig) -> None:
    await rig.worker()
    await rig.push("garbage")
    letters = DeadLetters(rig.redis, rig.settings.queue)
    await until(lambda: _count(letters, 1))
    (letter,) = await letters.entries(LIST)
    with pytest.raises(NotReplayable):
        await letters.replay(LIST, letter.job_id)
    await letters.drop(LIST, letter.job_id)
    assert await letters.entries(LIST) == []


async def test_oldest_is_worked_first(rig: Rig, tmp_path: Any) -> None:
    notes = tmp_path / "notes"
    jobs = [await rig.submit(kinds.QUICK, n=n, file=str(notes)) for n in range(10)]
    await rig.worker(max_jobs=1)
    for job in jobs:
        await rig.ended(job, JobState.DONE)
    assert [line.split()[0] for line in notes.read_text().splitlines()] == jobs
