"""The report of a backtest as one HTML file: no script, no other file, so that it opens offline and in a mail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

from crypto_mcp.charts import numbers
from crypto_mcp.charts.backtest_chart import title_of
from crypto_mcp.charts.svg_lines import Line, Stroke, line_chart
from crypto_mcp.models.backtest_statistics import Statistics

if TYPE_CHECKING:
    from crypto_mcp.charts.backtest_chart import Course
    from crypto_mcp.models.backtest import BacktestResult, Trade
    from crypto_mcp.models.backtest_statistics import Year
    from crypto_mcp.models.luck import HeatMap, MonteCarlo, SearchReport, WalkForwardReport

MOST_TRADES = 500
"""Newest trades on the page; the table of all is a file of its own."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SHARES = {
    "total_return", "cagr", "volatility", "max_drawdown", "average_drawdown", "time_under_water", "exposure",
    "win_rate", "best_trade", "worst_trade", "mean_mae", "mean_mfe", "ulcer_index",
}  # fmt: skip
_DECIMALS = {
    "days": 0, "longest_drawdown_days": 1, "mean_days_held": 1, "turnover": 1,
    "final_equity": 2, "fees": 2, "funding": 2, "expectancy": 2,
}  # fmt: skip
"""Of figures that are not ratios."""

_SCENARIOS = {
    "trade_shuffle": "trades in another order",
    "block_bootstrap": "returns redrawn in blocks",
    "skipped_trades": "some trades missed",
    "cost_stress": "higher costs",
    "random_entries": "entries at random",
}


def page(result: BacktestResult, course: Course, trades: Sequence[Trade]) -> str:
    """The whole page. Texts of users are escaped."""
    style = (files("crypto_mcp.charts") / "backtest_page.css").read_text()
    parts = [
        _head(result), _verdict(result), _cards(result), _charts(course), _months(course.months),
        _search(result.search) if result.search else "",
        _walk_forward(result.walk_forward) if result.walk_forward else "",
        _monte_carlo(result.monte_carlo) if result.monte_carlo else "",
        _statistics(result.statistics), _drawdowns(course), _trades(trades), _rules(result), _foot(result),
    ]  # fmt: skip
    title = escape(title_of(result))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{style}</style></head>'
        f"<body><main>{''.join(parts)}</main></body></html>"
    )


def _head(result: BacktestResult) -> str:
    summary, rules = result.summary, result.rules
    chosen = ", ".join(f"{name} {value:g}" for name, value in result.parameters.items())
    span = f"{rules.start:%d %b %Y} to {rules.end:%d %b %Y}"
    symbols = ", ".join(data.symbol for data in result.data)
    return (
        f"<header><div><h1>{escape(title_of(result))}</h1>"
        f'<p class="faint">{escape(symbols)}, {span}{", " + escape(chosen) if chosen else ""}</p></div>'
        f'<div><span class="big {_sign(summary.return_percent)}">{summary.return_percent:+,.2f} %</span> '
        f'<span class="faint">buy and hold {summary.buy_and_hold_percent:+,.2f} %</span></div></header>'
    )


def _verdict(result: BacktestResult) -> str:
    verdict = result.verdict
    said = "".join(f"<li>{escape(reason)}</li>" for reason in verdict.reasons)
    doubts = "".join(f'<li class="warn">{escape(warning)}</li>' for warning in result.warnings)
    return (
        f'<section class="verdict {verdict.finding}"><p>{escape(verdict.sentence)}</p><ul>{said}{doubts}</ul></section>'
    )


def _cards(result: BacktestResult) -> str:
    summary, figures = result.summary, result.statistics
    shown = [
        ("final equity", f"{summary.final_equity:,.2f}"),
        ("trades", f"{summary.trades:,}"),
        ("won", _told(summary.win_rate_percent, lambda v: f"{v:.1f} %")),
        ("profit factor", _told(figures.profit_factor, lambda v: f"{v:.2f}")),
        ("Sharpe a year", _told(figures.sharpe, lambda v: f"{v:.2f}")),
        ("deepest fall", f"{summary.max_drawdown_percent:.2f} %"),
        ("in the market", f"{summary.exposure_percent:.1f} %"),
        ("fees", f"{summary.fees:,.2f}"),
    ]
    return f'<section class="cards">{"".join(f"<div><b>{v}</b><span>{n}</span></div>" for n, v in shown)}</section>'


def _charts(course: Course) -> str:
    strokes = [
        Stroke((int(course.times[a]), p), (int(course.times[b]), q), "won" if gain > 0 else "lost")
        for a, b, p, q, gain in zip(
            course.entries.tolist(), course.exits.tolist(), course.entry_prices.tolist(), course.exit_prices.tolist(),
            course.gains.tolist(), strict=True,
        )
    ][-2 * MOST_TRADES :]  # fmt: skip
    equity = line_chart(
        course.times, [Line(course.held, "held"), Line(course.equity, "own")], lambda v: f"{v:,.0f}", tall=True
    )
    falls = line_chart(
        course.times, [Line(-100 * course.drawdown, "fall", shade=True)], lambda v: f"{v:.0f} %", tall=False
    )
    price = line_chart(course.times, [Line(course.price, "price")], strokes=strokes, tall=True)
    return (
        f"<h2>Equity</h2>{_key(('own', 'account'), ('faint', 'buy and hold'))}{equity}"
        f"<h2>Drawdown</h2>{falls}<h2>Trades on {escape(course.symbol)}</h2>"
        f"{_key(('up', 'won'), ('down', 'lost'), ('faint', 'close'))}{price}"
    )


