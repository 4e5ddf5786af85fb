"""Candles as smartmoneyconcepts wants them."""

from __future__ import annotations

import pandas as pd

from crypto_mcp.models.candles import Candles


def frame(candles: Candles) -> pd.DataFrame:
    """Columns open, high, low, close, volume on a range index."""
    return pd.DataFrame({name: getattr(candles, name) for name in ("open", "high", "low", "close", "volume")})
