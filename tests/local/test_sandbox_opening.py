"""The stack's sandbox keeps its place in time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from crypto_mcp.local.stack import Stack
from crypto_mcp.settings import SandboxSettings, Settings

OPENED = "CRYPTO_MCP_SANDBOX__OPENED"


def opened(data: Path, settings: Settings, *, live: bool = False) -> str | None:
    return Stack(settings, data, live=live).environment().get(OPENED)


def test_prices_stay_where_the_first_start_put_them(tmp_path: Path) -> None:
    first = opened(tmp_path, Settings())
    assert first
    assert abs(datetime.fromisoformat(first) - datetime.now(UTC)) < timedelta(minutes=1)
    (kept,) = (path for path in tmp_path.iterdir() if path.is_file() and path.read_text() == first)
    kept.write_text("2026-01-02T03:04:05+00:00")
    assert opened(tmp_path, Settings()) == "2026-01-02T03:04:05+00:00"


def test_a_place_that_was_set_is_taken(tmp_path: Path) -> None:
    chosen = datetime(2026, 5, 6, 7, tzinfo=UTC)
    settings = Settings(sandbox=SandboxSettings(opened=chosen))
    assert opened(tmp_path, settings) == chosen.isoformat()
    assert opened(tmp_path, settings, live=True) is None