def _key(*names: tuple[str, str]) -> str:
    return (
        f'<div class="key">{"".join(f"<i style=background:var(--{colour})></i>{name}" for colour, name in names)}</div>'
    )


def _months(years: Sequence[Year]) -> str:
    rows = [[str(year.year), *(_heat(m, 0.1) for m in year.months), _heat(year.total, 0.5)] for year in years]
    return f"<h2>Returns by month, percent</h2>{_table(('', *_MONTHS, 'year'), rows, 'heat')}"


def _heat(value: float | None, full: float, text: str = "") -> str:
    """A cell whose colour grows with its value, full at `full`."""
    if value is None:
        return "<td></td>"
    strength = min(1.0, abs(value) / full) * 60
    colour = "up" if value >= 0 else "down"
    shade = f"color-mix(in srgb,var(--{colour}) {strength:.0f}%,transparent)"
    return f'<td style="background:{shade}">{text or f"{100 * value:+.1f}"}</td>'


def _search(search: SearchReport) -> str:
    names = list(search.best.parameters) if search.best else []
    head = (*names, "Sharpe", "return", "deepest fall", "trades")
    rows = [
        [*(f"{trial.parameters[n]:g}" for n in names), _told(trial.sharpe, lambda v: f"{v:.2f}"),
         f"{100 * trial.total_return:+.1f} %", f"{100 * trial.max_drawdown:.1f} %", f"{trial.trades:,}"]
        for trial in search.top
    ]  # fmt: skip
    around = search.neighbourhood
    near = ""
    if around is not None and around.robustness is not None:
        near = f" One step beside the best the median is {around.robustness:.0%} of it ({around.neighbours} tries)."
    return (
        f"<h2>Parameter search</h2><p>{search.tried:,} tries by {search.method}, {search.share_positive:.0%} of them "
        f"with a profit.{near}</p>{_table(head, rows)}{_heat_map(search.heat_map) if search.heat_map else ''}"
    )


def _heat_map(heat: HeatMap) -> str:
    known = [abs(v) for row in heat.values for v in row if v is not None]
    full = max(known, default=1.0) or 1.0
    rows = [
        [f"{y:g}", *(_heat(v, full, "" if v is None else f"{v:.2f}") for v in row)]
        for y, row in zip(heat.ys, heat.values, strict=True)
    ]
    head = (f"{heat.y} \\ {heat.x}", *(f"{x:g}" for x in heat.xs))
    return f'<p class="faint">{heat.objective.replace("_", " ")} by parameter</p>{_table(head, rows, "heat")}'


def _walk_forward(report: WalkForwardReport) -> str:
    rows = [
        [str(number), ", ".join(f"{n} {v:g}" for n, v in (window.parameters or {}).items()) or "none",
         _told(window.in_sample, lambda v: f"{v:.2f}"), _told(window.out_of_sample, lambda v: f"{v:.2f}"),
         f"{100 * window.total_return:+.1f} %", str(window.trades)]
        for number, window in enumerate(report.windows, 1)
    ]  # fmt: skip
    return (
        f"<h2>Walk-forward</h2><p>Chosen on the past and traded on the bars after it, the account would have made "
        f"<b>{100 * report.total_return:+.1f} %</b>, its deepest fall {100 * report.max_drawdown:.1f} %; "
        f"{report.share_profitable:.0%} of windows ended with a profit.</p>"
        + _table(("window", "chosen", f"{report.objective} on the past", "after", "return", "trades"), rows)
    )


def _monte_carlo(simulated: MonteCarlo) -> str:
    rows = [
        [f"{_SCENARIOS[each.name]}", f"{each.runs:,}",
         *(f"{100 * v:+.1f} %" for v in (each.final_return.p5, each.final_return.p50, each.final_return.p95)),
         f"{100 * each.max_drawdown.p95:.1f} %", f"{each.risk_of_ruin:.1%}"]
        for each in simulated.scenarios
    ]  # fmt: skip
    head = ("what else could have been", "runs", "return p5", "median", "p95", "fall p95", f"lost {simulated.ruin:.0%}")
    absent = "".join(f'<p class="faint">{escape(n)}: {escape(why)}.</p>' for n, why in simulated.absent.items())
    return f"<h2>What else could have happened</h2>{_table(head, rows)}{absent}"


