"""Line charts as SVG with labels in HTML: they fill any width, and their letters stay the size of the page's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from crypto_mcp.charts import numbers
from crypto_mcp.charts.backtest_chart import thinned

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from crypto_mcp.models.candles import Floats, Ints

_WIDTH, _HEIGHT, _POINTS = 1000.0, 100.0, 500


@dataclass(frozen=True, slots=True)
class Line:
    """Values at the times of its chart; `shade` fills what lies between them and 0."""

    values: Floats
    css_class: str
    shade: bool = False


@dataclass(frozen=True, slots=True)
class Stroke:
    """A straight line between two points."""

    begin: tuple[int, float]
    end: tuple[int, float]
    css_class: str


def line_chart(
    times: Ints,
    lines: Sequence[Line],
    label: Callable[[float], str] | None = None,
    *,
    strokes: Sequence[Stroke] = (),
    tall: bool,
) -> str:
    """HTML of a chart.

    Args:
        times: milliseconds, ascending.
        lines: all of the same length as `times`.
        label: writes a value beside the axis; by default with as many decimals as the marks need.
        strokes: drawn above the lines.
        tall: whether it is a chart of its own or belongs to the one above.
    """
    low = min(float(np.nanmin(line.values)) for line in lines)
    high = max(float(np.nanmax(line.values)) for line in lines)
    room = 0.03 * (high - low) or 0.01 * abs(high) or 1.0
    low, high = low - room, high + (0.0 if any(line.shade for line in lines) else room)
    frame = _Frame(int(times[0]), int(times[-1]), low, high)
    ticks = [tick for tick in MaxNLocator(5 if tall else 3).tick_values(low, high) if low <= tick <= high]
    step = float(ticks[1] - ticks[0]) if len(ticks) > 1 else 1.0
    label = label or (lambda tick: numbers.spaced(tick, step))
    body = [f'<path class="grid" d="M0 {frame.y(tick):.2f}H{_WIDTH:g}"/>' for tick in ticks]
    body += [_path(line, times, frame) for line in lines]
    body += [
        f'<path class="{stroke.css_class}" d="M{frame.point(*stroke.begin)}L{frame.point(*stroke.end)}"/>'
        for stroke in strokes
    ]
    marks = "".join(f'<span style="top:{frame.y(tick):.2f}%">{escape(label(tick))}</span>' for tick in ticks)
    return (
        f'<figure class="{"tall" if tall else "low"}"><svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" '
        f'preserveAspectRatio="none" aria-hidden="true">{"".join(body)}</svg><div class="marks">{marks}</div>'
        f'<div class="days">{_days(times)}</div></figure>'
    )


@dataclass(frozen=True, slots=True)
class _Frame:
    first: int
    last: int
    low: float
    high: float

    def y(self, value: float) -> float:
        return _HEIGHT * (self.high - value) / (self.high - self.low)

    def point(self, time: int, value: float) -> str:
        return f"{_WIDTH * (time - self.first) / max(1, self.last - self.first):.1f} {self.y(value):.2f}"


def _path(line: Line, times: Ints, frame: _Frame) -> str:
    shown = thinned(line.values, _POINTS)
    points = [frame.point(int(times[i]), float(line.values[i])) for i in shown.tolist()]
    ways = f"M{'L'.join(points)}"
    if line.shade:
        ways = f"M0 {frame.y(0):.2f}L{'L'.join(points)}L{_WIDTH:g} {frame.y(0):.2f}Z"
    return f'<path class="{line.css_class}" d="{ways}"/>'


def _days(times: Ints) -> str:
    form = "%d %b %Y" if times[-1] - times[0] > 5 * 86_400_000 else "%d %b %H:%M"
    ticks = np.linspace(int(times[0]), int(times[-1]), 4)
    return "".join(f"<span>{datetime.fromtimestamp(tick / 1000, UTC).strftime(form)}</span>" for tick in ticks)
