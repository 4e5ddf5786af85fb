"""TA-Lib's functions bare: its package wraps each to look for pandas and polars among the arguments, which takes longer
than most of them do on a thousand bars."""

from __future__ import annotations

from inspect import unwrap
from types import SimpleNamespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import talib
else:
    from talib import _ta_lib as _functions
    from talib import get_functions

    talib = SimpleNamespace(**{name: unwrap(getattr(_functions, name)) for name in get_functions()})

__all__ = ["talib"]
