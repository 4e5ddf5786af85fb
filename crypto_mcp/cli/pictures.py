"""Charts on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crypto_mcp.cli.configuration import load

Symbol = Annotated[str, typer.Argument(help="Trading pair, such as BTCUSDT.")]
OfBars = Annotated[str, typer.Argument(help="Length of a bar, such as 4h.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="File to write; SYMBOL-TIMEFRAME.png by default.")]
Bars = Annotated[int, typer.Option(min=100, max=1000, help="Closed bars to analyse; the newest 120 are drawn.")]
Theme = Annotated[str, typer.Option(help="dark or light.")]
Wait = Annotated[float, typer.Option(help="Seconds to wait for it.")]


def chart(
    symbol: Symbol,
    timeframe: OfBars = "1h",
    output: Output = None,
    bars: Bars = 500,
    theme: Theme = "dark",
    wait: Wait = 60.0,
) -> None:
    """Draw an analysis as PNG: crypto-mcp chart BTCUSDT 4h -o btc.png"""
    from crypto_mcp.cli.front_end import front_end
    from crypto_mcp.models.symbols import exchange_symbol

    wanted = {"symbol": symbol, "timeframe": timeframe, "bars": bars, "theme": theme}
    with front_end(load()) as client:
        png = client.file("/v1/chart.png", wanted, within=wait)
    path = output or Path(f"{exchange_symbol(symbol)}-{timeframe}.png")
    path.write_bytes(png)
    print(f"{path}: {len(png) // 1024} KB")
