"""A portfolio's state and its changes: read, check, add one entry to the ledger, write the snapshot.

A change is exactly one entry, so it happens as a whole or not at all. docs/risk.md says why nothing is lost.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakValueDictionary

from cachetools import LRUCache

from crypto_mcp.errors import CryptoMcpError, InvalidRequest, StoreUnavailable
from crypto_mcp.risk.book import Book
from crypto_mcp.risk.ledger import FIRST_SEAL, apply, book_document, book_of, broken_at, rebuilt, seal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from crypto_mcp.stores.portfolio_documents import PortfolioDocuments

_KEPT = 64
_PATIENCE = 200
_LONGEST_PAUSE = 0.05


class UnknownPortfolio(InvalidRequest):
    """The caller has no portfolio of that name. Others' portfolios do not exist for it."""

    code = "unknown_portfolio"
    http_status = 404


class PortfolioExists(InvalidRequest):
    """The caller has a portfolio of that name already."""

    code = "portfolio_exists"
    http_status = 409


class VersionConflict(InvalidRequest):
    """The portfolio was changed since the version that the caller saw."""

    code = "version_conflict"
    http_status = 409


class BrokenLedger(CryptoMcpError):
    """The ledger was changed from outside, or does not add up."""

    code = "broken_ledger"


@dataclass(slots=True)
class State:
    """A portfolio as its ledger has it.

    Attributes:
        document: the snapshot as it is kept, with the valuation last written into it.
        seal: of the newest entry.
    """

    owner: str
    name: str
    version: int
    seal: str
    book: Book
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """One entry to be: its kind, its data, and when it happened."""

    kind: str
    data: dict[str, Any]
    at: datetime


