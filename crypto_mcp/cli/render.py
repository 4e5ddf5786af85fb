"""Results for people: any result as tables, and those with a story in words first."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

_ACTION_STYLES = {"BUY": "bold green", "STRONG_BUY": "bold green", "SELL": "bold red", "STRONG_SELL": "bold red"}
_MOST_ROWS, _MOST_COLUMNS = 12, 8
_OF_A_SCAN = ("symbol", "side", "score", "price", "spark", "why")


def in_words(result: Mapping[str, Any]) -> Text:
    """An analysis in a few sentences."""
    recommendation, summary, data = result["recommendation"], result["analysis"], result["data"]
    action = recommendation["action"]
    text = Text()
    text.append(f"{result['symbol']} {result['timeframe']} at {_number(result['price'])}: ")
    text.append(action.replace("_", " "), style=_ACTION_STYLES.get(action, "bold"))
    text.append(
        f" with confidence {recommendation['confidence']:.0f} of 100, score {summary['intelligent_score']:.1f} of 10. "
        f"Trend {summary['trend'].replace('_', ' ')}, volatility {summary['volatility']}.\n"
    )
    text.append(f"{recommendation['reasoning']}\n")
    note = f" ({data['note']})" if data.get("note") else ""
    since = _moment(data["last_bar"])
    text.append(f"From {data['bars']} closed bars of {data['source']}, the last begun {since}{note}.", style="dim")
    return text


def result_tables(result: Mapping[str, Any]) -> RenderableType:
    """Every field of a result: single values in one table, lists of records in one each."""
    parts: list[RenderableType] = [in_words(result)] if {"recommendation", "analysis", "data"} <= result.keys() else []
    parts.append(_fields({name: value for name, value in result.items() if not _is_records(value)}))
    for name, value in result.items():
        if _is_records(value):
            parts.append(_records(name, value))
    return Group(*(Padding(part, (0, 0, 1, 0)) for part in parts))


def _is_records(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _fields(values: Mapping[str, Any]) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _flat(values).items():
        table.add_row(name, _cell(value))
    return table


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if value is None or value in ([], {}):
            continue
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _records(name: str, rows: list[dict[str, Any]]) -> RenderableType:
    """A table; one below the other where there are more columns than a terminal has room for."""
    columns = list(dict.fromkeys(column for row in rows for column, value in row.items() if value is not None))
    if set(_OF_A_SCAN) <= set(columns):
        return _matches(rows)
    if len(columns) > _MOST_COLUMNS:
        return _one_by_one(name, rows)
    table = Table(title=name.replace("_", " "), title_justify="left", title_style="bold", header_style="cyan")
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows[:_MOST_ROWS]:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    return _with_caption(table, rows)


def _matches(rows: list[dict[str, Any]]) -> Table:
    """What a scan found, a line each."""
    table = Table(header_style="cyan", box=None, padding=(0, 2, 0, 0), expand=True)
    for column, justify in (("symbol", "left"), ("side", "left"), ("score", "right"), ("price", "right")):
        table.add_column(column, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("24 h", justify="right", no_wrap=True)
    table.add_column("closes", no_wrap=True)
    table.add_column("why", no_wrap=True, overflow="ellipsis", ratio=1)
    for row in rows[:_MOST_ROWS]:
        change = row.get("change_percent")
        style = {"long": "green", "short": "red"}.get(row["side"], "")
        table.add_row(
            escape(row["symbol"]), Text(row["side"], style), _number(row["score"]), _number(row["price"]),
            "" if change is None else f"{change:+.1f} %", row["spark"], escape(", ".join(row["why"])),
        )  # fmt: skip
    return _with_caption(table, rows)


def _one_by_one(name: str, rows: list[dict[str, Any]]) -> RenderableType:
    shown = rows[:_MOST_ROWS]
    parts: list[RenderableType] = [Text(f"{name.replace('_', ' ')} ({len(rows)})", "bold")]
    parts += [Padding(_fields(row), (1, 0, 0, 2)) for row in shown]
    return Group(*parts)


def _with_caption(table: Table, rows: list[dict[str, Any]]) -> Table:
    if len(rows) > _MOST_ROWS:
        table.caption = f"and {len(rows) - _MOST_ROWS} more; --json has them all"
    return table


def _cell(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: ""}[value]
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {_cell(each)}" for name, each in value.items() if each is not None)
    if isinstance(value, list):
        return ", ".join(_cell(each) for each in value)
    return escape(str(value))


def _number(value: float) -> str:
    """Six significant digits at least, all digits before the point, thousands parted."""
    if isinstance(value, int) or value == int(value):
        return f"{int(value):,}"
    if abs(value) < 1:
        return f"{Decimal(f'{value:.6g}'):f}"
    digits = max(2, 6 - len(str(int(abs(value)))))
    return f"{value:,.{digits}f}".rstrip("0").rstrip(".")


def _moment(iso: str) -> str:
    """`2026-01-02T03:04:05Z` as `2026-01-02 03:04 UTC`."""
    return f"{iso[:10]} {iso[11:16]} UTC"
