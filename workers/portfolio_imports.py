"""Trade files: looked at without taking anything, or taken as one ledger entry."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crypto_mcp.errors import InvalidRequest, UnknownSymbol
from crypto_mcp.models.portfolio import ImportView, LineProblem, PortfolioParams, PortfolioReport
from crypto_mcp.risk.ledger import book_document, book_of, fill_document
from crypto_mcp.risk.report import shown
from crypto_mcp.risk.rounding import ZERO
from crypto_mcp.risk.trade_files import LineError, TradeFile, UnreadableFile, read_trades
from workers.portfolio_changes import alive, changed_report, present_moment
from workers.portfolio_ledger import Change, State

if TYPE_CHECKING:
    from decimal import Decimal

    from crypto_mcp.risk.book import Book, Fill
    from workers.job import Job

_ERRORS_SHOWN = 50


class UnreadableTrades(InvalidRequest):
    """The text is no trade file of a known format."""

    code = "unreadable_trades"


class NothingToImport(InvalidRequest):
    """Not one line of the file can be taken."""

    code = "nothing_to_import"


@dataclass(slots=True)
class _Taken:
    """What of a file fits the portfolio as it is now."""

    fills: list[Fill]
    errors: list[LineError]
    deposited: Decimal


async def preview(job: Job, params: PortfolioParams) -> PortfolioReport:
    """What an import would do."""
    state = await job.services.portfolios.load(job.client, params.portfolio_id)
    parsed = await _parsed(params, state)
    taken = await _fitting(job, params, state, parsed)
    report = changed_report("preview_import", state, ZERO)
    report.imported = _view(parsed, taken)
    return report


async def take(job: Job, params: PortfolioParams) -> PortfolioReport:
    """Takes every trade that fits, all in one entry; cash they lack is booked as deposited, and said."""
    made: dict[str, Any] = {}

    async def make(found: State | None) -> Change:
        state = alive(found, params)
        parsed = made["parsed"] if "parsed" in made else await _parsed(params, state)
        taken = await _fitting(job, params, state, parsed)
        made.update(parsed=parsed, taken=taken)
        if not taken.fills:
            first = taken.errors[0] if taken.errors else LineError(1, "empty", "the file has no trades")
            raise NothingToImport(
                f"no trade can be taken; line {first.line}: {first.message} [{first.code}]",
                hint="Action `preview_import` lists every line's problem.",
            )
        fills = [fill_document(fill) for fill in taken.fills]
        return Change("traded", {"fills": fills, "advance": True, "file_format": parsed.format}, present_moment())

    ledger = job.services.portfolios
    state, entry = await ledger.change(job.client, params.portfolio_id, job.id, make, version=params.version)
    report = changed_report("import_trades", state, ZERO)
    if "taken" not in made:  # an earlier attempt of this job has taken them
        return report.model_copy(update={"imported": _view_of_entry(entry)})
    return report.model_copy(update={"imported": _view(made["parsed"], made["taken"])})


async def _parsed(params: PortfolioParams, state: State) -> TradeFile:
    assert params.csv is not None
    try:
        return await asyncio.to_thread(read_trades, params.csv, state.document["currency"], params.file_format)
    except UnreadableFile as error:
        raise UnreadableTrades(
            str(error), hint="Export trades of Binance, Coinbase or Kraken, or write the generic columns."
        ) from None


async def _fitting(job: Job, params: PortfolioParams, state: State, parsed: TradeFile) -> _Taken:
    """The trades whose symbols exist, that are not in the ledger yet, and that can be booked in the order of time."""
    unknown = set()
    for symbol in {fill.symbol for fill in parsed.fills}:
        try:
            await job.services.rules.of(symbol)
        except UnknownSymbol:
            unknown.add(symbol)
    ids = [fill.id for fill in parsed.fills if fill.id is not None]
    known = await job.services.mongo.portfolios.known_trades(job.client, params.portfolio_id, ids) if ids else set()
    return await asyncio.to_thread(_booked, state.book, parsed, unknown, known)


def _booked(book: Book, parsed: TradeFile, unknown: set[str], known: set[str]) -> _Taken:
    copy = book_of(book_document(book))
    before = copy.contributions
    taken = _Taken([], list(parsed.errors), ZERO)
    seen = set(known)
    for fill, line in zip(parsed.fills, parsed.lines, strict=True):
        if fill.symbol in unknown:
            taken.errors.append(LineError(line, "unknown_symbol", f"the exchange lists no {fill.symbol}"))
        elif fill.id is not None and fill.id in seen:
            taken.errors.append(LineError(line, "duplicate_trade", f"trade {fill.id} is there already"))
        else:
            try:
                copy.fill(fill, advance=True)
            except InvalidRequest as error:
                taken.errors.append(LineError(line, error.code, error.message))
                continue
            taken.fills.append(fill)
            seen |= {fill.id} if fill.id is not None else set()
    taken.errors.sort(key=lambda error: error.line)
    taken.deposited = copy.contributions - before
    return taken


def _view(parsed: TradeFile, taken: _Taken) -> ImportView:
    fills = taken.fills
    notes = list(parsed.notes)
    if taken.deposited:
        notes.append("The trades needed more cash than there was; the difference is booked as deposited.")
    return ImportView(
        file_format=parsed.format,
        trades=len(fills),
        symbols=sorted({fill.symbol for fill in fills}),
        first=fills[0].at if fills else None,
        last=fills[-1].at if fills else None,
        deposited=shown(taken.deposited),
        rejected=len(taken.errors),
        errors=[LineProblem(line=e.line, code=e.code, message=e.message) for e in taken.errors[:_ERRORS_SHOWN]],
        notes=notes,
    )


def _view_of_entry(entry: dict[str, Any]) -> ImportView:
    """What an earlier attempt of the same job took."""
    fills = entry["data"]["fills"]
    return ImportView(
        file_format=entry["data"]["file_format"],
        trades=len(fills),
        symbols=sorted({fill["symbol"] for fill in fills}),
        deposited=ZERO,
        notes=["Taken by an earlier attempt of this job; the ledger entry has the trades."],
    )
