"""`crypto-mcp run`: the real thing, started, hurt, ended and started again."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import psutil
import pytest
from dotenv import dotenv_values

from crypto_mcp.catalogue import (
    ALERT_MANAGER,
    ANALYZE_CRYPTO,
    DETECT_OPPORTUNITIES,
    HISTORICAL_BACKTEST,
    MARKET_SCANNER,
    PORTFOLIO_MONITOR,
    RISK_ASSESSMENT,
)
from crypto_mcp.client import CryptoMcp
from crypto_mcp.local.passwords import Passwords
from crypto_mcp.models.analysis import AnalyzeParams
from crypto_mcp.models.timeframes import Timeframe
from tests.servers import free_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
PORTS = ("LOCAL__REDIS_PORT", "LOCAL__MONGO_PORT", "LOCAL__POSTGRES_PORT", "SERVER__PORT", "SANDBOX__PORT")
WITHIN = 60.0


class Running:
    """A `crypto-mcp run` process and what it has said so far."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.env = env
        self.said_to = folder / f"said-{time.monotonic_ns()}"
        with self.said_to.open("wb") as output:
            self.process = psutil.Popen(
                [sys.executable, "-m", "crypto_mcp.cli", "run"], cwd=folder, env=env, stdout=output, stderr=output
            )

    @property
    def said(self) -> str:
        return self.said_to.read_text()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.env['CRYPTO_MCP_SERVER__PORT']}"

    def until_said(self, text: str) -> None:
        self.until(lambda: text in self.said or self.process.poll() is not None)
        assert text in self.said, self.said

    def until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WITHIN
        while not true():
            assert time.monotonic() < deadline, self.said
            time.sleep(0.05)

    def child(self, word: str) -> psutil.Process:
        """The child whose command line has this word."""
        for child in self.process.children():
            if word in re.split("[ /]", " ".join(child.cmdline())):
                return child
        raise LookupError(word)

    def call(self, symbol: str, timeframe: str) -> dict[str, Any]:
        reply = httpx2.post(
            f"{self.url}/v1/jobs/analyze_crypto",
            params={"wait": 25},
            json={"symbol": symbol, "timeframe": timeframe},
            timeout=40,
        )
        answer: dict[str, Any] = reply.json()
        return answer

    def end(self, signum: signal.Signals) -> int:
        """Ends it, and says with what status; nothing it started is left."""
        family = self.process.children(recursive=True)
        self.process.send_signal(signum)
        status = self.process.wait(timeout=WITHIN)
        _, alive = psutil.wait_procs(family, timeout=20)
        assert alive == []
        return int(status)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stack")


@pytest.fixture(scope="module")
def env() -> dict[str, str]:
    ports = {f"CRYPTO_MCP_{name}": str(port) for name, port in zip(PORTS, free_ports(len(PORTS)), strict=True)}
    return os.environ | ports | {"PYTHONPATH": str(ROOT), "CRYPTO_MCP_SERVER__WORKERS": "1", "COLUMNS": "200"}


@contextmanager
def started(place: Path, env: dict[str, str]) -> Iterator[Running]:
    running = Running(place, env)
    try:
        running.until_said("Try next")
        yield running
    finally:
        if running.process.is_running():
            running.end(signal.SIGKILL)


@pytest.fixture(scope="module")
def stack(place: Path, env: dict[str, str]) -> Iterator[Running]:
    """The stack on fresh data."""
    with started(place, env) as running:
        yield running


def test_a_first_run_prints_a_real_answer_and_where_things_are(stack: Running) -> None:
    """In words, from closed bars of the sandbox, which says that it is one."""
    assert re.search(r"BTCUSDT 1h at [\d,.]+: (STRONG )?(BUY|SELL|HOLD)", stack.said)
    assert re.search(r"From \d+ closed bars of sandbox", stack.said)
    for path in ("/mcp", "/v1", "/docs"):
        assert stack.url + path in stack.said
    assert "Traceback" not in stack.said


def test_every_tool_is_asked_through_the_client_with_the_models_of_its_kind(stack: Running) -> None:
    """What each answers is read back as its result model; pictures and earlier analyses too."""
    with CryptoMcp(stack.url) as crypto:
        analysis = crypto.ask(
            ANALYZE_CRYPTO, AnalyzeParams(symbol="BTC", timeframe=Timeframe.H1, detail="full"), within=120
        )
        assert (analysis.symbol, analysis.data.source) == ("BTCUSDT", "sandbox")
        assert crypto.ask(MARKET_SCANNER, {"scan_type": "momentum"}, within=120).looked_at > 100
        assert crypto.ask(DETECT_OPPORTUNITIES, {"symbols": ["BTC", "ETH"]}, within=120).source == "sandbox"
        for params in ({"action": "create"}, {"action": "deposit", "amount": "1000.50"}):
            crypto.ask(PORTFOLIO_MONITOR, {"portfolio_id": "typed", **params})
        kept = crypto.ask(PORTFOLIO_MONITOR, {"action": "get", "portfolio_id": "typed"})
        assert kept.portfolio_id == "typed"
        trade = {"symbol": "BTC", "entry": "60000", "stop": "58500", "account_size": "10000"}
        assert crypto.ask(RISK_ASSESSMENT, trade).symbol == "BTCUSDT"
        tested = crypto.ask(HISTORICAL_BACKTEST, {"symbols": ["BTC"], "timeframe": "1d"}, within=120)
        assert tested.strategy.name == "ema_cross"
        assert crypto.ask(ALERT_MANAGER, {"action": "list"}).alerts == []
        assert crypto.file("/v1/chart.png", {"symbol": "BTC"}).startswith(b"\x89PNG")
        assert next(crypto.analyses("BTC")).analysis.symbol == "BTCUSDT"


