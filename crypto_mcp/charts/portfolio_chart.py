"""The picture of a portfolio: what it is made of, how it went, and what moves together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from crypto_mcp.charts import numbers
from crypto_mcp.charts.theme import DPI, HEIGHT_INCHES, THEMES, WIDTH_INCHES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from crypto_mcp.charts.theme import Theme, ThemeName
    from crypto_mcp.models.portfolio import CorrelationView, PortfolioReport, PositionView

_BARS = 8


@dataclass(frozen=True, slots=True)
class Curve:
    """Equity over time (seconds since the epoch) with its drawdowns (shares, 0 or more); at least two points.

    `sampled` is False where it is what the present positions would have been worth.
    """

    times: Sequence[float]
    equity: Sequence[float]
    drawdowns: Sequence[float]
    sampled: bool


def draw_portfolio(report: PortfolioReport, curve: Curve | None, *, theme: ThemeName = "dark") -> bytes:
    """A PNG of 1080 x 1350 pixels: allocation, equity and drawdown, correlations.

    Args:
        report: a reading with the section `correlation`; what it lacks is left out and said.
        curve: None where nothing is known of the past.
    """
    look = THEMES[theme]
    figure = Figure(figsize=(WIDTH_INCHES, HEIGHT_INCHES), dpi=DPI, facecolor=look.background)
    canvas = FigureCanvasAgg(figure)
    _header(figure, report, look)
    _allocation(figure.add_axes((0.19, 0.625, 0.60, 0.205)), report, look)
    equity, falls = figure.add_axes((0.04, 0.415, 0.82, 0.145)), figure.add_axes((0.04, 0.345, 0.82, 0.065))
    _curve(equity, falls, curve, report.currency or "", look)
    _correlations(figure, report.correlation, look)
    _footer(figure, report, look)
    out = BytesIO()
    canvas.print_png(out)  # type: ignore[no-untyped-call]
    return out.getvalue()


def _header(figure: Figure, report: PortfolioReport, look: Theme) -> None:
    currency = report.currency or ""
    title = (report.name or report.portfolio_id)[:28]
    figure.text(0.04, 0.955, title, color=look.ink, fontsize=19, fontweight="bold", va="center")
    figure.text(
        0.96, 0.955, f"{numbers.price(float(report.equity or 0))} {currency}", color=look.ink, fontsize=17,
        fontweight="bold", ha="right", va="center",
    )  # fmt: skip
    if report.pnl is not None:
        total = float(report.pnl.total)
        share = report.pnl.total_percent
        words = f"{numbers.signed(total)} {currency}" + (f"  ·  {share:+.2f} %" if share is not None else "")
        colour = look.up if total > 0 else look.down if total < 0 else look.faint
        figure.text(0.96, 0.918, words, color=colour, fontsize=12, ha="right", va="center")
    held = f"{report.positions_total or 0} positions  ·  version {report.version}"
    figure.text(0.04, 0.918, held, color=look.faint, fontsize=12, va="center")
    figure.text(0.04, 0.880, _risk_words(report), color=look.ink, fontsize=10, va="center")


def _risk_words(report: PortfolioReport) -> str:
    risk, performance = report.risk, report.performance
    parts = []
    if risk is not None:
        parts.append(f"VaR 95  {risk.var_95_percent:.1f} % a day")
        parts.append(f"volatility {risk.volatility_percent:.0f} % a year")
    if performance is not None:
        parts.append(f"deepest drawdown {performance.max_drawdown:.0f} %")
        if performance.sharpe_ratio is not None:
            parts.append(f"Sharpe {performance.sharpe_ratio:.2f}")
    return "  ·  ".join(parts) or "no risk figures: nothing priced is held"


def _bare(axes: Axes, look: Theme) -> None:
    axes.set_facecolor(look.panel)
    axes.tick_params(colors=look.faint, labelsize=8, length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _caption(axes: Axes, text: str, look: Theme, *, left: float = 0.0) -> None:
    axes.annotate(
        text, (left, 1.0), xycoords="axes fraction", xytext=(0, 7), textcoords="offset points", color=look.faint,
        fontsize=9, ha="left", va="bottom", annotation_clip=False,
    )  # fmt: skip


def _allocation(axes: Axes, report: PortfolioReport, look: Theme) -> None:
    """Bars of the largest positions and cash, percent of equity; shorts to the left."""
    _bare(axes, look)
    rows: list[tuple[str, float, float | None]] = [
        (_label(each), each.weight_percent or 0.0, _gain(each)) for each in report.positions if each.value
    ]
    rows, rest = rows[:_BARS], rows[_BARS:]
    if rest:
        rows.append((f"{len(rest)} more", sum((weight for _, weight, _ in rest), 0.0), None))
    equity = float(report.equity or 0)
    if equity > 0 and report.cash:
        rows.append(("cash", 100 * float(report.cash) / equity, None))
    _caption(axes, "allocation in percent of equity, and gain since entry", look, left=-0.25)
    if not rows:
        axes.set_xticks([])
        axes.set_yticks([])
        return
    places = np.arange(len(rows))[::-1]
    shades = [look.faint if gain is None else look.up if gain >= 0 else look.down for _, _, gain in rows]
    axes.barh(places, [weight for _, weight, _ in rows], height=0.62, color=shades, alpha=0.85, zorder=3)
    axes.axvline(0, color=look.grid, linewidth=1.0, zorder=2)
    axes.set_yticks(places, [name for name, _, _ in rows])
    axes.tick_params(axis="y", colors=look.ink, labelsize=9)
    axes.set_xticks([])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    reach = max(abs(weight) for _, weight, _ in rows) or 1.0
    axes.set_xlim(min(0.0, *(weight for _, weight, _ in rows)) - 0.02 * reach, reach * 1.02)
    for place, (_, weight, gain) in zip(places, rows, strict=True):
        words = f"{weight:.1f} %" + ("" if gain is None else f"   {gain:+.1f} %")
        axes.annotate(
            words, (max(weight, 0.0), place), xytext=(6, 0), textcoords="offset points", color=look.ink, fontsize=8.5,
            va="center", ha="left", annotation_clip=False,
        )  # fmt: skip


def _label(each: PositionView) -> str:
    side = " short" if each.side == "short" else ""
    return each.symbol[:14] + (side or (" perp" if each.market == "perpetual" else ""))


def _gain(each: PositionView) -> float:
    return each.pnl_percent or 0.0


def _curve(equity: Axes, falls: Axes, curve: Curve | None, currency: str, look: Theme) -> None:
    """Equity above, its fall from the highest point below, on one time axis."""
    for axes in (equity, falls):
        _bare(axes, look)
        axes.yaxis.tick_right()
        axes.grid(visible=True, axis="y", color=look.grid, linewidth=0.7)
        axes.set_axisbelow(True)
        axes.set_xticks([])
    if curve is None:
        _caption(equity, "equity: nothing is known of the past yet", look)
        equity.set_yticks([])
        falls.set_yticks([])
        return
    words = "equity" if curve.sampled else "what is held now over its past prices (no month of samples yet)"
    _caption(equity, f"{words}, {currency}", look)
    times = np.asarray(curve.times)
    values, depth = np.asarray(curve.equity), -100 * np.asarray(curve.drawdowns)
    line = look.slow if curve.sampled else look.faint
    equity.plot(times, values, color=line, linewidth=1.5, linestyle="-" if curve.sampled else (0, (5, 1)))
    equity.fill_between(times, values, values.min(), color=line, alpha=0.12, linewidth=0)
    equity.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _amount(value, float(values.max()))))
    equity.yaxis.set_major_locator(MaxNLocator(4))
    falls.fill_between(times, depth, 0, color=look.down, alpha=0.45, linewidth=0)
    falls.yaxis.set_major_locator(MaxNLocator(2))
    falls.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f} %"))
    for axes in (equity, falls):
        axes.set_xlim(times[0], times[-1])
    ticks = np.linspace(times[0], times[-1], 5)
    form = "%d %b %H:%M" if times[-1] - times[0] < 3 * 86_400 else "%d %b %Y"
    falls.set_xticks(ticks, [datetime.fromtimestamp(float(tick), UTC).strftime(form) for tick in ticks])
    for i, label in enumerate(falls.get_xticklabels()):
        label.set_horizontalalignment("left" if i == 0 else "right" if i == len(ticks) - 1 else "center")


def _amount(value: float, largest: float) -> str:
    return f"{value:,.0f}" if largest >= 1000 else numbers.price(value)


def _correlations(figure: Figure, correlation: CorrelationView | None, look: Theme) -> None:
    """A square of colours with its numbers; red moves together, blue against each other."""
    axes = figure.add_axes((0.19, 0.055, 0.62, 0.215))
    _bare(axes, look)
    if correlation is None:
        axes.set_xticks([])
        axes.set_yticks([])
        _caption(axes, "correlations need two positions with a history", look, left=-0.24)
        return
    _caption(axes, f"correlation of daily returns, mean {correlation.mean:.2f}", look, left=-0.24)
    matrix = np.array(correlation.matrix)
    colours = LinearSegmentedColormap.from_list("correlation", [look.slow, look.background, look.down])
    axes.imshow(matrix, cmap=colours, vmin=-1, vmax=1, aspect="auto")
    names = [name.removesuffix("USDT")[:8] for name in correlation.symbols]
    axes.set_xticks(range(len(names)), names, rotation=0)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(colors=look.ink, labelsize=8 if len(names) <= 8 else 7)
    for i, row in enumerate(matrix):
        for j, value in enumerate(row):
            if i != j:
                axes.text(j, i, f"{value:.2f}", color=look.ink, fontsize=7.5, ha="center", va="center")


def _footer(figure: Figure, report: PortfolioReport, look: Theme) -> None:
    data = report.data
    source = "no prices" if data is None else f"{data.source}  ·  prices {data.age_seconds or 0:.0f} s old"
    missing = f"  ·  without {', '.join(report.unpriced[:3])}: no price" if report.unpriced else ""
    text = f"{report.timestamp:%Y-%m-%d %H:%M} UTC  ·  {source}{missing}  ·  not advice"
    figure.text(0.04, 0.018, text, color=look.faint, fontsize=7.5, va="center")