def _statistics(figures: Statistics) -> str:
    rows = []
    for name, field in Statistics.model_fields.items():
        value = getattr(figures, name)
        if name in ("benchmark", "intervals", "absent"):
            continue
        likely = figures.intervals.get(name)
        told = _figure(name, value)
        sure = "" if likely is None else f"{_figure(name, likely.low)} to {_figure(name, likely.high)}"
        why = figures.absent.get(name) or field.description or ""
        rows.append([escape(name.replace("_", " ")), told, sure, f'<td class="text">{escape(why)}</td>'])
    held = figures.benchmark
    for name in type(held).model_fields:
        value = _figure(name, getattr(held, name))
        rows.append([f"buy and hold: {name.replace('_', ' ')}", value, "", "<td></td>"])
    return f"<h2>Statistics</h2>{_table(('figure', 'value', '95 of 100 histories', ''), rows, 'wide')}"


def _figure(name: str, value: float | None) -> str:
    if value is None:
        return "none"
    if name in _SHARES:
        return f"{100 * value:,.2f} %"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.{_DECIMALS.get(name, 3)}f}"


def _drawdowns(course: Course) -> str:
    rows = [
        [f"{100 * fall.depth:.2f} %", f"{fall.peak:%Y-%m-%d %H:%M}", f"{fall.trough:%Y-%m-%d %H:%M}",
         f"{fall.recovered:%Y-%m-%d %H:%M}" if fall.recovered else "not yet", f"{fall.days:,.1f}"]
        for fall in course.drawdowns
    ]  # fmt: skip
    return f"<h2>Deepest drawdowns</h2>{_table(('depth', 'peak', 'trough', 'recovered', 'days'), rows)}"


def _trades(trades: Sequence[Trade]) -> str:
    if not trades:
        return "<h2>Trades</h2><p>No trade was made.</p>"
    head = (
        "opened", "closed", "symbol", "side", "entry", "exit", "result", "percent", "R", "worst", "best", "fees",
        "closed by",
    )  # fmt: skip
    rows = [
        [f"{t.opened:%Y-%m-%d %H:%M}", f"{t.closed:%Y-%m-%d %H:%M}", escape(t.symbol), t.side, numbers.price(t.entry),
         numbers.price(t.exit), f'<td class="{_sign(t.pnl)}">{t.pnl:+,.2f}</td>', f"{t.pnl_percent:+.2f}",
         _told(t.r, lambda v: f"{v:+.2f}"), f"{t.mae_percent:.2f}", f"{t.mfe_percent:.2f}", f"{t.fees:,.2f}",
         t.closed_by.replace("_", " ")]
        for t in reversed(trades[-MOST_TRADES:])
    ]  # fmt: skip
    cut = f", the newest {MOST_TRADES} of {len(trades):,}" if len(trades) > MOST_TRADES else f": {len(trades):,}"
    return f"<h2>Trades{cut}</h2>{_table(head, rows)}"


def _rules(result: BacktestResult) -> str:
    conditions = result.strategy.conditions
    lines = "".join(
        f"<li>{escape(n.replace('_', ' '))}: <code>{escape(text)}</code></li>" for n, text in conditions.items()
    )
    exits = {
        "stop": ", ".join(result.strategy.stops), "trailing": result.strategy.trailing,
        "break even": result.strategy.break_even,
        "targets": ", ".join(f"{t.at} ({t.share:g} %)" for t in result.strategy.targets),
    }  # fmt: skip
    lines += "".join(f"<li>{name}: <code>{escape(text)}</code></li>" for name, text in exits.items() if text)
    rules = "".join(f"<li>{escape(rule)}</li>" for rule in result.assumptions)
    return (
        f'<div class="columns"><section><h2>Strategy</h2><ul class="plain">{lines}</ul></section>'
        f'<section><h2>Assumptions</h2><ul class="plain">{rules}</ul></section></div>'
    )


def _foot(result: BacktestResult) -> str:
    sources = "; ".join(
        f"{d.symbol} {d.timeframe}: {d.bars:,} bars of {d.source}, {d.first_bar:%Y-%m-%d %H:%M} to "
        f"{d.last_bar:%Y-%m-%d %H:%M}{f', {d.note}' if d.note else ''}"
        for d in result.data
    )
    return (
        f"<footer><p>{escape(sources)}.</p><p>Tested {result.timestamp:%Y-%m-%d %H:%M} UTC, job "
        f"{escape(result.backtest_job_id)}. All times are UTC. What worked in the past need not work again; "
        "not financial advice.</p></footer>"
    )


def _table(head: Iterable[str], rows: Iterable[Sequence[str]], css_class: str = "") -> str:
    """Cells that begin with `<td` are taken as they are; others are wrapped."""
    top = "".join(f"<th>{name}</th>" for name in head)
    body = "".join(
        f"<tr>{''.join(cell if cell.startswith('<td') else f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows
    )
    return f'<div class="scroll"><table class="{css_class}"><tr>{top}</tr>{body}</table></div>'


def _told(value: float | None, write: Callable[[float], str]) -> str:
    return "none" if value is None else write(value)


def _sign(value: float) -> str:
    return "up" if value > 0 else "down" if value < 0 else "faint"
