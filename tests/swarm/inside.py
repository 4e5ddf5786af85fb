"""Runs in a worker's container: puts backtests straight on their list, and reads what became of jobs.

    python -c "$(cat inside.py)" states   < ids       one id a line; {state: count} and the ids that are not finished
    python -c "$(cat inside.py)" submit   < params    one JSON a line; the ids of the new jobs

Needs nothing but what the image has, so that it is a witness apart from the front ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter

from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.cli.configuration import load
from crypto_mcp.jobs.client import JobClient
from crypto_mcp.jobs.connection import connect
from crypto_mcp.models.backtest import BacktestParams

_AT_ONCE = 200


async def _states(jobs: JobClient, ids: list[str]) -> dict[str, object]:
    counts: Counter[str] = Counter()
    open_, errors = [], Counter[str]()
    for start in range(0, len(ids), _AT_ONCE):
        page = ids[start : start + _AT_ONCE]
        for job_id, record in zip(page, await jobs.several(page), strict=True):
            state = "unknown" if record is None else str(record.state)
            counts[state] += 1
            if record is not None and not record.state.finished:
                open_.append(job_id)
            if record is not None and record.error is not None and record.state.finished:
                errors[record.error.code] += 1
    return {"counts": counts, "open": open_, "errors": errors}


async def _submit(jobs: JobClient, rows: list[str]) -> list[str]:
    kind, found = CATALOGUE["historical_backtest"], []
    for start in range(0, len(rows), _AT_ONCE):
        page = [BacktestParams.model_validate(json.loads(row)) for row in rows[start : start + _AT_ONCE]]
        found += await asyncio.gather(*(jobs.submit(kind, params, client="burst", share=False) for params in page))
    return [each.job_id for each in found]


async def _main(what: str, lines: list[str]) -> object:
    settings = load()
    redis = connect(settings.redis.queue_url, settings.redis)
    jobs = JobClient(redis, settings.queue)
    try:
        return await {"states": _states, "submit": _submit}[what](jobs, lines)
    finally:
        await redis.aclose()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_main(sys.argv[1], sys.stdin.read().split("\n")[:-1]))))
