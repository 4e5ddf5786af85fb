"""Log lines: JSON, with what is bound to the context, without arguments and local variables."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from crypto_mcp.logfiles import DailyFiles

ROOT = Path(__file__).parents[1]


def logged(program: str, level: str = "INFO") -> list[dict[str, Any]]:
    """The lines a program logs when standard error is no terminal."""
    return [orjson.loads(line) for line in written(program, level)]


def written(program: str, level: str = "INFO") -> list[str]:
    """The same, as it is written."""
    setup = f"import logging, structlog; from crypto_mcp.logs import configure\n{CONFIGURE.format(level=level)}\n"
    done = subprocess.run([sys.executable, "-c", setup + program], cwd=ROOT, capture_output=True, check=True)
    assert done.stdout == b""  # stdio belongs to MCP
    return [line for line in done.stderr.decode().split("\n") if line]


CONFIGURE = "from crypto_mcp.settings import LogSettings; configure(LogSettings(level={level!r}))"


def test_a_line_carries_the_context() -> None:
    (line,) = logged(
        "structlog.contextvars.bind_contextvars(request_id='r1', job_id='j1', worker='w1', trace='t1')\n"
        "structlog.get_logger().info('done', ms=1.5)"
    )
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "done", "level": "info", "ms": 1.5, "request_id": "r1", "job_id": "j1", "worker": "w1", "trace": "t1",
    }  # fmt: skip


def test_the_standard_library_logs_the_same_way() -> None:
    (line,) = logged(
        "structlog.contextvars.bind_contextvars(job_id='j1')\nlogging.getLogger('uvicorn.error').warning('a %s', 'b')"
    )
    assert line["event"] == "a b"
    assert line["job_id"] == "j1"
    assert line["logger"] == "uvicorn.error"


def test_arq_does_not_log_the_arguments_of_jobs() -> None:
    """At INFO arq writes every job with its arguments and its result."""
    for level in ("DEBUG", "INFO"):
        assert logged("logging.getLogger('arq.worker').info('job(secret=1)')", level) == []


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_text_makes_a_line_of_its_own_or_moves_the_cursor(form: str) -> None:
    """As a path or a name from outside may try: a line break, an escape of a terminal, a separator of JavaScript."""
    evil = "/v1/a\n{'event': 'forged'}\r\x1b[2J\x1b]0;x\x07\u2028\u202e\x85"
    program = (
        f"from crypto_mcp.settings import LogSettings; configure(LogSettings(format={form!r}))\n"
        f"structlog.get_logger().info('request', path={evil!r})\n"
        f"logging.getLogger('uvicorn.error').warning('%s', {evil!r})"
    )
    lines = written(program)
    assert len(lines) == 2
    assert all(line.isprintable() or form == "json" for line in lines), lines
    assert not any(each in line for line in lines for each in "\r\x1b\x07")
    if form == "json":
        assert orjson.loads(lines[0])["path"] == evil


def test_a_traceback_has_no_local_variables() -> None:
    program = (
        "def work(password):\n    raise ValueError('broke')\n"
        "try:\n    work('hunter2')\nexcept ValueError:\n    structlog.get_logger().exception('failed')\n"
    )
    (line,) = logged(program)
    assert line["exception"][0]["exc_value"] == "broke"
    assert line["exception"][0]["frames"][-1]["name"] == "work"
    assert "hunter2" not in str(line)


def test_the_level_is_the_least_that_is_written() -> None:
    program = "log = structlog.get_logger(); log.info('a'); log.warning('b'); logging.getLogger('x').info('c')"
    assert [line["event"] for line in logged(program, "WARNING")] == ["b"]


def test_files_change_with_the_day_are_compressed_and_go_after_thirty_days(tmp_path: Path) -> None:
    """Forty days by a clock of ours: today's file is plain, thirty are compressed and whole, older ones are gone."""
    day, screen = date(2026, 1, 1), io.StringIO()
    files = DailyFiles(tmp_path, "worker", screen, days=30, today=lambda: day)
    for number in range(40):
        day = date(2026, 1, 1) + timedelta(days=number)
        files.write(f"line {number}\n")
        today = [f"worker-{day}.log"]
        _until(lambda today=today: [path.name for path in tmp_path.glob("*.log")] == today)
    _until(lambda: len(list(tmp_path.iterdir())) == 31)
    packed = sorted(tmp_path.glob("*.gz"))
    assert len(packed) == 30
    assert gzip.decompress(packed[-1].read_bytes()) == b"line 38\n"
    assert screen.getvalue().count("line") == 40


def _until(holds: Any) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)
