"""The count of tries in a real MongoDB."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from crypto_mcp.stores.mongo import MongoStore
from crypto_mcp.stores.trial_ledger import TestedData, TrialLedger, Tried

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pymongo.asynchronous.database import AsyncDatabase

    from crypto_mcp.settings import Settings

YEAR = TestedData("ann", ["BTCUSDT"], "1h", datetime(2023, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC))


@pytest.fixture
async def ledger(settings: Settings, mongo_database: AsyncDatabase[dict[str, Any]]) -> AsyncIterator[TrialLedger]:
    store = MongoStore(settings.mongo)
    yield store.trials
    await store.close()


async def test_tries_add_up_across_jobs_and_the_same_job_counts_once(ledger: TrialLedger) -> None:
    """A job that is run again, after a crash or on purpose, looks at nothing new."""
    assert await ledger.charge(YEAR, "a", Tried(100, 50.0, 300.0)) == Tried()
    assert await ledger.charge(YEAR, "b", Tried(10, 2.0, 5.0)) == Tried(100, 50.0, 300.0)
    assert await ledger.charge(YEAR, "a", Tried(100, 50.0, 300.0)) == Tried(10, 2.0, 5.0)
    assert await ledger.tried(YEAR) == Tried(110, 52.0, 305.0)


async def test_a_search_cut_short_and_finished_later_counts_its_most(ledger: TrialLedger) -> None:
    await ledger.charge(YEAR, "a", Tried(40, 10.0, 20.0))
    await ledger.charge(YEAR, "a", Tried(100, 50.0, 300.0))
    await ledger.charge(YEAR, "a", Tried(7, 1.0, 1.0))
    assert await ledger.tried(YEAR) == Tried(100, 50.0, 300.0)


async def test_only_the_same_users_tries_on_overlapping_bars_count(ledger: TrialLedger) -> None:
    """Moving the range by a day does not reset the count, nor does a symbol besides; other data, and other people, do
    not add to it."""
    shifted = replace(YEAR, first=datetime(2023, 1, 2, tzinfo=UTC), last=datetime(2024, 1, 2, tzinfo=UTC))
    await ledger.charge(YEAR, "a", Tried(5, 1.0, 1.0))
    assert (await ledger.charge(shifted, "b", Tried(1, 0.0, 0.0))).trials == 5
    assert (await ledger.tried(replace(YEAR, symbols=["ETHUSDT", "BTCUSDT"]))).trials == 6
    later = replace(YEAR, first=YEAR.last, last=datetime(2025, 1, 1, tzinfo=UTC))
    strangers = [replace(YEAR, client="bob"), replace(YEAR, symbols=["ETHUSDT"]), replace(YEAR, timeframe="4h")]
    assert [(await ledger.tried(data)).trials for data in strangers] == [0, 0, 0]
    assert (await ledger.tried(later)).trials == 1


async def test_the_same_question_on_newer_bars_is_no_new_try(ledger: TrialLedger) -> None:
    """Asked again a day later it counts once, for all the bars it has seen."""
    tomorrow = replace(YEAR, first=datetime(2023, 1, 2, tzinfo=UTC), last=datetime(2024, 1, 2, tzinfo=UTC))
    for data in (YEAR, tomorrow, YEAR):
        assert await ledger.charge(data, "a", Tried(3, 1.0, 1.0)) == Tried()
    newest = replace(YEAR, first=datetime(2024, 1, 1, tzinfo=UTC), last=datetime(2024, 1, 9, tzinfo=UTC))
    assert (await ledger.tried(newest)).trials == 3


async def test_of_jobs_that_end_at_once_the_last_is_charged_for_all_others(ledger: TrialLedger) -> None:
    """Twenty at the same moment: nobody is lost, and every pair is seen by one of its two."""
    seen = await asyncio.gather(*(ledger.charge(YEAR, str(n), Tried(1, 1.0, 1.0)) for n in range(20)))
    assert await ledger.tried(YEAR) == Tried(20, 20.0, 20.0)
    assert sum(tried.trials for tried in seen) >= 20 * 19 / 2
    assert max(tried.trials for tried in seen) == 19
