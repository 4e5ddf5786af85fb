"""Tables of a backtest as CSV (RFC 4180)."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from io import StringIO
from typing import TYPE_CHECKING

from crypto_mcp.models.backtest import Trade

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from crypto_mcp.charts.backtest_chart import Course


def trades_csv(trades: Sequence[Trade]) -> str:
    """A row a trade, a column a field of `Trade`, times as ISO 8601."""
    return _csv(Trade.model_fields, (trade.model_dump(mode="json").values() for trade in trades))


def equity_csv(course: Course) -> str:
    """A row a bar: its close (UTC), the account, the same capital held, and the fall from the peak (share)."""
    rows = zip(course.times.tolist(), course.equity.tolist(), course.held.tolist(), course.drawdown.tolist())  # noqa: B905
    told = ((_moment(time), f"{equity:.2f}", f"{held:.2f}", f"{fall:.6f}") for time, equity, held, fall in rows)
    return _csv(("close", "equity", "buy_and_hold", "drawdown"), told)


def _csv(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    out = StringIO()
    writer = csv.writer(out)
    writer.writerow(head)
    writer.writerows([_safe(value) for value in row] for row in rows)
    return out.getvalue()


def _safe(value: object) -> object:
    """A text that a spreadsheet would take for a formula is marked as text."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@" else value


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
