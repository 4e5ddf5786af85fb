"""`portfolio_monitor`: reads, changes and values portfolios. The owner is the client that asked, and no one else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from crypto_mcp.errors import SourceUnavailable
from crypto_mcp.models.portfolio import (
    EntryView,
    PortfolioEntry,
    PortfolioParams,
    PortfolioReport,
    SampledEquity,
    SampleParams,
)
from workers import portfolio_changes, portfolio_figures, portfolio_imports
from workers.portfolio_changes import present_moment
from workers.portfolio_figures import warm_up

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from crypto_mcp.models.portfolio import Action
    from workers.job import Job

    Handler = Callable[[Job, PortfolioParams], Awaitable[PortfolioReport]]

WORKS_COLD = True

__all__ = ["WORKS_COLD", "portfolio_monitor", "sample_portfolios", "warm_up"]


async def portfolio_monitor(job: Job, params: PortfolioParams) -> PortfolioReport:
    """Does what `action` says."""
    report = await _HANDLERS[params.action](job, params)
    if not params.reads:
        await _forget_cached(job, params)
    return report


async def sample_portfolios(job: Job, params: SampleParams) -> SampledEquity:
    """Keeps the equity of every portfolio at a moment. Repeated later where no price at all is known."""
    kept, skipped = await portfolio_figures.sample_all(job.services, params.at)
    if skipped and not kept:
        raise SourceUnavailable("no portfolio has all its prices", hint="Sampling is tried again.", retry_after=30)
    return SampledEquity(kept=kept, skipped=skipped)


async def _list(job: Job, params: PortfolioParams) -> PortfolioReport:
    found = await job.services.mongo.portfolios.snapshots(job.client, params.limit)
    entries = [
        PortfolioEntry(
            portfolio_id=each["portfolio_id"],
            name=each.get("name"),
            version=each["version"],
            positions=len(each.get("positions", [])),
            last_updated=each["last_updated"],
        )
        for each in found
    ]
    return PortfolioReport(
        action="list", portfolio_id=params.portfolio_id, timestamp=present_moment(), portfolios=entries
    )


async def _ledger(job: Job, params: PortfolioParams) -> PortfolioReport:
    documents = job.services.mongo.portfolios
    state = await job.services.portfolios.read(job.client, params.portfolio_id)
    entries = await documents.entries(job.client, params.portfolio_id, newest=params.limit)
    return PortfolioReport(
        action="ledger",
        portfolio_id=params.portfolio_id,
        timestamp=present_moment(),
        version=state.version,
        entries=[_entry(each) for each in entries],
    )


def _entry(entry: dict[str, object]) -> EntryView:
    """An entry without the insides of a large import."""
    shown = {name: entry[name] for name in ("seq", "kind", "at", "job_id", "data", "seal")}
    data = dict(entry["data"]) if isinstance(entry["data"], dict) else {}
    fills = data.get("fills", ())
    if len(fills) > 3:
        data = data | {"fills": fills[:3], "fills_total": len(fills)}
    return EntryView.model_validate(shown | {"data": data})


async def _forget_cached(job: Job, params: PortfolioParams) -> None:
    """The cached answers of a portfolio that has changed are untrue now."""
    from crypto_mcp.catalogue import CATALOGUE

    kind = CATALOGUE["portfolio_monitor"]
    reads = (
        PortfolioParams(portfolio_id=params.portfolio_id),
        PortfolioParams(portfolio_id=params.portfolio_id, detail="full"),
    )
    keys = [key for key in (kind.cache_key(read, job.client) for read in reads) if key is not None]
    try:
        async with asyncio.timeout(1):
            await job.services.cache.delete(*keys)
    except (OSError, TimeoutError):
        return  # a cache that is away is read by nobody; its keys end within 30 s


_HANDLERS: dict[Action, Handler] = {
    "get": portfolio_figures.get,
    "history": portfolio_figures.history,
    "list": _list,
    "ledger": _ledger,
    "preview_import": portfolio_imports.preview,
    "import_trades": portfolio_imports.take,
    "create": portfolio_changes.create,
    "delete": portfolio_changes.delete,
    "deposit": portfolio_changes.move_cash,
    "withdraw": portfolio_changes.move_cash,
    "add_position": portfolio_changes.add_position,
    "edit_position": portfolio_changes.edit_position,
    "close_position": portfolio_changes.close_position,
    "record_trade": portfolio_changes.record_trade,
    "record_funding": portfolio_changes.record_funding,
}