Make: TypeAlias = "Callable[[State | None], Awaitable[Change]]"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an audit of a portfolio found; `problem` is empty if all is well."""

    owner: str
    name: str
    entries: int
    problem: str = ""


class PortfolioLedger:
    """Portfolios of all owners. One for a process."""

    def __init__(self, documents: PortfolioDocuments) -> None:
        self._documents = documents
        self._seen: LRUCache[tuple[str, str], State] = LRUCache(_KEPT)
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def read(self, owner: str, name: str) -> State:
        """As `load`, for who changes nothing of it: what was seen before, as long as the ledger has no newer entry."""
        seen = self._seen.pop((owner, name), None)
        if seen is not None:
            last = await self._documents.last_entry(owner, name)
            if last is None or last["seal"] != seen.seal:
                seen = None
        if seen is None:
            seen = await self.load(owner, name)
        self._seen[owner, name] = seen
        return seen

    async def load(self, owner: str, name: str) -> State:
        """The portfolio, caught up with its ledger; `UnknownPortfolio` if there is none."""
        snapshot, last = await asyncio.gather(
            self._documents.snapshot(owner, name), self._documents.last_entry(owner, name)
        )
        if last is None or last["kind"] == "deleted":
            raise UnknownPortfolio(
                f"there is no portfolio {name!r}", hint="Action `list` names yours; action `create` makes one."
            )
        if snapshot is not None and snapshot["version"] >= last["seq"]:
            return State(owner, name, snapshot["version"], snapshot["seal"], book_of(snapshot), snapshot)
        return await self._caught_up(owner, name, snapshot)

    async def _caught_up(self, owner: str, name: str, snapshot: dict[str, Any] | None) -> State:
        """Applies what the snapshot has not seen; a worker that died between the two writes left it behind."""
        after = snapshot["version"] if snapshot is not None else 0
        entries = await self._documents.entries(owner, name, after=after)
        book = book_of(snapshot) if snapshot is not None else Book()
        document = dict(snapshot or {})
        for entry in entries:
            book = apply(book, entry)
            document |= _titles(entry)
        state = State(owner, name, entries[-1]["seq"], entries[-1]["seal"], book, document)
        await self._documents.keep_snapshot(_document(state))
        return state

    async def change(
        self,
        owner: str,
        name: str,
        job_id: str,
        make: Make,
        *,
        version: int | None = None,
    ) -> tuple[State, dict[str, Any]]:
        """Adds the entry that `make` makes of the present state, and returns the state after it with the entry.

        A job that has made its entry already gets it back and changes nothing. `make` may be called again when another
        writer was faster, and raises what speaks against the change.

        Raises:
            VersionConflict: the portfolio has another version than `version`.
        """
        turn = self._turns.setdefault((owner, name), asyncio.Lock())
        async with turn:
            for attempt in range(_PATIENCE):
                done = await self._documents.entry_of_job(owner, name, job_id)
                if done is not None:
                    return await self._state_after(owner, name, done), done
                entry = await self._try(owner, name, job_id, make, version)
                if entry is not None:
                    return entry
                pause = min(_LONGEST_PAUSE, 0.001 * 2**attempt)
                await asyncio.sleep(random.uniform(0, pause))  # noqa: S311 - no secret # nosec B311
        raise StoreUnavailable("too many writers at once", hint="Repeat the call.", retry_after=1)

    async def _try(
        self, owner: str, name: str, job_id: str, make: Make, version: int | None
    ) -> tuple[State, dict[str, Any]] | None:
        before = await self._before(owner, name)
        if version is not None and version != (before.version if before is not None else 0):
            now = before.version if before is not None else 0
            raise VersionConflict(
                f"the portfolio has version {now}, not {version}", hint="Read it again and decide anew."
            )
        last = await self._documents.last_entry(owner, name) if before is None else None
        change = await make(before)
        seq = before.version if before is not None else (last["seq"] if last is not None else 0)
        sealed = before.seal if before is not None else (last["seal"] if last is not None else FIRST_SEAL)
        entry: dict[str, Any] = {
            "user_id": owner,
            "portfolio_id": name,
            "seq": seq + 1,
            "kind": change.kind,
            "data": change.data,
            "at": _milliseconds(change.at),
            "recorded_at": _milliseconds(datetime.now(UTC)),
            "job_id": job_id,
        }
        entry["seal"] = seal(entry, sealed)
        book = apply(before.book if before is not None else Book(), entry)  # refuses what cannot be
        if not await self._documents.add(entry):
            return None
        document = (dict(before.document) if before is not None else {}) | _titles(entry)
        state = State(owner, name, entry["seq"], entry["seal"], book, document)
        if change.kind == "deleted":
            await self._documents.drop_snapshot(owner, name, state.version)
            await self._documents.drop_equity(owner, name)
        else:
            await self._documents.keep_snapshot(_document(state))
        return state, entry

    async def _before(self, owner: str, name: str) -> State | None:
        try:
            return await self.load(owner, name)
        except UnknownPortfolio:
            return None

    async def _state_after(self, owner: str, name: str, entry: dict[str, Any]) -> State:
        """The present state, for a job that is run again; nothing to show of a portfolio it has deleted."""
        found = await self._before(owner, name)
        return found or State(owner, name, entry["seq"], entry["seal"], Book(), {})

    async def entries(self, owner: str, name: str) -> list[dict[str, Any]]:
        """The entries of the portfolio that is there now, from its creation on."""
        return _since_created(await self._documents.entries(owner, name))

    async def verify(self, owner: str, name: str) -> Verdict:
        """Rebuilds a portfolio from its ledger and compares: seals, sequence, and the snapshot to the last digit."""
        entries = await self._documents.entries(owner, name)
        broken = broken_at(entries)
        if broken is not None:
            return Verdict(owner, name, len(entries), f"entry {broken} is missing or was changed")
        snapshot = await self._documents.snapshot(owner, name)
        alive = _since_created(entries)
        if not alive:
            return Verdict(owner, name, len(entries), "" if snapshot is None else "deleted, but a snapshot is there")
        try:
            book = rebuilt(alive)
        except CryptoMcpError as error:
            return Verdict(owner, name, len(entries), f"the entries do not add up: {error.message}")
        if snapshot is None or snapshot["version"] < entries[-1]["seq"]:
            await self.load(owner, name)  # a killed writer left it behind; what it missed is in the ledger
            snapshot = await self._documents.snapshot(owner, name)
        if snapshot is None or book_document(book_of(snapshot)) != book_document(book):
            return Verdict(owner, name, len(entries), "the snapshot differs from what its ledger adds up to")
        return Verdict(owner, name, len(entries))


def _since_created(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entries of the portfolio that is there now; none if it was deleted."""
    first = max((i for i, entry in enumerate(entries) if entry["kind"] == "created"), default=len(entries))
    alive = entries[first:]
    return [] if alive and alive[-1]["kind"] == "deleted" else alive


def _titles(entry: dict[str, Any]) -> dict[str, Any]:
    """What an entry says of the portfolio itself."""
    if entry["kind"] != "created":
        return {}
    data = entry["data"]
    return {"name": data.get("name"), "currency": data["currency"], "created_at": entry["recorded_at"]}


def _document(state: State) -> dict[str, Any]:
    """The snapshot as the specification has it. The valuation stays until the next one."""
    kept = {
        (position["symbol"], position["market"]): position for position in state.document.get("positions", [])
    }  # fmt: skip
    fresh = book_document(state.book)
    for position in fresh["positions"]:
        before = kept.get((position["symbol"], position["market"]), {})
        position |= {"current_price": before.get("current_price"), "pnl_percent": before.get("pnl_percent")}
    metrics = {"portfolio_var_95": None, "max_drawdown": None, "sharpe_ratio": None}
    return {
        "portfolio_id": state.name,
        "user_id": state.owner,
        "name": state.document.get("name"),
        "currency": state.document["currency"],
        "created_at": state.document["created_at"],
        **fresh,
        "risk_metrics": state.document.get("risk_metrics", metrics),
        "version": state.version,
        "seal": state.seal,
        "last_updated": _milliseconds(datetime.now(UTC)),
    }


def _milliseconds(moment: datetime) -> datetime:
    """As MongoDB keeps it: UTC, cut to milliseconds."""
    utc = moment.astimezone(UTC)
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)
