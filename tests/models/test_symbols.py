"""Symbols as people write them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from crypto_mcp.models.analysis import AnalyzeParams
from crypto_mcp.models.symbols import exchange_symbol


@pytest.mark.parametrize(
    ("written", "symbol"),
    [
        ("BTC", "BTCUSDT"),
        ("btc/usdt", "BTCUSDT"),
        ("BTC-USDT", "BTCUSDT"),
        (" btc usdt ", "BTCUSDT"),
        ("BTCUSDT", "BTCUSDT"),
        ("ETH/BTC", "ETHBTC"),
        ("ETHBTC", "ETHBTC"),
        ("sol_usdc", "SOLUSDC"),
        ("WBTC", "WBTCUSDT"),
        ("stETH", "STETHUSDT"),
        ("1000pepe", "1000PEPEUSDT"),
        ("BNB", "BNBUSDT"),
        ("USDT", "USDTUSDT"),
    ],
)
def test_usual_spellings_name_one_symbol(written: str, symbol: str) -> None:
    assert exchange_symbol(written) == symbol
    assert AnalyzeParams(symbol=written).symbol == symbol


@pytest.mark.parametrize("written", ["", " ", "/", "BTC$", "../../etc", "BTC\nUSDT", "A" * 60, 5, None, ["BTC"]])
def test_what_cannot_be_a_symbol_is_refused(written: object) -> None:
    with pytest.raises(ValidationError):
        AnalyzeParams.model_validate({"symbol": written})
