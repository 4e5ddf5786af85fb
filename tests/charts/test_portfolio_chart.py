"""The picture of a portfolio, whatever is known of it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO

import pytest
from PIL import Image

from crypto_mcp.charts.portfolio_chart import Curve, draw_portfolio
from crypto_mcp.charts.theme import ThemeName
from crypto_mcp.models.portfolio import CorrelationView, PortfolioReport, PositionView

CURVE = Curve([86_400.0 * day for day in range(60)], [100.0 + day for day in range(60)], [0.0] * 60, sampled=True)


def report(positions: int) -> PortfolioReport:
    held = [
        PositionView(
            symbol=f"COIN{i}USDT", market="perpetual" if i % 2 else "spot", side="short" if i % 2 else "long",
            size=Decimal(1), entry_price=Decimal(2), current_price=Decimal(3), value=Decimal(10 * (-1) ** i),
            pnl_percent=float(i), weight_percent=10.0 * (-1) ** i,
        )
        for i in range(positions)
    ]  # fmt: skip
    names = [each.symbol for each in held[:10]]
    correlation = CorrelationView(symbols=names, matrix=[[1.0] * len(names)] * len(names), shrinkage=0.1, mean=1.0)
    return PortfolioReport(
        action="get", portfolio_id="p", timestamp=datetime(2026, 1, 1, tzinfo=UTC), version=3, currency="USDT",
        equity=Decimal(100), cash=Decimal(5), positions=held, correlation=correlation if positions > 1 else None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("theme", "positions", "curve"),
    [
        ("dark", 0, None),
        ("light", 0, CURVE),
        ("dark", 1, CURVE),
        ("light", 3, None),
        ("dark", 40, CURVE),
        ("light", 40, None),
    ],
)
def test_any_portfolio_is_a_picture_of_the_stated_size(theme: ThemeName, positions: int, curve: Curve | None) -> None:
    image = Image.open(BytesIO(draw_portfolio(report(positions), curve, theme=theme)))
    assert (image.format, image.size) == ("PNG", (1080, 1350))


def test_the_same_portfolio_gives_the_same_bytes() -> None:
    assert draw_portfolio(report(3), CURVE) == draw_portfolio(report(3), CURVE)
