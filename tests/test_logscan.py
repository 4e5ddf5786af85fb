"""The look through the logs of a run finds what it is for, and nothing else."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import canaries
from tests.logscan import FOLDER, leaks, leaks_of_files

ROOT = Path(__file__).parents[1]
KEY = f"cmcp_{'a' * 12}_{'B' * 43}"

LEAKING = [
    KEY, f"cmcs_{'x' * 43}", f"whsec_{'QUJD' * 8}", f"eyJ{'h' * 20}.eyJ{'p' * 20}.{'s' * 30}", canaries.PEPPER,
    canaries.ENCRYPTION_KEY, *canaries.PROVIDER_SECRETS, canaries.AMOUNT, canaries.QUANTITY, "+12025550123",
    "chatId=12025550123@c.us", "2025550123", "redis://:hunter22@127.0.0.1:6380/2", "mongodb://app:s3cret@127.0.0.1/",
]  # fmt: skip
HARMLESS = [
    "", "key_id=aaaaaaaaaaaa", "cmcp_", "redis://127.0.0.1:6380/2", "redis://:***@127.0.0.1:6380/2", "+1XXXXXXXX23",
    "http://127.0.0.1:18080/v1/jobs?x=a:b@c", "2026-12-01T20:25:55.012345Z", "512025550123456", "0.3141", "271828",
    '{"event": "request", "path": "/v1/jobs/5f0c", "ms": 202.5550123}',
]  # fmt: skip


@pytest.mark.parametrize("text", LEAKING)
def test_what_must_not_be_in_a_log_is_found_and_not_repeated(text: str) -> None:
    """In the middle of a line, inside JSON, twice: named, with its line, without itself."""
    for line in (text, f"before {text} after", json.dumps({"event": "x", "why": f"({text})"})):
        (found,) = leaks(f"a line\n{line}\nanother")
        assert text not in found
        assert "a line" not in found
    assert len(list(leaks(f"{text}\n{text}"))) == 2


@pytest.mark.parametrize("text", HARMLESS)
def test_what_may_be_in_a_log_is_not_found(text: str) -> None:
    assert list(leaks(f"a line\n{text}\nanother")) == []


def test_files_of_earlier_days_are_looked_at_too(tmp_path: Path) -> None:
    (tmp_path / "serve-2026-12-01.log").write_text(f"one\n{canaries.AMOUNT}\n")
    (tmp_path / "worker-2026-11-30.log.gz").write_bytes(gzip.compress(KEY.encode()))
    (tmp_path / "other.txt").write_text(KEY)
    assert [found.partition(":")[0] for found in leaks_of_files(tmp_path)] == [
        "serve-2026-12-01.log", "worker-2026-11-30.log.gz",
    ]  # fmt: skip


CHILD = (
    "import structlog; from crypto_mcp.settings import Settings; from crypto_mcp.logs import configure; "
    "configure(Settings(_env_file=None).log); structlog.get_logger().info('oops', text={text!r})"
)
LOGS_ITSELF = "import structlog\ndef test_one():\n    structlog.get_logger().info('oops', text={text!r})\n"
LOGS_BY_A_CHILD = (
    "import subprocess, sys\ndef test_two():\n"
    "    subprocess.run([sys.executable, '-c', {child!r}], capture_output=True, check=True)\n"
)


@pytest.mark.parametrize(("text", "processes", "status"), [(canaries.QUANTITY, "2", 1), ("fine", "0", 0)])
def test_a_run_in_whose_logs_something_is_found_fails(tmp_path: Path, text: str, processes: str, status: int) -> None:
    """By the test process itself, by a process that it started and whose output it took; side by side and alone."""
    (tmp_path / "test_itself.py").write_text(LOGS_ITSELF.format(text=text))
    (tmp_path / "test_child.py").write_text(LOGS_BY_A_CHILD.format(child=CHILD.format(text=text)))
    command = [sys.executable, "-m", "pytest", "-p", "tests.logscan", "-n", processes, "--rootdir", str(tmp_path)]
    environment = {name: value for name, value in os.environ.items() if name != FOLDER and "PYTEST" not in name}
    run = subprocess.run(
        [*command, str(tmp_path)], env=environment | {"PYTHONPATH": str(ROOT)}, cwd=tmp_path,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert "2 passed" in run.stdout, run.stdout + run.stderr
    assert run.returncode == status
    found = [line for line in run.stdout.splitlines() if "a size" in line]
    assert len(found) == 2 * status
    assert canaries.QUANTITY not in run.stdout
