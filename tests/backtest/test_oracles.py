"""Trade for trade against an engine of other people, on recorded prices, with fees.

`make bench ONLY=backtest` does the same with a year, and with vectorbt, which takes half a minute to compile.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.backtest.oracles import CASES, backtesting_py, compared, equity_of, ours, prepared, recorded

if TYPE_CHECKING:
    from tests.backtest.oracles import Case

BARS = 2000


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_trade_is_backtesting_pys(case: Case) -> None:
    """The same bars, prices and account after each trade; at least five of them."""
    candles = recorded()[:BARS]
    arrays = prepared(case, candles)
    mine = ours(arrays)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = backtesting_py(case, candles, arrays)
    found = compared(mine, theirs)
    assert (found.same, len(found.differing)) == (len(mine), 0)
    assert len(mine) >= 5
    np.testing.assert_allclose(equity_of(mine), equity_of(theirs), rtol=1e-6)
