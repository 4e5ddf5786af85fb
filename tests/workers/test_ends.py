"""How jobs end: done, failed, retried, dead, cancelled, timed out."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from crypto_mcp.job_kind import JobKind
from crypto_mcp.jobs import keys
from crypto_mcp.jobs.dead import DeadLetters
from crypto_mcp.models.answers import JobState
from tests.workers import kinds
from tests.workers.kinds import LIST
from tests.workers.rig import Rig, lines, noted, until


async def test_a_result_a_record_and_a_cached_key_with_its_ttl(rig: Rig) -> None:
    await rig.worker()
    job = await rig.submit(kinds.CACHED, n=5)
    record = await rig.ended(job, JobState.DONE)
    assert record.attempts == 1
    assert record.timings.total_ms is not None
    assert await rig.redis.get(keys.answer(job)) == await rig.cache.get("cached:5") == b'{"n":5,"attempt":1,"text":""}'
    assert 0 < await rig.cache.ttl("cached:5") <= 90
    assert 0 < await rig.redis.ttl(keys.job(job)) <= rig.settings.queue.record_ttl
    assert await rig.redis.hexists(keys.job(job), "envelope") == 0


async def test_a_request_that_cannot_succeed_fails_at_once_and_is_no_dead_letter(rig: Rig) -> None:
    await rig.worker()
    record = await rig.ended(await rig.submit(kinds.REFUSING), JobState.FAILED)
    assert record.attempts == 1
    assert record.error is not None
    assert (record.error.code, record.error.hint) == ("invalid_request", "Ask for another.")
    assert await rig.redis.llen(keys.dead(LIST)) == 0


async def test_what_passes_is_repeated_with_growing_pauses(rig: Rig, tmp_path: Path) -> None:
    await rig.worker()
    job = await rig.submit(kinds.FLAKY, times=2, file=str(tmp_path / "notes"))
    retrying = await rig.reached(job, JobState.RETRYING)
    assert retrying.error is not None
    assert retrying.error.code == "source_unavailable"
    record = await rig.ended(job, JobState.DONE)
    assert record.attempts == 3
    assert record.error is None
    assert len(lines(tmp_path / "notes")) == 3


async def test_a_retry_may_name_its_own_time(rig: Rig) -> None:
    await rig.worker()
    began = time.monotonic()
    record = await rig.ended(await rig.submit(kinds.ASKING_AGAIN, seconds=1.0), JobState.DONE)
    assert record.attempts == 2
    assert time.monotonic() - began >= 1.0


async def test_a_retry_survives_its_workers_death_and_keeps_its_time(rig: Rig, tmp_path: Path) -> None:
    first = await rig.worker()
    job = await rig.submit(kinds.ASKING_AGAIN, seconds=3.0)
    await rig.reached(job, JobState.RETRYING)
    due = float(await rig.redis.hget(keys.job(job), "not_before") or 0) / 1000  # type: ignore[misc]
    first.kill()
    await rig.worker()
    record = await rig.ended(job, JobState.DONE)
    assert record.attempts == 2
    assert record.timings.finished_at is not None
    assert record.timings.finished_at.timestamp() >= due


async def test_tries_that_are_used_up_make_a_dead_letter_that_can_be_replayed(rig: Rig) -> None:
    await rig.worker()
    job = await rig.submit(kinds.FLAKY, times=3, n=9)
    record = await rig.ended(job, JobState.DEAD)
    assert record.attempts == kinds.FLAKY.max_tries
    letters = DeadLetters(rig.redis, rig.settings.queue)
    (letter,) = await letters.entries(LIST)
    assert (letter.job_id, letter.reason.code, letter.attempts) == (job, "source_unavailable", 3)
    assert await letters.replay(LIST, job) == job
    assert await letters.entries(LIST) == []
    await rig.ended(job, JobState.DEAD)
    assert (await letters.counts())[LIST] == 1


async def test_a_surprise_is_shown_by_a_reference_and_not_by_its_inside(rig: Rig) -> None:
    await rig.worker()
    record = await rig.ended(await rig.submit(kinds.SURPRISING), JobState.DEAD)
    assert record.error is not None
    assert record.error.code == "internal_error"
    assert "reference" in record.error.message
    assert "secret" not in record.error.message
    assert "secret" in (rig.folder / "workers.log").read_text()


@pytest.mark.parametrize("kind", [kinds.LYING, kinds.UNSPEAKABLE], ids=["another type", "no JSON"])
async def test_a_handler_that_returns_what_is_no_result_is_a_surprise_too(rig: Rig, kind: JobKind[Any, Any]) -> None:
    await rig.worker()
    record = await rig.ended(await rig.submit(kind), JobState.DEAD)
    assert record.error is not None
    assert record.error.code == "internal_error"
    assert record.attempts == kind.max_tries


async def test_an_error_whose_words_are_no_utf8_ends_its_job(rig: Rig) -> None:
    await rig.worker()
    record = await rig.ended(await rig.submit(kinds.UNSPEAKABLE, n=1), JobState.FAILED)
    assert record.error is not None
    assert (record.error.code, record.error.message) == ("invalid_request", "no file ?")


async def test_a_job_that_takes_too_long_is_stopped(rig: Rig) -> None:
    await rig.worker()
    record = await rig.ended(await rig.submit(kinds.HASTY, seconds=30), JobState.DEAD)
    assert record.error is not None
    assert record.error.code == "timed_out"
    assert record.attempts == kinds.HASTY.max_tries


async def test_progress_can_be_read_while_it_runs(rig: Rig) -> None:
    await rig.worker()
    job = await rig.submit(kinds.PROGRESSING, seconds=2)

    async def half() -> bool:
        progress = (await rig.jobs.get(job)).progress
        return progress is not None and (progress.fraction, progress.words) == (0.5, "half way")

    await until(half)
    await rig.ended(job, JobState.DONE)


@pytest.mark.parametrize("kind", [kinds.SLOW, kinds.FLAKY], ids=["running", "retrying"])
async def test_cancelling_ends_a_job_that_has_begun(rig: Rig, kind: kinds.JobKind[kinds.Ask, kinds.Told]) -> None:
    await rig.worker()
    job = await rig.submit(kind, seconds=60, times=9)
    await rig.reached(job, JobState.RUNNING if kind is kinds.SLOW else JobState.RETRYING)
    await rig.jobs.cancel(job)
    record = await rig.ended(job, JobState.CANCELLED)
    assert record.timings.total_ms is not None
    assert record.timings.total_ms < 30_000
    assert await rig.places(job) == []


async def test_a_cancelled_job_whose_worker_dies_is_not_run_again(rig: Rig, tmp_path: Path) -> None:
    import signal

    notes = tmp_path / "notes"
    first = await rig.worker()
    job = await rig.submit(kinds.SLOW, seconds=60, file=str(notes))
    await until(lambda: noted(notes))
    first.send(signal.SIGSTOP)
    await rig.jobs.cancel(job)
    first.kill()
    await rig.worker()
    await rig.ended(job, JobState.CANCELLED)
    assert len(lines(notes)) == 1


async def test_cancelling_kills_the_child_that_computes(rig: Rig, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    worker = await rig.worker()
    job = await rig.submit(kinds.COMPUTING, seconds=60, file=str(pid_file))

    async def computing() -> bool:
        return pid_file.exists() and bool(pid_file.read_text())

    await until(computing)
    child = int(pid_file.read_text())
    assert child != worker.process.pid
    await rig.jobs.cancel(job)
    await rig.ended(job, JobState.CANCELLED)
    await until(lambda: _gone(child))
    assert (await rig.ended(await rig.submit(kinds.QUICK), JobState.DONE)).worker == worker.name


async def test_a_computing_child_dies_with_its_worker(rig: Rig, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    worker = await rig.worker()
    await rig.submit(kinds.COMPUTING, seconds=60, file=str(pid_file))

    async def computing() -> bool:
        return pid_file.exists() and bool(pid_file.read_text())

    await until(computing)
    worker.kill()
    await until(lambda: _gone(int(pid_file.read_text())))


async def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z" if Path(f"/proc/{pid}/stat").exists() else True


async def test_a_finished_job_cannot_be_cancelled_and_its_id_means_nothing_to_later_ones(rig: Rig) -> None:
    await rig.worker()
    job = await rig.submit(kinds.QUICK, n=1)
    await rig.ended(job, JobState.DONE)
    assert (await rig.jobs.cancel(job)).state is JobState.DONE
    again = await rig.submit(kinds.QUICK, n=1)
    assert again != job
    await rig.ended(again, JobState.DONE)
