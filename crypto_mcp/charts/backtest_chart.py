"""The picture of a backtest: equity beside buy and hold, drawdown, months, and the trades on the price."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from crypto_mcp.charts import numbers
from crypto_mcp.charts.theme import DPI, HEIGHT_INCHES, THEMES, WIDTH_INCHES
from crypto_mcp.models.luck import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from crypto_mcp.charts.theme import Theme, ThemeName
    from crypto_mcp.models.backtest import BacktestResult
    from crypto_mcp.models.backtest_statistics import Drawdown, Year
    from crypto_mcp.models.candles import Floats, Ints

_POINTS, _MOST_YEARS = 1500, 6
_MONTHS = "JFMAMJJASOND"


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """What a backtest went through, a value a bar, besides what its result says.

    Attributes:
        times: int64, close of each bar, milliseconds.
        equity, held: float64, the account and the same capital held, quote asset, at closes.
        drawdown: float64, shares from 0 to 1.
        symbol, price: the symbol whose price is shown, and its closes.
        entries, exits: int64, bars of that symbol's trades.
        entry_prices, exit_prices, gains: float64, of the same trades.
        months, drawdowns: returns by month, and the deepest falls.
    """

    times: Ints
    equity: Floats
    held: Floats
    drawdown: Floats
    symbol: str
    price: Floats
    entries: Ints
    exits: Ints
    entry_prices: Floats
    exit_prices: Floats
    gains: Floats
    months: Sequence[Year]
    drawdowns: Sequence[Drawdown]


def draw_backtest(result: BacktestResult, course: Course, *, theme: ThemeName = "dark") -> bytes:
    """A PNG of 1080 x 1350 pixels."""
    look = THEMES[theme]
    figure = Figure(figsize=(WIDTH_INCHES, HEIGHT_INCHES), dpi=DPI, facecolor=look.background)
    canvas = FigureCanvasAgg(figure)
    _header(figure, result, look)
    equity, falls = figure.add_axes((0.04, 0.580, 0.83, 0.205)), figure.add_axes((0.04, 0.505, 0.83, 0.062))
    _equity(equity, course, look)
    _falls(falls, course, look)
    rows = min(len(course.months), _MOST_YEARS)
    height = 0.024 * rows
    _months(figure.add_axes((0.10, 0.435 - height, 0.86, height)), course.months[-_MOST_YEARS:], look)
    _price(figure.add_axes((0.04, 0.065, 0.83, 0.310 - height)), course, look)
    _footer(figure, result, look)
    out = BytesIO()
    canvas.print_png(out)  # type: ignore[no-untyped-call]
    return out.getvalue()


def thinned(values: Floats, points: int = _POINTS) -> Ints:
    """Bars to draw of a long line: of each stretch the lowest and the highest, so that no peak is lost."""
    if len(values) <= 2 * points:
        return np.arange(len(values), dtype=np.int64)
    edges = np.linspace(0, len(values), points + 1).astype(np.int64)
    chosen = {0, len(values) - 1}
    for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        chosen |= {first + int(np.argmin(values[first:last])), first + int(np.argmax(values[first:last]))}
    return np.array(sorted(chosen), dtype=np.int64)


def title_of(result: BacktestResult) -> str:
    """`ema_cross · BTCUSDT 1h`, with the number of symbols where there are several."""
    first, others = result.data[0], len(result.data) - 1
    return f"{result.strategy.name}  ·  {first.symbol}{f' + {others}' if others else ''} {first.timeframe}"


def _header(figure: Figure, result: BacktestResult, look: Theme) -> None:
    summary = result.summary
    gain = look.up if summary.return_percent > 0 else look.down if summary.return_percent < 0 else look.faint
    figure.text(0.04, 0.958, title_of(result)[:40], color=look.ink, fontsize=17, fontweight="bold", va="center")
    figure.text(
        0.96, 0.958, f"{summary.return_percent:+,.1f} %", color=gain, fontsize=19, fontweight="bold", ha="right",
        va="center",
    )  # fmt: skip
    chosen = ", ".join(f"{name} {value:g}" for name, value in result.parameters.items())
    figure.text(0.04, 0.926, chosen[:70] or "no parameters", color=look.faint, fontsize=10, va="center")
    held = f"buy and hold {summary.buy_and_hold_percent:+,.1f} %"
    figure.text(0.96, 0.926, held, color=look.faint, fontsize=10, ha="right", va="center")
    figure.text(0.04, 0.895, _figures(result), color=look.ink, fontsize=9.5, va="center")
    colour = {Finding.UNLIKELY_LUCK: look.up, Finding.LIKELY_LUCK: look.down}.get(result.verdict.finding, look.fast)
    lines = wrap(result.verdict.sentence, 96)[:2]
    figure.text(0.04, 0.853, "\n".join(lines), color=colour, fontsize=9.5, va="center", linespacing=1.5)


def _figures(result: BacktestResult) -> str:
    summary, statistics = result.summary, result.statistics
    parts = [f"{summary.trades} trades"]
    if summary.win_rate_percent is not None:
        parts.append(f"{summary.win_rate_percent:.0f} % won")
    if statistics.profit_factor is not None:
        parts.append(f"profit factor {statistics.profit_factor:.2f}")
    if statistics.sharpe is not None:
        parts.append(f"Sharpe {statistics.sharpe:.2f}")
    parts += [f"deepest fall {summary.max_drawdown_percent:.1f} %", f"fees {summary.fees:,.0f}"]
    return "  ·  ".join(parts)


def _bare(axes: Axes, look: Theme) -> None:
    axes.set_facecolor(look.panel)
    axes.tick_params(colors=look.faint, labelsize=8, length=0)
    axes.yaxis.tick_right()
    axes.grid(visible=True, axis="y", color=look.grid, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.set_xticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _caption(axes: Axes, text: str, look: Theme, colour: str = "", right: bool = False) -> None:
    axes.annotate(
        text, (float(right), 1.0), xycoords="axes fraction", xytext=(0, 6), textcoords="offset points",
        color=colour or look.faint, fontsize=9, ha="right" if right else "left", va="bottom", annotation_clip=False,
    )  # fmt: skip


def _equity(axes: Axes, course: Course, look: Theme) -> None:
    _bare(axes, look)
    _caption(axes, "equity", look, look.slow)
    _caption(axes, "buy and hold", look, right=True)
    for values, colour, width in ((course.held, look.faint, 0.9), (course.equity, look.slow, 1.5)):
        shown = thinned(values)
        axes.plot(course.times[shown], values[shown], color=colour, linewidth=width)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _amount(value)))
    axes.set_xlim(int(course.times[0]), int(course.times[-1]))


def _falls(axes: Axes, course: Course, look: Theme) -> None:
    _bare(axes, look)
    shown = thinned(course.drawdown)
    axes.fill_between(course.times[shown], -100 * course.drawdown[shown], 0, color=look.down, alpha=0.45, linewidth=0)
    axes.set_xlim(int(course.times[0]), int(course.times[-1]))
    axes.set_ylim(top=0)
    axes.yaxis.set_major_locator(MaxNLocator(2))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f} %"))
    _dated(axes, course.times)


def _dated(axes: Axes, times: Ints) -> None:
    ticks = np.linspace(int(times[0]), int(times[-1]), 5)
    form = "%d %b %Y" if times[-1] - times[0] > 5 * 86_400_000 else "%d %b %H:%M"
    axes.set_xticks(ticks, [datetime.fromtimestamp(tick / 1000, UTC).strftime(form) for tick in ticks])
    for i, label in enumerate(axes.get_xticklabels()):
        label.set_horizontalalignment("left" if i == 0 else "right" if i == len(ticks) - 1 else "center")


def _months(axes: Axes, years: Sequence[Year], look: Theme) -> None:
    """A row a year, a column a month, the year's return last; percent."""
    _bare(axes, look)
    axes.grid(visible=False)
    axes.yaxis.tick_left()
    axes.annotate(
        "returns by month, percent", (0, 1), xycoords="axes fraction", xytext=(-32, 18), textcoords="offset points",
        color=look.faint, fontsize=9, annotation_clip=False,
    )  # fmt: skip
    values = np.array([[np.nan if m is None else 100 * m for m in [*year.months, year.total]] for year in years])
    colours = LinearSegmentedColormap.from_list("returns", [look.down, look.background, look.up])
    reach = max(1.0, float(np.nanmax(np.abs(values[:, :12]))))
    axes.imshow(np.clip(values, -reach, reach), cmap=colours, vmin=-1.3 * reach, vmax=1.3 * reach, aspect="auto")
    axes.set_yticks(range(len(years)), [str(year.year) for year in years])
    axes.set_xticks(range(13), [*_MONTHS, "year"])
    axes.xaxis.tick_top()
    axes.tick_params(axis="x", pad=1)
    for row, columns in enumerate(values):
        for column, value in enumerate(columns):
            if np.isfinite(value):
                weight = "bold" if column == 12 else "normal"
                axes.text(
                    column, row, f"{value:+.1f}", color=look.ink, fontsize=7.5, ha="center", va="center",
                    fontweight=weight,
                )  # fmt: skip


