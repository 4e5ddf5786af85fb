"""The chart of an analysis: price with its structure, volume, and the factors of the score."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import talib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter

from crypto_mcp.charts import numbers
from crypto_mcp.charts.picture import choose
from crypto_mcp.charts.price_panel import draw_average, draw_candles, draw_structure, draw_volume
from crypto_mcp.charts.score_panel import draw_factors
from crypto_mcp.charts.tags import Tag, spread
from crypto_mcp.charts.theme import DPI, HEIGHT_INCHES, THEMES, WIDTH_INCHES, Theme, ThemeName

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from crypto_mcp.analysis.market_structure import Structure
    from crypto_mcp.models.analysis import Analysis
    from crypto_mcp.models.candles import Candles, Floats

VIEW = 120
"""Bars shown: on a phone more are not told apart."""

_FAST, _SLOW = 21, 55
_ROOM_RIGHT = 22
_TAG_LETTERS = 13
"""Letters of a tag for which there is room at full size."""

_ACTIONS = {"STRONG_BUY": "STRONG BUY", "STRONG_SELL": "STRONG SELL"}


@dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    high: float

    def height(self, share: float) -> float:
        return (self.high - self.low) * share


def draw_analysis(candles: Candles, structure: Structure, analysis: Analysis, *, theme: ThemeName = "dark") -> bytes:
    """A PNG of 1080 x 1350 pixels.

    Args:
        candles: the closed bars the analysis was made of, at least two; the newest 120 are shown.
        structure: findings in the same bars.
        analysis: supplies title, plan, factors and source.
    """
    look = THEMES[theme]
    first = max(0, len(candles) - VIEW)
    view = candles[first:]
    scale = _scale(view, analysis)
    figure = Figure(figsize=(WIDTH_INCHES, HEIGHT_INCHES), dpi=DPI, facecolor=look.background)
    canvas = FigureCanvasAgg(figure)
    price, volume, score = _panels(figure, look, len(view))
    price.set_ylim(scale.low, scale.high)
    draw_structure(
        price, choose(structure, first, scale.low, scale.high), len(view) + _ROOM_RIGHT / 3, look, scale.height(0.035)
    )
    for period, colour in ((_FAST, look.fast), (_SLOW, look.slow)):
        draw_average(price, _average(candles.close, period)[first:], colour)
    draw_candles(price, view, look)
    _plan(price, analysis, len(view), look, scale)
    draw_volume(volume, view, look)
    _time_axis(volume, view, look)
    draw_factors(score, analysis.factors, look)
    _header(figure, analysis, look)
    _footer(figure, analysis, look)
    out = BytesIO()
    canvas.print_png(out)  # type: ignore[no-untyped-call]
    return out.getvalue()


def _average(close: Floats, period: int) -> Floats:
    if len(close) < period:
        return np.full(len(close), np.nan)
    values: Floats = talib.EMA(close, period)
    return values


def _scale(view: Candles, analysis: Analysis) -> _Scale:
    """The bars' range, and the plan's prices unless they lie so far off that the bars would be squeezed."""
    low, high = float(view.low.min()), float(view.high.max())
    reach = max(high - low, high * 1e-6)
    plan = analysis.plan
    if plan is not None:
        for level in (plan.stop, plan.target_1, plan.target_2):
            if low - reach * 0.5 < level < high + reach * 0.5:
                low, high = min(low, level), max(high, level)
    reach = max(high - low, high * 1e-6)
    return _Scale(low - 0.05 * reach, high + 0.06 * reach)


def _panels(figure: Figure, look: Theme, bars: int) -> tuple[Axes, Axes, Axes]:
    price = figure.add_axes((0.02, 0.325, 0.82, 0.525))
    volume = figure.add_axes((0.02, 0.245, 0.82, 0.075), sharex=price)
    score = figure.add_axes((0.04, 0.045, 0.92, 0.15))
    for axes in (price, volume):
        axes.set_facecolor(look.panel)
        axes.set_xlim(-1.5, bars + _ROOM_RIGHT / 3)
        axes.tick_params(colors=look.faint, labelsize=8, length=0)
        axes.grid(visible=True, color=look.grid, linewidth=0.7)
        axes.set_axisbelow(True)
        for spine in axes.spines.values():
            spine.set_visible(False)
    price.yaxis.tick_right()
    price.yaxis.set_major_formatter(FuncFormatter(lambda value, _: numbers.price(value)))
    price.tick_params(axis="x", labelbottom=False)
    price.tick_params(axis="y", labelright=False)
    volume.set_yticks([])
    score.set_facecolor(look.panel)
    return price, volume, score


def _plan(axes: Axes, analysis: Analysis, bars: int, look: Theme, scale: _Scale) -> None:
    """Lines for entry, stop and targets from the last bar on, and tags for every price that matters."""
    tags = [Tag(numbers.price(analysis.price), analysis.price, look.ink)]
    plan = analysis.plan
    right = bars + _ROOM_RIGHT / 3
    if plan is not None:
        good, bad = look.up, look.down
        axes.axhspan(
            plan.entry_low, plan.entry_high, xmin=(bars + 1.5) / (right + 1.5), color=look.accent, alpha=0.35, zorder=2
        )
        axes.annotate(
            "entry",
            (right, plan.entry_high),
            xytext=(-2, 2),
            textcoords="offset points",
            ha="right",
            fontsize=7,
            color=look.accent,
            path_effects=[withStroke(linewidth=2, foreground=look.background)],
            zorder=7,
        )
        for text, level, colour, rank in (
            ("stop", plan.stop, bad, 1),
            ("T1", plan.target_1, good, 2),
            ("T2", plan.target_2, good, 3),
        ):
            axes.plot([bars - 1, right], [level, level], color=colour, linewidth=1.2, linestyle=(0, (4, 2)), zorder=5)
            tags.append(Tag(f"{text} {numbers.price(level)}", level, colour, rank=rank))
    axes.plot([-1.5, right], [analysis.price, analysis.price], color=look.faint, linewidth=0.7, linestyle=":", zorder=2)
    tags += [
        Tag(numbers.price(float(tick)), float(tick), look.faint, filled=False, rank=9)
        for tick in axes.get_yticks()
        if scale.low < tick < scale.high
    ]
    _draw_tags(axes, tags, look, scale)


def _draw_tags(axes: Axes, tags: list[Tag], look: Theme, scale: _Scale) -> None:
    gap = scale.height(0.036)
    shown = [tag for tag in tags if scale.low <= tag.price <= scale.high and tag.filled]
    quiet = [tag for tag in tags if not tag.filled and all(abs(tag.price - other.price) > 1.6 * gap for other in shown)]
    places = spread([tag.price for tag in shown], gap, scale.low + gap / 2, scale.high - gap / 2)
    size = 8 * min(1.0, _TAG_LETTERS / max(len(tag.text) for tag in shown + quiet))
    for tag, place in zip(shown + quiet, places + [tag.price for tag in quiet], strict=True):
        box = {"boxstyle": "round,pad=0.25", "facecolor": tag.colour, "edgecolor": "none"} if tag.filled else None
        axes.annotate(
            tag.text,
            (1.0, place),
            xycoords=("axes fraction", "data"),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            ha="left",
            fontsize=size,
            color=look.background if tag.filled else tag.colour,
            fontweight="bold" if tag.filled else "normal",
            bbox=box,
            annotation_clip=False,
            zorder=8,
        )


def _time_axis(axes: Axes, view: Candles, look: Theme) -> None:
    """Five times that people can read: dates for long bars, hours for short ones."""
    ticks = np.linspace(0, len(view) - 1, num=min(5, len(view))).round().astype(int)
    span = int(view.open_time[-1] - view.open_time[0])
    form = "%H:%M" if span < 86_400_000 else "%d %b %H:%M" if span < 12 * 86_400_000 else "%d %b %Y"
    axes.set_xticks(ticks)
    axes.set_xticklabels([datetime.fromtimestamp(int(view.open_time[i]) / 1000, UTC).strftime(form) for i in ticks])
    for i, label in enumerate(axes.get_xticklabels()):
        label.set_horizontalalignment("left" if i == 0 else "center")
        label.set_color(look.faint)


def _header(figure: Figure, analysis: Analysis, look: Theme) -> None:
    action = analysis.recommendation.action
    colour = look.up if "BUY" in action else look.down if "SELL" in action else look.faint
    figure.text(0.04, 0.955, analysis.symbol, color=look.ink, fontsize=19, fontweight="bold", va="center")
    figure.text(
        0.04,
        0.918,
        f"{analysis.timeframe}  ·  {numbers.price(analysis.price)}",
        color=look.faint,
        fontsize=12,
        va="center",
    )
    figure.text(
        0.96, 0.955, _ACTIONS.get(action, action), color=colour, fontsize=17, fontweight="bold", ha="right", va="center"
    )
    figures = (
        f"score {analysis.analysis.intelligent_score:.2f} of 10  ·  confidence {analysis.analysis.confidence:.0f} %"
    )
    figure.text(0.96, 0.918, figures, color=look.faint, fontsize=10.5, ha="right", va="center")
    words = f"{analysis.analysis.trend.replace('_', ' ')}  ·  {analysis.analysis.volatility} volatility"
    figure.text(0.04, 0.882, words, color=look.ink, fontsize=10, va="center")
    legend = (
        (0.565, "demand", look.demand),
        (0.665, "supply", look.supply),
        (0.730, "gap", look.gap),
        (0.835, f"EMA {_FAST}", look.fast),
        (0.940, f"EMA {_SLOW}", look.slow),
    )
    for right, text, shade in legend:
        figure.text(right, 0.882, text, color=shade, fontsize=8.5, va="center", ha="right")
    figure.text(0.04, 0.208, "what moved the score from 5", color=look.faint, fontsize=9, va="center")


def _footer(figure: Figure, analysis: Analysis, look: Theme) -> None:
    data = analysis.data
    closed = f"{data.last_bar:%Y-%m-%d %H:%M} UTC"
    text = f"{data.source}  ·  {data.bars} closed bars, the last from {closed}  ·  not advice"
    figure.text(0.04, 0.018, text, color=look.faint, fontsize=7.5, va="center")
