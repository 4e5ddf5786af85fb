"""The `trials` collection: how many strategies a user has tried on which data, so that looking again is charged.

One document a set of tries: what is counted is distinct tries, not runs. A set is named by the digest of what was tried
(strategy, parameters, costs, the range asked for), so that the same question asked again, tomorrow on newer bars, or
taken over from a killed worker, counts once.

    _id          owner, symbols, timeframe and digest
    client       whose tries they are
    symbols, timeframe, first, last   the bars they ran over; sets that share bars of a symbol count for each other
    trials       how many; never less than was counted before
    sharpe_sum, sharpe_squares        of their Sharpe ratios per year
    at           when they were last counted
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from pymongo.errors import PyMongoError

from crypto_mcp.stores.mongo_errors import unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from motor.motor_asyncio import AsyncIOMotorCollection


@dataclass(frozen=True, slots=True)
class Tried:
    """Tries on the same data.

    Attributes:
        trials: how many.
        sharpe_sum, sharpe_squares: sums over them of the Sharpe ratio per year and of its square.
    """

    trials: int = 0
    sharpe_sum: float = 0.0
    sharpe_squares: float = 0.0


@dataclass(frozen=True, slots=True)
class TestedData:
    """Whose tries, and on which bars.

    Attributes:
        client: the user.
        symbols, timeframe: of the bars.
        first, last: start of the first bar and end of the last, UTC.
    """

    __test__ = False

    client: str
    symbols: Sequence[str]
    timeframe: str
    first: datetime
    last: datetime

    @property
    def fields(self) -> dict[str, Any]:
        """Of a document, besides its tries and its range."""
        return {"client": self.client, "symbols": sorted(self.symbols), "timeframe": self.timeframe}

    def overlapping(self) -> dict[str, Any]:
        """Finds documents of the same client with bars of these."""
        ranges = {"first": {"$lt": self.last}, "last": {"$gt": self.first}}
        return self.fields | ranges | {"symbols": {"$in": list(self.symbols)}}


class TrialLedger:
    """Counts tries. Every method raises `StoreUnavailable` when MongoDB does not answer."""

    def __init__(
        self, collection: AsyncIOMotorCollection[dict[str, Any]], prepare: Callable[[], Awaitable[None]]
    ) -> None:
        self._collection = collection
        self._prepare = prepare

    async def charge(self, data: TestedData, digest: str, tried: Tried) -> Tried:
        """Counts these tries and gives those on the same data that were counted before or meanwhile, these excluded.

        The own tries are written first: of two jobs that end at once at least one sees the other.
        """
        await self._prepare()
        name = _name(data, digest)
        sums = {"sharpe_sum": tried.sharpe_sum, "sharpe_squares": tried.sharpe_squares}
        widened = {"first": {"$min": ["$first", data.first]}, "last": {"$max": ["$last", data.last]}}
        fewer = {"$lt": [{"$ifNull": ["$trials", 0]}, tried.trials]}
        kept = {key: {"$cond": [fewer, value, f"${key}"]} for key, value in sums.items()}
        change = [
            {"$set": kept},
            {"$set": data.fields | widened | {"trials": {"$max": ["$trials", tried.trials]}, "at": datetime.now(UTC)}},
        ]
        try:
            await self._collection.update_one({"_id": name}, change, upsert=True)
        except PyMongoError as error:
            raise unavailable(error) from error
        return await self._total(data, name)

    async def tried(self, data: TestedData) -> Tried:
        """All tries counted so far on these data."""
        return await self._total(data, "")

    async def _total(self, data: TestedData, besides: str) -> Tried:
        others = data.overlapping() | {"_id": {"$ne": besides}}
        total = {
            "_id": None,
            **{key: {"$sum": f"${key}"} for key in ("trials", "sharpe_sum", "sharpe_squares")},
        }
        try:
            rows = await self._collection.aggregate([{"$match": others}, {"$group": total}]).to_list(1)
        except PyMongoError as error:
            raise unavailable(error) from error
        return Tried(int(rows[0]["trials"]), rows[0]["sharpe_sum"], rows[0]["sharpe_squares"]) if rows else Tried()


def _name(data: TestedData, digest: str) -> str:
    return sha256(repr((*data.fields.values(), digest)).encode()).hexdigest()