def _price(axes: Axes, course: Course, look: Theme) -> None:
    """Closes, and a line from each entry to its exit."""
    _bare(axes, look)
    _caption(axes, f"{course.symbol} and {len(course.entries)} trades: won", look, look.up)
    _caption(axes, "lost", look, look.down, right=True)
    shown = thinned(course.price)
    axes.plot(course.times[shown], course.price[shown], color=look.faint, linewidth=0.6, alpha=0.75)
    begun, ended = course.times[course.entries], course.times[course.exits]
    lines = np.stack(
        [np.stack([begun, course.entry_prices], axis=1), np.stack([ended, course.exit_prices], axis=1)], axis=1
    )
    colours = [look.up if gain > 0 else look.down for gain in course.gains]
    width = 1.8 if len(lines) <= 300 else 1.0
    axes.add_collection(LineCollection(list(lines), colors=colours, linewidths=width, capstyle="round", zorder=3))
    axes.set_xlim(int(course.times[0]), int(course.times[-1]))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    marks = axes.get_yticks()
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: numbers.spaced(value, marks[1] - marks[0])))
    _dated(axes, course.times)


def _amount(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else numbers.price(value)


def _footer(figure: Figure, result: BacktestResult, look: Theme) -> None:
    data, costs = result.data[0], result.rules.costs
    paid = f"fees {costs.maker_fee:g}/{costs.taker_fee:g} %, slippage {costs.slippage:g} %"
    text = f"{data.source}  ·  {data.bars:,} bars  ·  {paid}  ·  {result.timestamp:%Y-%m-%d %H:%M} UTC  ·  not advice"
    figure.text(0.04, 0.018, text, color=look.faint, fontsize=7.5, va="center")
