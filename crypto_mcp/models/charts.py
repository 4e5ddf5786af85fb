"""`draw_chart`: parameters and result."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from crypto_mcp.models.analysis import Provenance
from crypto_mcp.models.answers import Contract
from crypto_mcp.models.symbols import SymbolName
from crypto_mcp.models.timeframes import Timeframe

ChartTheme = Literal["dark", "light"]

LONGEST = 2000
"""Bars between the ends of a range: twice what is analysed, for bars that the exchange does not have."""


class ChartParams(Contract):
    """Which analysis to draw: of the newest bars, or of those that an earlier one was made of."""

    symbol: SymbolName
    timeframe: Timeframe = Field(Timeframe.H1, description="Length of a bar.")
    bars: int = Field(500, ge=100, le=1000, description="Closed bars to analyse; the newest 120 are drawn.")
    theme: ChartTheme = Field("dark", description="Background of the picture.")
    first_bar: AwareDatetime | None = Field(None, description="Start of the oldest bar, where `last_bar` is given.")
    last_bar: AwareDatetime | None = Field(None, description="Start of the newest bar; the newest closed by default.")

    @model_validator(mode="after")
    def _a_range(self) -> Self:
        if self.first_bar is None or self.last_bar is None:
            if self.first_bar is not self.last_bar:
                raise ValueError("give both first_bar and last_bar, or neither")
            return self
        bars = (self.last_bar - self.first_bar) / timedelta(milliseconds=self.timeframe.milliseconds)
        if not 0 < bars < LONGEST:
            raise ValueError(f"first_bar to last_bar must be at most {LONGEST} bars of {self.timeframe}")
        return self


class Chart(Contract):
    """A picture of an analysis and what it shows."""

    data: Provenance = Field(description="Where the bars come from.")
    theme: ChartTheme = Field(description="Background of the picture.")
    newest: bool = Field(description="Whether it shows the newest bars, so that the next bar makes it old.")
    drawn_at: datetime = Field(description="When it was drawn, UTC.")
    png: str = Field(description="The picture, 1080 x 1350 pixels, base64.")
