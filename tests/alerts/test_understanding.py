"""What people write, and what is watched then."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from crypto_mcp.alerts.definition import NoSymbol, understand
from crypto_mcp.alerts.message import BadTemplate, checked, filled
from crypto_mcp.conditions import ConditionError
from crypto_mcp.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "symbol", "timeframe", "kind", "condition"),
    [
        ("BTC > 45k", "BTCUSDT", None, "price", "price > 45000"),
        ("btc above 45,000.50", "BTCUSDT", None, "price", "price > 45000.5"),
        ("$DOGE <= .08", "DOGEUSDT", None, "price", "price <= 0.08"),
        ("eth/btc < 0.05", "ETHBTC", None, "price", "price < 0.05"),
        ("1INCH > 0.5", "1INCHUSDT", None, "price", "price > 0.5"),
        ("BTC hits 100k", "BTCUSDT", None, "price", "crosses(price, 100000)"),
        ("btc crosses below 40k", "BTCUSDT", None, "price", "price < 40000"),
        ("btc close > 50k", "BTCUSDT", None, "price", "price > 50000"),
        ("btc 1d price > 50k", "BTCUSDT", "1d", "technical", "price > 50000"),
        ("eth rsi 1h < 30", "ETHUSDT", "1h", "technical", "rsi < 30"),
        ("ETH 4h rsi(21) > 70", "ETHUSDT", "4h", "technical", "rsi(21) > 70"),
        ("sol +5% in 1h", "SOLUSDT", "1m", "percent", "change(close, 60) >= 5%"),
        ("btc drops 5% in 2 days", "BTCUSDT", "15m", "percent", "change(close, 192) <= -5%"),
        ("sol moves 3% in 30 min", "SOLUSDT", "1m", "percent", "abs(change(close, 30)) >= 3%"),
        ("doge volume > 3x", "DOGEUSDT", "1h", "volume", "volume > 3 * sma(volume, 20)"),
        ("eth 4h bullish bos", "ETHUSDT", "4h", "structure", 'bos("bullish")'),
        ("btc new order block", "BTCUSDT", "1h", "structure", "new_order_block()"),
        ("btc new bearish fvg", "BTCUSDT", "1h", "structure", 'new_fvg("bearish")'),
        ("btc touches demand", "BTCUSDT", "1h", "structure", 'in_order_block("demand")'),
        ("btc funding > 0.05%", "BTCUSDT", None, "funding", "funding > 0.05%"),
        ("btc funding rate above 0.05%", "BTCUSDT", None, "funding", "funding > 0.05%"),
        ("eth oi > 1.5m", "ETHUSDT", None, "funding", "open_interest > 1500000"),
        (
            "btc 15m rsi < 30 then close > ema(20) within 3 bars",
            "BTCUSDT",
            "15m",
            "technical",
            "within((rsi < 30)[1], 3) and (close > ema(20))",
        ),
    ],
)
def test_shortcuts(text: str, symbol: str, timeframe: str | None, kind: str, condition: str) -> None:
    found = understand(text)
    assert (found.symbol, found.timeframe, found.type, found.condition) == (symbol, timeframe, kind, condition)
    assert found.sentence


def test_a_window_in_a_shortcut_is_not_the_timeframe_beside_it() -> None:
    found = understand("change(close, 24) > 5% and rsi(14) < 70", symbol="BTCUSDT")
    assert (found.watch, found.timeframe, found.type) == ("bars", "1h", "technical")
    assert understand("price > 45000", symbol="BTCUSDT", intrabar=True).watch == "intrabar"


@pytest.mark.parametrize(
    ("text", "column", "hint"),
    [
        ("BTC rsx(14) < 30", 5, "Did you mean rsi?"),
        ("BTC funding > 0.05", 15, "0.05%"),
        ("btc 4h rsx(14) < 30 and close > 45k", 8, "Did you mean rsi?"),
        ("btc close > 45k and rsx > 3", 21, "Did you mean rsi?"),
        ("BTC > 70k and eth > 4k", 5, "For example"),
        ("eth 1h rsi < 30 then clse > ema(20) within 3 bars", 22, "Did you mean close?"),
        ("BTC 4h rsi(14) <", None, "For example"),
        ("BTC __import__('os').system('ls')", None, "For example"),
    ],
)
def test_what_cannot_be_read_is_pointed_at(text: str, column: int | None, hint: str) -> None:
    with pytest.raises(ConditionError) as refused:
        understand(text)
    assert column is None or refused.value.column == column
    assert hint in refused.value.hint


_TYPE = re.compile(r"^\| `(\w+)` \| (.+?) \| [^|]+ \|$", re.MULTILINE)


def test_what_the_page_on_alerts_has_people_write_is_understood() -> None:
    page = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text()
    table = page.partition("## What can be watched")[2].partition("## ")[0]
    seen = set()
    for kind, written in _TYPE.findall(table):
        for text in written.split("`")[1::2]:
            if text.startswith('"') or " " not in text:
                continue
            portfolio = "default" if kind == "portfolio" else None
            try:
                found = understand(text, portfolio_id=portfolio)
            except NoSymbol:
                found = understand(text, symbol="BTCUSDT")
            assert found.type == kind, text
            seen.add(kind)
    assert seen == {"price", "percent", "technical", "volume", "structure", "funding", "portfolio"}


def test_a_portfolios_figures_need_the_portfolio_and_a_price_the_symbol() -> None:
    assert understand("drawdown > 10%", portfolio_id="default").condition == "drawdown > 10%"
    for text in ("drawdown > 10%", "rsi < 30", "price > 5"):
        with pytest.raises(InvalidRequest):
            understand(text)


@pytest.mark.parametrize(
    "template", ["{price.__class__}", "{0}", "{symbol!r}", "{price:>9999999}", "{", "}{", "{secret}"]
)
def test_a_template_can_name_fields_and_nothing_else(template: str) -> None:
    with pytest.raises(BadTemplate, match="column"):
        checked(template)


def test_what_is_put_into_a_template_is_not_read_as_a_template() -> None:
    assert filled(checked("{symbol}\u202e: {price}"), {"symbol": "{price}", "price": "5"}) == "{price}: 5"
