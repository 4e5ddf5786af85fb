"""The report of a backtest on the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

_MOST_TRADES = 8
_FINDINGS = {"unlikely_luck": "bold green", "likely_luck": "bold red"}


def report(result: Mapping[str, Any]) -> RenderableType:
    """Verdict first, then figures, search, walk-forward, the newest trades, and what weakens it all."""
    parts: list[RenderableType] = [_head(result), _verdict(result["verdict"]), _figures(result)]
    if result.get("search"):
        parts.append(_search(result["search"]))
    if result.get("walk_forward"):
        parts.append(_walk_forward(result["walk_forward"]))
    if result.get("monte_carlo"):
        parts.append(_monte_carlo(result["monte_carlo"]))
    if result["trades"]:
        parts.append(_trades(result["trades"]))
    if result["warnings"]:
        parts.append(Text("\n".join(f"! {warning}" for warning in result["warnings"]), style="yellow"))
    parts.append(Text(" ".join(result["assumptions"]), style="dim"))
    return Group(*(Padding(part, (0, 0, 1, 0)) for part in parts))


def _head(result: Mapping[str, Any]) -> Text:
    summary, rules, data = result["summary"], result["rules"], result["data"]
    symbols = ", ".join(each["symbol"] for each in data)
    chosen = ", ".join(f"{name} {value:g}" for name, value in result["parameters"].items())
    gain = summary["return_percent"]
    text = Text(f"{result['strategy']['name']} on {symbols} {data[0]['timeframe']}", style="bold")
    text.append(f"  {gain:+,.2f} %", style="bold green" if gain > 0 else "bold red")
    text.append(f"  buy and hold {summary['buy_and_hold_percent']:+,.2f} %", style="not bold")
    span = f"{rules['start'][:10]} to {rules['end'][:10]}"
    source = f"{sum(each['bars'] for each in data):,} bars of {data[0]['source']}"
    text.append(f"\n{span}, {source}{', ' + chosen if chosen else ''}", style="not bold dim")
    return text


def _verdict(verdict: Mapping[str, Any]) -> Text:
    text = Text(verdict["sentence"], style=_FINDINGS.get(verdict["finding"], "bold yellow"))
    for reason in verdict["reasons"]:
        text.append(f"\n- {reason}", style="not bold default")
    return text


def _figures(result: Mapping[str, Any]) -> Table:
    summary, figures = result["summary"], result["statistics"]
    cells = [
        ("final equity", f"{summary['final_equity']:,.2f}"), ("CAGR", _share(figures["cagr"])),
        ("Sharpe", _number(figures["sharpe"])), ("Sortino", _number(figures["sortino"])),
        ("Calmar", _number(figures["calmar"])), ("deepest fall", f"{summary['max_drawdown_percent']:.2f} %"),
        ("trades", f"{summary['trades']:,}"), ("won", _part(figures["win_rate"])),
        ("profit factor", _number(figures["profit_factor"])), ("payoff", _number(figures["payoff"])),
        ("SQN", _number(figures["sqn"])), ("exposure", _part(figures["exposure"])),
        ("volatility", _part(figures["volatility"])), ("fees", f"{summary['fees']:,.2f}"),
        ("funding", f"{summary['funding']:,.2f}"), ("alpha a year", _share(figures["benchmark"]["alpha"])),
    ]  # fmt: skip
    table = Table.grid(padding=(0, 3, 0, 0))
    for row in range(0, len(cells), 4):
        table.add_row(*(f"[cyan]{name}[/] {value}" for name, value in cells[row : row + 4]))
    return table


def _search(search: Mapping[str, Any]) -> Table:
    names = list(search["best"]["parameters"]) if search["best"] else []
    profitable = f"{search['share_positive']:.0%} with a profit"
    table = _table(f"best of {search['tried']:,} tries ({search['method']}), {profitable}", *names, "Sharpe", "return",
                   "deepest fall", "trades")  # fmt: skip
    for trial in search["top"]:
        table.add_row(
            *(f"{trial['parameters'][name]:g}" for name in names), _number(trial["sharpe"]),
            _share(trial["total_return"]), _part(trial["max_drawdown"]), f"{trial['trades']:,}",
        )  # fmt: skip
    return table


def _walk_forward(walked: Mapping[str, Any]) -> Table:
    table = _table(
        f"walk-forward: {_share(walked['total_return'])} out of sample, {walked['share_profitable']:.0%} of windows "
        "with a profit", "window", "chosen on the past", f"{walked['objective']} then", "after", "return", "trades",
    )  # fmt: skip
    for number, window in enumerate(walked["windows"], 1):
        chosen = ", ".join(f"{name} {value:g}" for name, value in (window["parameters"] or {}).items())
        table.add_row(
            str(number), chosen or "none", _number(window["in_sample"]), _number(window["out_of_sample"]),
            _share(window["total_return"]), str(window["trades"]),
        )  # fmt: skip
    return table


def _monte_carlo(simulated: Mapping[str, Any]) -> Table:
    table = _table("what else could have happened", "", "return p5", "median", "p95", "fall p95",
                   f"lost {simulated['ruin']:.0%}")  # fmt: skip
    for each in simulated["scenarios"]:
        returns = each["final_return"]
        table.add_row(
            each["name"].replace("_", " "), *(_share(returns[p]) for p in ("p5", "p50", "p95")),
            _part(each["max_drawdown"]["p95"]), f"{each['risk_of_ruin']:.1%}",
        )  # fmt: skip
    return table


def _trades(trades: list[dict[str, Any]]) -> Table:
    """A line each in 80 columns; CSV and page have every field."""
    shown = trades[-_MOST_TRADES:]
    several = len({trade["symbol"] for trade in shown}) > 1
    names = ("opened", *(["symbol"] if several else []), "side", "bars", "entry", "exit", "percent", "R", "closed by")
    table = _table(f"the newest {len(shown)} trades", *names)
    for column in table.columns:
        column.no_wrap = True
        column.justify = "right" if column.header in ("bars", "entry", "exit", "percent", "R") else "left"
    for trade in shown:
        style = "green" if trade["pnl"] > 0 else "red"
        table.add_row(
            trade["opened"][:16].replace("T", " "), *([escape(trade["symbol"])] if several else []),
            trade["side"], f"{trade['bars']:,}", f"{trade['entry']:,.6g}", f"{trade['exit']:,.6g}",
            f"[{style}]{trade['pnl_percent']:+.2f}[/]", _number(trade["r"]), trade["closed_by"].replace("_", " "),
        )  # fmt: skip
    return table


def _table(title: str, *columns: str) -> Table:
    return Table(*columns, title=title, title_justify="left", title_style="bold", header_style="cyan", box=None)


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"


def _share(value: float | None) -> str:
    return "none" if value is None else f"{100 * value:+,.1f} %"


def _part(value: float | None) -> str:
    return "none" if value is None else f"{100 * value:,.1f} %"
