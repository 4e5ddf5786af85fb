"""TA-Lib's functions bare: its package wraps each to look for pandas and polars among the arguments, which takes longer
than most of them do on a thousand bars."""

from __future__ import annotations

import math
from inspect import unwrap
from types import SimpleNamespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import talib
else:
    from talib import _ta_lib as _functions
    from talib import get_functions

    talib = SimpleNamespace(**{name: unwrap(getattr(_functions, name)) for name in get_functions()})

__all__ = ["price_unit", "talib"]


def price_unit(price: float) -> float:
    """The power of two nearest to a price. TA-Lib takes what is under 1e-14 for zero, which the ranges of a coin at
    1e-8 are: its functions get prices over this unit, which is exact, and give prices to be multiplied by it."""
    return float(2.0 ** round(math.log2(price)))
