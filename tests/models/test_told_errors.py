"""What is wrong with parameters is told by field and in words, without the machinery that found it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from crypto_mcp.models.backtest import BacktestParams
from crypto_mcp.models.strategy import Strategy
from crypto_mcp.validation import explain

HALVES = [{"at": "2%", "share": 60}, {"at": "3%", "share": 60}]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"strategy": {"entry": "x", "targets": HALVES}}, "strategy: the shares of the targets add up to more than"),
        ({"strategy": {"entry": "x", "stop": "3 %%"}}, "strategy.stop: write 3%, 2 atr or structure"),
        ({"strategy": {"entry": "x", "stop": ["3%", "2"]}}, "strategy.stop.1: write 3%, 2 atr or structure"),
        ({"strategy": {"entry": "x", "trailing": "2R"}}, "strategy.trailing: write 5% or 3 atr"),
        ({"strategy": {"entry": "x", "max_bars": "soon"}}, "strategy.max_bars: write a number, or {name}"),
        ({"strategy": {"entri": "x"}}, "strategy.entri: Extra inputs are not permitted"),
        ({"strategy": 5}, "strategy: Input should be a valid string; strategy: Input should be a valid dictionary"),
        ({"walk_forward": {"windows": 5}}, "body: walk_forward needs a search"),
        ({"leverage": "much", "capital": 0}, "capital: Input should be greater than 0; leverage: Input should be a"),
    ],
)
def test_an_error_names_the_field_and_what_to_write(params: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as raised:
        BacktestParams.model_validate({"symbols": "BTC"} | params)
    assert explain(raised.value).startswith(said)
    assert "[" not in explain(raised.value)


def test_what_is_accepted_is_what_the_schema_says() -> None:
    schema = Strategy.model_json_schema()["properties"]
    pattern = schema["trailing"]["anyOf"][0]["pattern"]
    assert pattern.startswith("^")
    assert Strategy.model_validate({"entry": "close > 1", "trailing": " 2.5 atr "}).trailing == " 2.5 atr "


@pytest.mark.parametrize("written", ["2024-05-01", "2024-05-01T00:00", "2024-05-01T00:00Z", "2024-05-01T02:00+02:00"])
def test_a_day_or_a_time_without_its_zone_is_utc(written: str) -> None:
    assert BacktestParams.model_validate({"symbols": "BTC", "start": written}).start == datetime(2024, 5, 1, tzinfo=UTC)
