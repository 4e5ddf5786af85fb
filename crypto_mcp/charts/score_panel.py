"""Why the score is what it is: each factor's push, left bearish and right bullish."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crypto_mcp.charts.numbers import signed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from crypto_mcp.charts.theme import Theme
    from crypto_mcp.models.analysis import Factor

_NAMES_AT = -1.0


def draw_factors(axes: Axes, factors: Sequence[Factor], theme: Theme) -> None:
    """Horizontal bars in points of the 0-10 scale, the name left and the figure right."""
    reach = max([abs(f.contribution) for f in factors] + [0.5])
    for row, factor in enumerate(factors):
        share = factor.contribution / reach
        figure = signed(factor.contribution)
        colour = theme.faint if figure == signed(0) else theme.up if share > 0 else theme.down
        axes.barh(row, share * 0.5, height=0.62, color=colour, alpha=0.9, zorder=3)
        axes.text(
            _NAMES_AT - 0.05, row, factor.name.replace("_", " "), ha="left", va="center", color=theme.ink, fontsize=8
        )
        axes.text(0.98, row, figure, ha="right", va="center", color=colour, fontsize=8)
    axes.axvline(0, color=theme.faint, linewidth=0.8, zorder=2)
    axes.set_xlim(_NAMES_AT - 0.05, 1.0)
    axes.set_ylim(len(factors) - 0.4, -0.6)
    axes.set_axis_off()
