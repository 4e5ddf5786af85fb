"""Handler of `list_symbols`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crypto_mcp.models.markets import TRADING
from crypto_mcp.models.symbols import SymbolList, SymbolListParams

if TYPE_CHECKING:
    from workers.job import Job


async def list_symbols(job: Job, params: SymbolListParams) -> SymbolList:
    """Pairs that trade now, by the volume of their last day."""
    tickers = await job.services.tickers.all()
    rules = await job.services.rules.read()
    trading = {name for name, each in rules.items() if each.status == TRADING}
    found = sorted(tickers, key=lambda each: each.quote_volume, reverse=True)
    return SymbolList(symbols=[each.symbol for each in found if each.symbol in trading][: params.limit])
