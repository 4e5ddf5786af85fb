"""Changes of one portfolio by many writers, by killed writers, and by strangers."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from crypto_mcp.risk.book import InsufficientCash
from crypto_mcp.settings import MongoSettings
from crypto_mcp.stores.mongo import MongoStore
from workers.portfolio_ledger import Change, PortfolioLedger, State, UnknownPortfolio, VersionConflict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pymongo.asynchronous.database import AsyncDatabase

    from crypto_mcp.settings import Settings

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def store(settings: Settings, mongo_database: AsyncDatabase[dict[str, Any]]) -> AsyncIterator[MongoStore]:
    store = MongoStore(settings.mongo)
    yield store
    await store.close()


@pytest.fixture
def ledger(store: MongoStore) -> PortfolioLedger:
    return PortfolioLedger(store.portfolios)


async def created(_: State | None) -> Change:
    return Change("created", {"currency": "USDT", "method": "fifo", "name": None}, NOW)


async def ended(_: State | None) -> Change:
    return Change("deleted", {}, NOW)


def moved(amount: str) -> Any:
    async def make(_: State | None) -> Change:
        return Change("cash_moved", {"amount": amount}, NOW)

    return make


async def test_fifty_writers_lose_no_update(settings: Settings, ledger: PortfolioLedger) -> None:
    """Each through connections of its own; all deposits are there, each once, in one unbroken sequence."""
    await ledger.change("me", "p", "create", created)
    stores = [MongoStore(settings.mongo) for _ in range(10)]
    writers = [PortfolioLedger(stores[i % 10].portfolios) for i in range(50)]
    await asyncio.gather(*(w.change("me", "p", f"job{i}", moved(str(i + 1))) for i, w in enumerate(writers)))
    state = await ledger.load("me", "p")
    assert (state.version, state.book.cash) == (51, sum(range(1, 51)))
    assert (await ledger.verify("me", "p")).problem == ""
    for each in stores:
        await each.close()


async def test_of_writers_that_saw_the_same_version_one_wins(ledger: PortfolioLedger) -> None:
    await ledger.change("me", "p", "create", created)
    results = await asyncio.gather(
        *(ledger.change("me", "p", f"job{i}", moved("5"), version=1) for i in range(10)), return_exceptions=True
    )
    assert sum(isinstance(result, VersionConflict) for result in results) == 9
    assert (await ledger.load("me", "p")).book.cash == 5


async def test_a_job_that_runs_again_changes_nothing_more(ledger: PortfolioLedger) -> None:
    """Not even where its change would be refused by now."""
    await ledger.change("me", "p", "create", created)
    await ledger.change("me", "p", "in", moved("10"))
    first, entry = await ledger.change("me", "p", "out", moved("-10"), version=2)
    again, same = await ledger.change("me", "p", "out", moved("-10"), version=2)
    assert (first.book.cash, again.book.cash, entry["seal"]) == (0, 0, same["seal"])
    with pytest.raises(InsufficientCash):
        await ledger.change("me", "p", "other", moved("-10"))
    assert (await ledger.load("me", "p")).version == 3


async def test_who_reads_again_sees_what_others_changed(ledger: PortfolioLedger, store: MongoStore) -> None:
    """A change, the end, and a new portfolio of the same name; a state that is the newest is read once."""
    reader = PortfolioLedger(store.portfolios)
    with pytest.raises(UnknownPortfolio):
        await reader.read("me", "p")
    await ledger.change("me", "p", "create", created)
    assert (await reader.read("me", "p")).book.cash == 0
    await ledger.change("me", "p", "in", moved("10"))
    seen = await reader.read("me", "p")
    assert (seen.version, seen.book.cash) == (2, 10)
    assert await reader.read("me", "p") is seen
    await ledger.change("me", "p", "end", ended)
    with pytest.raises(UnknownPortfolio):
        await reader.read("me", "p")
    await ledger.change("me", "p", "anew", created)
    assert (await reader.read("me", "p")).book.cash == 0


async def test_another_owners_portfolio_does_not_exist(ledger: PortfolioLedger) -> None:
    """Two owners may use one name, and see nothing of each other."""
    await ledger.change("me", "p", "a", created)
    await ledger.change("me", "p", "b", moved("10"))
    with pytest.raises(UnknownPortfolio):
        await ledger.load("you", "p")
    await ledger.change("you", "p", "a", created)
    assert (await ledger.load("you", "p")).book.cash == 0
    assert (await ledger.load("me", "p")).book.cash == 10


async def test_a_snapshot_that_was_left_behind_is_caught_up(
    ledger: PortfolioLedger, store: MongoStore, mongo_database: AsyncDatabase[dict[str, Any]]
) -> None:
    """As after a kill between the entry and the snapshot: older, or not there at all."""
    await ledger.change("me", "p", "create", created)
    old = await mongo_database["portfolios"].find_one({})
    assert old is not None
    await ledger.change("me", "p", "b", moved("10"))
    await mongo_database["portfolios"].replace_one({}, old)
    assert (await ledger.load("me", "p")).book.cash == 10
    await mongo_database["portfolios"].delete_many({})
    assert (await ledger.load("me", "p")).version == 2
    assert (await ledger.verify("me", "p")).problem == ""


async def test_an_audit_finds_what_was_forged(
    ledger: PortfolioLedger, mongo_database: AsyncDatabase[dict[str, Any]]
) -> None:
    await ledger.change("me", "p", "create", created)
    await ledger.change("me", "p", "b", moved("10"))
    await mongo_database["portfolios"].update_one({}, {"$set": {"cash": "11"}})
    assert "differs" in (await ledger.verify("me", "p")).problem
    await mongo_database["portfolio_ledger"].update_one({"seq": 2}, {"$set": {"data.amount": "1000"}})
    assert "entry 2" in (await ledger.verify("me", "p")).problem
    await mongo_database["portfolio_ledger"].delete_one({"seq": 1})
    assert "entry 1" in (await ledger.verify("me", "p")).problem


WRITERS = """
import asyncio, os, secrets, signal, sys
from datetime import UTC, datetime
from crypto_mcp.settings import MongoSettings
from crypto_mcp.stores.mongo import MongoStore
from workers.portfolio_ledger import Change, PortfolioLedger

