"""The picture of a scan: what matched as a map of colours, and the best of it as a table."""

from __future__ import annotations

import textwrap
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from crypto_mcp.charts import numbers
from crypto_mcp.charts.theme import DPI, HEIGHT_INCHES, THEMES, WIDTH_INCHES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from crypto_mcp.charts.theme import Theme, ThemeName
    from crypto_mcp.models.scans import MarketScan, ScanRow

TILES, TABLE = 48, 9
"""Matches that the map and the table have room for."""

_FULL_COLOUR = 10.0
"""Percent over 24 hours at which a tile has the whole of its colour."""

_BLOCKS = "▁▂▃▄▅▆▇█"


def draw_scan(scan: MarketScan, *, theme: ThemeName = "dark") -> bytes:
    """A PNG of 1080 x 1350 pixels; the best 48 matches as tiles, the best 9 with their facts."""
    look = THEMES[theme]
    figure = Figure(figsize=(WIDTH_INCHES, HEIGHT_INCHES), dpi=DPI, facecolor=look.background)
    canvas = FigureCanvasAgg(figure)
    _header(figure, scan, look)
    _map(figure, scan, look)
    _table(figure, scan, look)
    _footer(figure, scan, look)
    out = BytesIO()
    canvas.print_png(out)  # type: ignore[no-untyped-call]
    return out.getvalue()


def _header(figure: Figure, scan: MarketScan, look: Theme) -> None:
    title = f"{scan.scan_type.replace('_', ' ').capitalize()} scan"
    figure.text(0.04, 0.957, title, color=look.ink, fontsize=19, fontweight="bold", va="center")
    count = f"{scan.matched} of {scan.looked_at}"
    figure.text(0.96, 0.957, count, color=look.ink, fontsize=17, fontweight="bold", ha="right", va="center")
    figure.text(0.96, 0.924, "symbols match", color=look.faint, fontsize=11, ha="right", va="center")
    bars = ", ".join(str(timeframe) for timeframe in scan.data.timeframes)
    figure.text(0.04, 0.924, f"closed bars of {bars}", color=look.faint, fontsize=11, va="center")
    looks_for = _own_condition(scan) or scan.looks_for
    words = "\n".join(textwrap.wrap(f"Looks for {looks_for}. Score: {scan.ranked_by}.", 96)[:2])
    figure.text(0.04, 0.888, words, color=look.ink, fontsize=9.5, va="center", linespacing=1.4)


def _own_condition(scan: MarketScan) -> str:
    return scan.conditions.get("any", "") if scan.scan_type == "custom" else ""


