"""`crypto-mcp dead` against a real Redis."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from redis import Redis

from crypto_mcp.cli import main
from crypto_mcp.errors import InternalError
from crypto_mcp.jobs.envelope import dead_entry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from crypto_mcp.settings import Settings

LIST = "analysis:queue"
ENVELOPE = {"kind": "analyze_crypto", "params": {"symbol": "BTCUSDT"}}


@pytest.fixture
def redis(settings: Settings) -> Redis:
    return Redis.from_url(settings.redis.queue_url.get_secret_value())


@pytest.fixture
def dead(
    settings: Settings,
    redis: Redis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., str]:
    """Runs `crypto-mcp dead ...`; what it said. One job is dead."""
    error = InternalError("it broke three times", hint="Look at the log.")
    entry = dead_entry(orjson.dumps(ENVELOPE), LIST, error, job_id="job1", attempts=3, worker="w", at=1_700_000_000)
    redis.lpush(f"dead:{LIST}", entry)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("CRYPTO_MCP_REDIS__QUEUE_URL", settings.redis.queue_url.get_secret_value())

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["crypto-mcp", "dead", *arguments])
        with pytest.raises(SystemExit):
            main()
        said = capsys.readouterr()
        return said.out + said.err

    return run


def test_list_says_what_died_when_and_why(dead: Callable[..., str]) -> None:
    out = dead("list")
    for part in (LIST, "job1", "3", "2023-11-14 22:13:20", "internal_error: it broke three times"):
        assert part in out


def test_show_has_what_was_pushed(dead: Callable[..., str]) -> None:
    shown: dict[str, Any] = orjson.loads(dead("show", LIST, "job1"))
    assert orjson.loads(shown["envelope"]) == ENVELOPE
    assert shown["reason"]["hint"] == "Look at the log."


def test_replay_puts_it_back_on_its_list(dead: Callable[..., str], redis: Redis) -> None:
    assert "job1" in dead("replay", LIST, "job1")
    pushed = redis.rpop(LIST)
    assert isinstance(pushed, bytes)
    assert orjson.loads(pushed)["params"] == ENVELOPE["params"]
    assert "Nothing has failed" in dead("list")


def test_drop_removes_it(dead: Callable[..., str], redis: Redis) -> None:
    dead("drop", LIST, "job1")
    assert redis.llen(f"dead:{LIST}") == redis.llen(LIST) == 0


def test_an_entry_that_is_not_there_is_an_error(dead: Callable[..., str]) -> None:
    assert "[unknown_dead_letter]" in dead("show", LIST, "job2")