async def deposit(_):
    return Change("cash_moved", {"amount": "1"}, datetime.now(UTC))

async def write():
    ledger = PortfolioLedger(MongoStore(MongoSettings.model_validate_json(sys.argv[1])).portfolios)
    while True:
        await ledger.change("me", "p", secrets.token_hex(8), deposit)
        os.write(1, b"%d\\n" % os.getpid())

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for _ in sys.stdin:
    if not os.fork():
        asyncio.run(write())
"""


async def test_writers_that_are_killed_leave_a_clean_ledger(settings: Settings, ledger: PortfolioLedger) -> None:
    """SIGKILL in mid-write, again and again: what was acknowledged is there, and the audit is clean."""
    await ledger.change("me", "p", "create", created)
    mongo = settings.mongo
    given = MongoSettings(url=mongo.url, database=mongo.database).model_dump() | {"url": mongo.url.get_secret_value()}
    text = MongoSettings.model_validate(given).model_dump_json().replace("**********", given["url"])
    said: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-c", WRITERS, text], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        for kill in range(4):
            before = set(said)
            parent.stdin.write("one\ntwo\n")
            parent.stdin.flush()
            while not two_have_written(said, before, 3 + 4 * kill):
                said.append(await asyncio.to_thread(parent.stdout.readline))
            for writer in set(said) - before:
                os.kill(int(writer), signal.SIGKILL)
        parent.stdin.close()
        said += await asyncio.to_thread(parent.stdout.readlines)
    state = await ledger.load("me", "p")
    assert len(said) <= state.book.cash <= len(said) + 8
    assert (await ledger.verify("me", "p")).problem == ""


def two_have_written(said: list[str], before: set[str], often: int) -> bool:
    """Whether two writers that were not there before have been acknowledged so often each."""
    counts = [count for writer, count in Counter(said).items() if writer not in before]
    return len(counts) == 2 and min(counts) >= often


async def test_amounts_survive_to_the_last_digit(ledger: PortfolioLedger) -> None:
    await ledger.change("me", secrets.token_hex(3), "x", created)
    await ledger.change("me", "q", "create", created)
    await ledger.change("me", "q", "b", moved("0.100000000000000001"))
    assert (await ledger.load("me", "q")).book.cash == Decimal("0.100000000000000001")
