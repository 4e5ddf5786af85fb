"""Candles with zones, breaks and averages, and the volume below."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from crypto_mcp.charts.picture import BreakLine, Picture, Zone
    from crypto_mcp.charts.theme import Theme
    from crypto_mcp.models.candles import Candles, Floats

_BODY = 0.36
"""Half the width of a candle's body, in bars."""

_FRESH, _USED = 0.26, 0.10


def draw_candles(axes: Axes, view: Candles, theme: Theme) -> None:
    """Wicks and bodies; a body without height still shows as a line."""
    x = np.arange(len(view), dtype=np.float64)
    up = view.close >= view.open
    colours = np.where(up, theme.up, theme.down)
    wicks = np.stack([np.stack([x, view.low], 1), np.stack([x, view.high], 1)], 1)
    axes.add_collection(LineCollection(list(wicks), colors=list(colours), linewidths=0.9, zorder=3))
    bottom, top = np.minimum(view.open, view.close), np.maximum(view.open, view.close)
    axes.add_collection(
        PolyCollection(
            _boxes(x, bottom, top), facecolors=list(colours), edgecolors=list(colours), linewidths=0.6, zorder=4
        )
    )


def draw_volume(axes: Axes, view: Candles, theme: Theme) -> None:
    """One bar a candle, in its colour."""
    x = np.arange(len(view), dtype=np.float64)
    colours = np.where(view.close >= view.open, theme.up, theme.down)
    axes.add_collection(
        PolyCollection(_boxes(x, np.zeros(len(view)), view.volume), facecolors=list(colours), alpha=0.55, zorder=2)
    )
    axes.set_ylim(0, max(float(view.volume.max()), 1e-12) * 1.1)


def draw_zone(axes: Axes, zone: Zone, last: float, theme: Theme) -> None:
    """A zone from its bar on: full while unused, faint from then until it ends."""
    colour = {"demand": theme.demand, "supply": theme.supply, "gap": theme.gap}[zone.side]
    end = last if zone.ended is None else float(zone.ended)
    turn = end if zone.used is None else min(float(zone.used), end)
    hatch = "//" if zone.side == "gap" else None
    for left, right, alpha, edge in ((zone.start, turn, _FRESH, colour), (turn, end, _USED, "none")):
        if right > left:
            axes.add_patch(
                Rectangle(
                    (left, zone.bottom),
                    right - left,
                    zone.top - zone.bottom,
                    facecolor=colour,
                    edgecolor=edge,
                    linewidth=0.7,
                    alpha=alpha,
                    hatch=hatch if alpha == _FRESH else None,
                    zorder=1,
                )
            )


def draw_break(axes: Axes, line: BreakLine, theme: Theme, taken: list[tuple[float, float]], height: float) -> None:
    """The broken level up to the bar that broke it, with its name where no other name is.

    `taken` holds the places of the names drawn so far, `height` the room a name needs, in price.
    """
    colour = theme.up if line.up else theme.down
    style = "-" if line.label == "BoS" else "--"
    axes.plot([line.start, line.end], [line.level, line.level], style, color=colour, linewidth=1.0, alpha=0.9, zorder=2)
    middle = max((line.start + line.end) / 2, _NAME_BARS / 3)  # a name at the left edge stays inside
    if any(abs(middle - x) < _NAME_BARS and abs(line.level - y) < height for x, y in taken):
        return
    taken.append((middle, line.level))
    axes.annotate(
        line.label,
        (middle, line.level),
        xytext=(0, 3 if line.up else -3),
        textcoords="offset points",
        ha="center",
        va="bottom" if line.up else "top",
        color=colour,
        fontsize=7.5,
        fontweight="bold",
        path_effects=[withStroke(linewidth=2.5, foreground=theme.background)],
        zorder=6,
    )


_NAME_BARS = 13


def draw_average(axes: Axes, values: Floats, colour: str) -> None:
    """A moving average; it starts where it is known."""
    axes.plot(np.arange(len(values)), values, color=colour, linewidth=1.2, alpha=0.95, zorder=5)


def draw_structure(axes: Axes, picture: Picture, last: float, theme: Theme, height: float) -> None:
    """All zones, then all breaks."""
    for zone in picture.zones:
        draw_zone(axes, zone, last, theme)
    taken: list[tuple[float, float]] = []
    for line in reversed(picture.breaks):
        draw_break(axes, line, theme, taken, height)


def _boxes(x: Floats, bottom: Floats, top: Floats) -> list[Floats]:
    left, right = x - _BODY, x + _BODY
    corners = [
        np.stack([left, bottom], 1),
        np.stack([left, top], 1),
        np.stack([right, top], 1),
        np.stack([right, bottom], 1),
    ]
    return list(np.stack(corners, 1))