def _map(figure: Figure, scan: MarketScan, look: Theme) -> None:
    """Tiles, the highest score first; green rose and red fell over 24 hours, the more the stronger."""
    axes = _canvas(figure, (0.04, 0.50, 0.92, 0.34))
    if scan.rows:
        figure.text(0.96, 0.848, "change over 24 h  ·  score", color=look.faint, fontsize=8, ha="right", va="center")
    rows = scan.rows[:TILES]
    if not rows:
        axes.text(0.5, 0.5, "Nothing matches at present.", color=look.faint, fontsize=13, ha="center", va="center")
        return
    columns = next(each for each in (4, 6, 8) if len(rows) <= each * each * 3 // 4 or each == 8)
    lines = -(-len(rows) // columns)
    width, height = 1 / columns, min(1 / lines, 0.5)
    small = columns == 8
    for place, row in enumerate(rows):
        x, y = place % columns * width, 1 - (place // columns + 1) * height
        change = row.change_percent
        shade = _shade(change, look)
        axes.add_patch(Rectangle((x + 0.003, y + 0.008), width - 0.006, height - 0.016, color=shade, linewidth=0))
        middle = x + width / 2
        axes.text(
            middle, y + 0.62 * height, _base(row.symbol), color=look.ink, fontsize=8.5 if small else 12,
            fontweight="bold", ha="center", va="center",
        )  # fmt: skip
        words = f"{row.score:.1f}" if change is None else f"{numbers.signed(change, 1)} %  ·  {row.score:.1f}"
        axes.text(
            middle, y + 0.27 * height, words, color=look.ink, fontsize=6.5 if small else 8.5, ha="center", va="center"
        )


def _shade(change: float | None, look: Theme) -> str:
    """From the grid's colour towards green or red."""
    share = 0.12 + 0.58 * min(1.0, abs(change or 0.0) / _FULL_COLOUR)
    towards = look.grid if change is None else look.up if change >= 0 else look.down
    red, green, blue = (
        (1 - share) * one + share * other for one, other in zip(to_rgb(look.background), to_rgb(towards), strict=True)
    )
    return to_hex((red, green, blue))


def _table(figure: Figure, scan: MarketScan, look: Theme) -> None:
    axes = _canvas(figure, (0.04, 0.05, 0.92, 0.425))
    height = 1 / (TABLE + 0.7)
    titles = ((0.0, "symbol", "left"), (0.20, "side", "left"), (0.42, "score", "right"), (0.58, "price", "right"),
              (0.72, "24 h", "right"), (0.99, "last 16 closes", "right"))  # fmt: skip
    for x, title, side in titles:
        axes.text(x, 1 - 0.35 * height, title, color=look.faint, fontsize=8, ha=side, va="center")
    for place, row in enumerate(scan.rows[:TABLE]):
        top = 1 - (place + 0.7) * height
        axes.plot([0, 1], [top, top], color=look.grid, linewidth=0.8)
        _line(axes, row, top, height, look)


def _line(axes: Axes, row: ScanRow, top: float, height: float, look: Theme) -> None:
    """A row of the table: figures above, the facts below, the closes to the right."""
    upper, lower = top - 0.32 * height, top - 0.74 * height
    colour = {"long": look.up, "short": look.down, "neutral": look.faint}[row.side]
    axes.text(0.0, upper, row.symbol[:16], color=look.ink, fontsize=10.5, fontweight="bold", va="center")
    axes.text(0.20, upper, row.side, color=colour, fontsize=10, va="center")
    axes.add_patch(Rectangle((0.295, upper - 0.09 * height), 0.075, 0.18 * height, color=look.grid, linewidth=0))
    share = 0.075 * row.score / 10
    axes.add_patch(Rectangle((0.295, upper - 0.09 * height), share, 0.18 * height, color=colour, linewidth=0))
    axes.text(0.42, upper, f"{row.score:.1f}", color=look.ink, fontsize=10, ha="right", va="center")
    axes.text(0.58, upper, numbers.price(row.price), color=look.ink, fontsize=10, ha="right", va="center")
    if row.change_percent is not None:
        shade = look.up if row.change_percent >= 0 else look.down
        axes.text(
            0.72, upper, f"{numbers.signed(row.change_percent)} %", color=shade, fontsize=10, ha="right", va="center"
        )
    facts = textwrap.shorten("  ·  ".join(row.why), 88, placeholder=" …")
    axes.text(0.0, lower, facts, color=look.faint, fontsize=8, va="center")
    closes = np.array(row.closes or [_BLOCKS.index(block) for block in row.spark], dtype=np.float64)
    if len(closes) > 1:
        reach = float(np.ptp(closes)) or 1.0
        x = np.linspace(0.80, 0.99, len(closes))
        y = top - 0.82 * height + (closes - closes.min()) / reach * 0.64 * height
        line = look.up if closes[-1] >= closes[0] else look.down
        axes.plot(x, y, color=line, linewidth=1.6, solid_capstyle="round")


def _canvas(figure: Figure, place: tuple[float, float, float, float]) -> Axes:
    """Bare axes from 0 to 1 both ways."""
    axes = figure.add_axes(place)
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    return axes


def _base(symbol: str) -> str:
    return symbol.removesuffix("USDT")[:10]


def _footer(figure: Figure, scan: MarketScan, look: Theme) -> None:
    left_out = sum(left.count for left in scan.left_out)
    more = f"  ·  {left_out} left out" if left_out else ""
    text = (
        f"{scan.timestamp:%Y-%m-%d %H:%M} UTC  ·  {scan.data.source}, bars to {scan.data.last_bar:%H:%M}{more}"
        f"  ·  not advice"
    )
    figure.text(0.04, 0.018, text, color=look.faint, fontsize=7.5, va="center")
