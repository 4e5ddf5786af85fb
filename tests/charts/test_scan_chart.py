"""The picture of a scan: any number of matches, of any kind, in both themes."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO

import pytest
from PIL import Image

from crypto_mcp.charts.scan_chart import draw_scan
from crypto_mcp.charts.theme import ThemeName
from crypto_mcp.models.scans import KeyLevels, LeftOut, MarketScan, ScanData, ScanRow
from crypto_mcp.models.timeframes import Timeframe

AT = datetime(2026, 1, 1, tzinfo=UTC)


def scan(matched: int) -> MarketScan:
    rows = [
        ScanRow(
            symbol=f"{'LONGNAME' * (i % 3)}{i}USDT", side=("long", "short", "neutral")[i % 3], score=i % 11,
            price=10.0 ** (i % 12 - 6), change_percent=None if i % 5 == 0 else (i % 7 - 3) * 40.0, volume=1.0,
            why=["rsi(14) 25"] * (i % 9), levels=KeyLevels(), spark="▄" * (i % 4) * 4,
            closes=[1.0, 2.0] if i % 2 else None,
        )
        for i in range(matched)
    ]  # fmt: skip
    data = ScanData(source="sandbox", timeframes=[Timeframe.H1], bars=300, last_bar=AT, age_seconds=1)
    return MarketScan(
        scan_type="custom", timestamp=AT, looks_for="what its condition says",
        conditions={"any": "close > 0 and " * 40}, ranked_by="how lately", data=data,
        listed=400, looked_at=400, matched=matched,
        left_out=[LeftOut(why="stablecoin or fiat", count=2, symbols=[])], rows=rows,
    )  # fmt: skip


@pytest.mark.parametrize(("matched", "theme"), [(0, "dark"), (1, "light"), (7, "dark"), (100, "light")])
def test_any_scan_is_a_picture_of_the_stated_size(matched: int, theme: ThemeName) -> None:
    image = Image.open(BytesIO(draw_scan(scan(matched), theme=theme)))
    assert (image.format, image.size) == ("PNG", (1080, 1350))