def test_what_it_keeps_is_for_its_owner_only(stack: Running, place: Path) -> None:
    for name in ("secrets.json", "run.env", "admin.key", "redis/redis.conf", "mongodb/keyfile"):
        assert (place / ".local" / name).stat().st_mode & 0o077 == 0, name
    secrets = re.findall(r"[0-9a-f]{48}", (place / ".local" / "secrets.json").read_text())
    assert len(secrets) == len(fields(Passwords))
    for child in stack.process.children(recursive=True):
        assert not any(secret in " ".join(child.cmdline()) for secret in secrets)
    logs = "".join(path.read_text(errors="replace") for path in (place / ".local" / "logs").iterdir())
    assert not any(secret in logs + stack.said for secret in secrets)


def test_a_shell_reads_its_addresses_as_settings_do(stack: Running, place: Path) -> None:
    """`source .local/run.env` as the README has it, whatever the values have in them."""
    assert stack.process.is_running()
    read = subprocess.run(
        ["bash", "-euc", "set -a; source .local/run.env; env -0"], cwd=place, capture_output=True, text=True, check=True
    )
    assert not read.stderr
    sourced = dict(line.split("=", 1) for line in read.stdout.split("\0") if line.startswith("CRYPTO_MCP_"))
    assert "&" in sourced["CRYPTO_MCP_MONGO__URL"]
    assert dotenv_values(place / ".local" / "run.env").items() <= sourced.items()


def test_other_commands_find_it(stack: Running, place: Path) -> None:
    plain = {name: value for name, value in stack.env.items() if not name.startswith("CRYPTO_MCP_")}
    doctor = subprocess.run(
        [sys.executable, "-m", "crypto_mcp.cli", "doctor"],
        cwd=place, env=plain, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr


def test_a_second_stack_on_the_same_data_is_refused(stack: Running, place: Path) -> None:
    second = Running(place, stack.env)
    assert second.process.wait(timeout=WITHIN) == 1
    assert f"as process {stack.process.pid}" in second.said
    assert "[already_running]" in second.said


def test_a_taken_port_is_named_with_its_setting(stack: Running, place: Path) -> None:
    elsewhere = stack.env | {"CRYPTO_MCP_LOCAL__DATA": str(place / "elsewhere")}
    second = Running(place, elsewhere)
    assert second.process.wait(timeout=WITHIN) == 1
    assert f"port {stack.env['CRYPTO_MCP_LOCAL__REDIS_PORT']}" in second.said
    assert "CRYPTO_MCP_LOCAL__REDIS_PORT" in second.said


@pytest.mark.parametrize(
    ("name", "word", "timeframe"),
    [
        ("redis", "redis-server", "15m"),
        ("mongodb", "mongod", "30m"),
        ("postgresql", "postgres", "2h"),
        ("sandbox", "sandbox", "4h"),
        ("worker-analysis", "analysis:queue", "6h"),
        ("scheduler", "scheduler", "8h"),
        ("front-end", "serve", "12h"),
    ],
)
def test_a_killed_child_comes_back_and_calls_are_answered(stack: Running, name: str, word: str, timeframe: str) -> None:
    """A call made meanwhile is answered, or refused with a code; never lost without a word."""
    stack.child(word).kill()
    if name != "front-end":
        meanwhile = stack.call("ETHUSDT", timeframe)
        assert meanwhile.get("status") in ("done", "queued", "running", "retrying") or meanwhile["code"] in (
            "store_unavailable",
            "source_unavailable",
        ), meanwhile
    stack.until_said(f"{name} is back")
    assert f"{name} was ended by SIGKILL. Starting it again" in stack.said
    stack.until(lambda: stack.call("SOLUSDT", timeframe).get("status") == "done")


def test_a_stack_that_was_killed_leaves_nobody_and_starts_again_on_its_data(stack: Running, place: Path) -> None:
    jobs = job_ids(stack)
    stack.end(signal.SIGKILL)
    with started(place, stack.env) as again:
        assert f"process {stack.process.pid}) did not end in order" in again.said
        assert jobs
        assert jobs <= job_ids(again)
        assert again.end(signal.SIGINT) == 0
        assert "Stopped." in again.said
    assert not (place / ".local" / "run.env").exists()


def job_ids(running: Running) -> set[str]:
    return {job["job_id"] for job in httpx2.get(f"{running.url}/v1/jobs").json()["jobs"]}
