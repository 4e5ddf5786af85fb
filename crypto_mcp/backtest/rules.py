"""The rules of a run as plain numbers, in the layout in which the compiled loop reads them."""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crypto_mcp.models.candles import Floats

Records = NDArray[np.void]
Signals = NDArray[np.int8]


class Signal(IntFlag):
    """What a bar's close says, as bits."""

    LONG_ENTRY = 1
    LONG_EXIT = 2
    SHORT_ENTRY = 4
    SHORT_EXIT = 8


class Reason(IntEnum):
    """Why a fill happened."""

    ENTRY = 0
    SIGNAL = 1
    REVERSE = 2
    STOP = 3
    TRAILING = 4
    BREAK_EVEN = 5
    TARGET = 6
    TIME = 7
    LIQUIDATION = 8
    END = 9


class Unit(IntEnum):
    """What a distance is measured in: a fraction of the entry price, average true ranges, or the way to the stop."""

    NONE = 0
    PERCENT = 1
    ATR = 2
    RISK = 3


class Method(IntEnum):
    """How a position is sized; docs/backtesting.md has the formulas."""

    EQUITY = 0
    FIXED = 1
    RISK = 2
    VOLATILITY = 3
    KELLY = 4


# Fractions, not percent. A rule that is not asked for is 0; `stop_structure` and `has_funding` are 1 if it is.
RULES = np.dtype(
    [
        ("capital", "f8"), ("leverage", "f8"), ("maintenance", "f8"), ("maker", "f8"), ("taker", "f8"),
        ("half_spread", "f8"), ("slippage", "f8"), ("slippage_atr", "f8"), ("impact", "f8"),
        ("stop_percent", "f8"), ("stop_atr", "f8"), ("trail_percent", "f8"), ("trail_atr", "f8"),
        ("even", "f8"), ("amount", "f8"),
        ("stop_structure", "i8"), ("has_funding", "i8"), ("even_unit", "i8"), ("max_bars", "i8"), ("method", "i8"),
        ("max_open", "i8"), ("cooldown", "i8"),
    ],
    align=True,
)  # fmt: skip

# A target: how far, in which unit, and the part of the position that is sold there.
TARGET = np.dtype([("distance", "f8"), ("share", "f8"), ("unit", "i8")], align=True)

# What the exchange demands of a symbol's orders; 0 demands nothing.
INSTRUMENT = np.dtype([("tick", "f8"), ("step", "f8"), ("least_quantity", "f8"), ("least_notional", "f8")], align=True)

# A position from opening to end. Prices in quote asset; `pnl` is net of `fees` and `funding` (what was paid), `margin`
# what was put up, `risk` the way to the stop at the entry (NaN without one), `worst` and `best` how far price went
# against and for it.
TRADE = np.dtype(
    [
        ("symbol", "i8"), ("side", "i8"), ("entry_bar", "i8"), ("exit_bar", "i8"), ("reason", "i8"),
        ("entry_price", "f8"), ("exit_price", "f8"), ("quantity", "f8"), ("pnl", "f8"), ("fees", "f8"),
        ("funding", "f8"), ("margin", "f8"), ("risk", "f8"), ("worst", "f8"), ("best", "f8"),
    ],
    align=True,
)  # fmt: skip

# One order as filled. `side` 1 bought, -1 sold.
FILL = np.dtype(
    [
        ("bar", "i8"), ("symbol", "i8"), ("side", "i8"), ("reason", "i8"), ("price", "f8"), ("quantity", "f8"),
        ("fee", "f8"),
    ],
    align=True,
)  # fmt: skip

# What a run adds up. `wallet` is cash plus margin; `margin` what open positions have put up; `won`, `lost` net results.
ACCOUNT = np.dtype(
    [
        ("wallet", "f8"), ("margin", "f8"), ("fees", "f8"), ("funding", "f8"), ("turnover", "f8"), ("won", "f8"),
        ("lost", "f8"), ("open", "i8"), ("trades", "i8"), ("wins", "i8"), ("fills", "i8"), ("bars_in", "i8"),
        ("refused", "i8"), ("liquidations", "i8"),
    ],
    align=True,
)  # fmt: skip

# One symbol's open position. `quantity` is what is left of `size`; `exit` the reason of an exit decided and not yet
# made; `why` what the stop is at present; `got` adds up what the exits brought; `put_up` is the first margin;
# `was` the side of the position before.
POSITION = np.dtype(
    [
        ("side", "i8"), ("entry_bar", "i8"), ("last_exit", "i8"), ("exit", "i8"), ("why", "i8"), ("filled", "i8"),
        ("quantity", "f8"), ("size", "f8"), ("entry", "f8"), ("margin", "f8"), ("stop", "f8"), ("liquidation", "f8"),
        ("risk", "f8"), ("even_at", "f8"), ("peak", "f8"), ("worst", "f8"), ("best", "f8"), ("fees", "f8"),
        ("funding", "f8"), ("gross", "f8"), ("got", "f8"), ("put_up", "f8"), ("goal", "f8"),
        ("was", "i8"),
    ],
    align=True,
)  # fmt: skip

# One symbol's bar as the steps within it see it. `atr`, swings and `volatility` are those of the close before,
# `atr_now` its own; `equity` what there is at its open.
BAR = np.dtype(
    [
        ("open", "f8"), ("high", "f8"), ("low", "f8"), ("close", "f8"), ("volume", "f8"), ("atr", "f8"),
        ("atr_now", "f8"), ("swing_low", "f8"), ("swing_high", "f8"), ("volatility", "f8"), ("equity", "f8"),
        ("symbol", "i8"), ("index", "i8"),
    ],
    align=True,
)  # fmt: skip


class Market(NamedTuple):
    """Bars of all symbols on one clock: float64 arrays of shape (symbols, bars), `allowed` bool of shape (bars,).

    Where a symbol has no bar its volume is 0 and its prices are the last close. What no rule needs may be of shape
    (symbols, 0): `atr`, `swing_low`, `swing_high`, `volatility` (yearly, a fraction), `funding` (rate charged at the
    open of the bar, a fraction). Those are values at the close of the bar.
    """

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    atr: Floats
    swing_low: Floats
    swing_high: Floats
    volatility: Floats
    funding: Floats
    allowed: NDArray[np.bool_]
