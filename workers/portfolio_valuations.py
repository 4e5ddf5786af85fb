"""Prices and metrics in the stored document of a portfolio, as the specification has them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from crypto_mcp.errors import StoreUnavailable
from crypto_mcp.models.money import plain
from crypto_mcp.risk.report import stored_metrics

if TYPE_CHECKING:
    from crypto_mcp.risk.valuation import Priced
    from crypto_mcp.stores.portfolio_documents import PortfolioDocuments
    from workers.portfolio_figures import Picture
    from workers.portfolio_ledger import State

_PAUSE = 0.05
"""Seconds by which a valuation follows its answer, so that nobody waits for it."""


class Valuations:
    """Keeps the newest valuation of each portfolio. One for a process."""

    def __init__(self, documents: PortfolioDocuments) -> None:
        self._documents = documents
        self._newest: dict[tuple[str, str], tuple[State, Picture]] = {}
        self._writing: dict[tuple[str, str], asyncio.Task[None]] = {}

    def keep(self, state: State, picture: Picture) -> None:
        """Soon; of several readings of a portfolio in that time the last."""
        key = state.owner, state.name
        self._newest[key] = state, picture
        if key not in self._writing:
            self._writing[key] = asyncio.create_task(self._write(key))

    async def _write(self, key: tuple[str, str]) -> None:
        try:
            while key in self._newest:
                await asyncio.sleep(_PAUSE)
                state, picture = self._newest.pop(key)
                with contextlib.suppress(StoreUnavailable):  # the answer stands without
                    await self._documents.keep_valuation(*key, state.version, _fields(state, picture))
        finally:
            del self._writing[key]

    async def close(self) -> None:
        """Waits for what is still being kept."""
        await asyncio.gather(*self._writing.values(), return_exceptions=True)


def _fields(state: State, picture: Picture) -> dict[str, Any]:
    report = picture.report
    by_key: dict[tuple[str, str], Priced] = {
        (each.position.symbol, each.position.market): each for each in picture.valuation.priced
    }
    fields: dict[str, Any] = {
        "risk_metrics": stored_metrics(report.risk, report.performance),
        "equity": plain(picture.valuation.equity),
        "valued_at": report.timestamp,
    }
    for i, key in enumerate(state.book.positions):
        priced = by_key.get(key)
        fields[f"positions.{i}.current_price"] = None if priced is None else plain(priced.price)
        fields[f"positions.{i}.pnl_percent"] = None if priced is None else round(priced.gain_percent, 4)
    return fields
