"""Results at a terminal of 80 columns."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from crypto_mcp.cli.render import result_tables


def printed(result: dict[str, Any]) -> list[str]:
    console = Console(width=80, record=True, file=None, quiet=False)
    with console.capture() as capture:
        console.print(result_tables(result))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_what_a_scan_found_is_a_line_each() -> None:
    """A price far below one keeps its digits."""
    row = {
        "symbol": "SBX335USDT", "side": "long", "score": 9.36, "price": 0.0000285604, "change_percent": 13.92,
        "volume": 1.0, "why": ["rsi(14) 74", "adx(14) 31"], "levels": {"support": None}, "spark": "▁▂▃▄▅▆▇█" * 2,
        "closes": None,
    }  # fmt: skip
    (line,) = [line for line in printed({"rows": [row, row | {"symbol": "X"}]}) if "SBX335USDT" in line]
    for words in ("long", "9.36", "0.0000285604", "+13.9 %", "▁▂▃▄▅▆▇█▁▂▃▄▅▆▇█", "rsi"):
        assert words in line


def test_records_with_many_fields_are_shown_one_below_the_other() -> None:
    record = {f"field_{i}": i + 0.5 for i in range(12)} | {"levels": {"low": 1, "high": 2.5}, "nothing": None}
    lines = printed({"found": [record]})
    assert "  field_11     11.5" in lines
    assert any("levels.high" in line and "2.5" in line for line in lines)
    assert not any("nothing" in line for line in lines)
