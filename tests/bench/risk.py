"""Portfolios and the risk of a trade, end to end over REST and the queue, market data warm; never from the cache."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from typing import Any

import httpx2
import numpy as np

from crypto_mcp.risk.simulation import simulate
from tests.bench.figures import Figures, percentile
from tests.bench.front import _system

_TRADES = 2000


async def run(figures: Figures, *, quick: bool) -> None:
    """All figures of the section."""
    calls = 30 if quick else 200
    numbers = count(1)
    async with _system() as system:
        system.launch("scheduler")  # its feed keeps last prices warm
        await system.start_front()
        async with httpx2.AsyncClient(base_url=system.url, timeout=120) as http:
            symbols = await _symbols(system.sandbox_port)
            for size in (10, 200):
                await _fill(http, f"of-{size}", symbols[:size])
            rows = {}
            for size in (10, 200):
                body = _portfolio(f"of-{size}", numbers)
                rows[f"portfolio of {size}"] = seconds = await _timed(http, "portfolio_monitor", body, calls)
                figures.add(f"portfolio_{size}_p95_ms", 1000 * percentile(seconds, 95))
            rows["risk of a trade"] = seconds = await _timed(http, "risk_assessment", _trade(numbers), calls)
            figures.add("risk_p95_ms", 1000 * percentile(seconds, 95))
            imported = await _import(http, symbols[:5])
    shown = {name: [1000 * percentile(seconds, share) for share in (50, 95, 99)] for name, seconds in rows.items()}
    figures.table(f"risk, ms, {calls} calls one at a time", shown, ("p50", "p95", "p99"))
    figures.table(
        "engine, ms",
        {f"import of {_TRADES} trades (end to end)": [imported], "Monte Carlo, 50,000 x 20": [_monte_carlo()]},
        ("ms",),
    )


async def _symbols(sandbox_port: int) -> list[str]:
    async with httpx2.AsyncClient(timeout=10) as client:
        info = (await client.get(f"http://127.0.0.1:{sandbox_port}/api/v3/exchangeInfo")).json()
    trading = [s["symbol"] for s in info["symbols"] if s["status"] == "TRADING" and s["quoteAsset"] == "USDT"]
    return ["BTCUSDT", "ETHUSDT", *(name for name in trading if name not in ("BTCUSDT", "ETHUSDT"))]


async def _fill(http: httpx2.AsyncClient, name: str, symbols: list[str]) -> None:
    """A portfolio that holds each symbol, from one import."""
    rows = [f"2026-01-05T00:{i % 60:02}:00Z,{symbol},buy,{1 + i % 7},10" for i, symbol in enumerate(symbols)]
    await _call(http, "portfolio_monitor", {"action": "create", "portfolio_id": name})
    text = "\n".join(["time,symbol,side,quantity,price", *rows])
    done = await _call(http, "portfolio_monitor", {"action": "import_trades", "portfolio_id": name, "csv": text})
    if done["imported"]["trades"] != len(symbols):
        raise RuntimeError(str(done)[:500])


async def _import(http: httpx2.AsyncClient, symbols: list[str]) -> float:
    """Milliseconds of an import of many trades."""
    rows = [
        f"2026-01-{1 + i // 96:02}T{i // 4 % 24:02}:{15 * (i % 4):02}:00Z,{symbols[i % 5]},"
        f"{'buy' if i // 5 % 3 else 'sell'},{i % 3 + 1},{10 + i % 4},0.01,t{i}"
        for i in range(5, _TRADES + 5)
    ]
    await _call(http, "portfolio_monitor", {"action": "create", "portfolio_id": "traded"})
    text = "\n".join(["time,symbol,side,quantity,price,fee,id", *rows])
    began = time.perf_counter()
    await _call(http, "portfolio_monitor", {"action": "import_trades", "portfolio_id": "traded", "csv": text})
    return 1000 * (time.perf_counter() - began)


def _portfolio(name: str, numbers: count[int]) -> Callable[[], dict[str, Any]]:
    return lambda: {"portfolio_id": name, "seed": next(numbers) + 1}


def _trade(numbers: count[int]) -> Callable[[], dict[str, Any]]:
    return lambda: {"symbol": "BTCUSDT", "entry": 60_000 + next(numbers), "stop": 58_500, "account_size": 10_000}


async def _timed(http: httpx2.AsyncClient, kind: str, body: Callable[[], dict[str, Any]], calls: int) -> list[float]:
    """Seconds of each call; the first ones warm up."""
    seconds = []
    for i in range(calls + 10):
        began = time.perf_counter()
        await _call(http, kind, body())
        if i >= 10:
            seconds.append(time.perf_counter() - began)
    return seconds


async def _call(http: httpx2.AsyncClient, kind: str, body: dict[str, Any]) -> dict[str, Any]:
    response = await http.post(f"/v1/jobs/{kind}?wait=25", json=body)
    answer = response.json()
    if response.status_code != 200 or answer["status"] != "done" or answer["cached"]:
        raise RuntimeError(response.text[:500])
    result: dict[str, Any] = answer["result"]
    return result


def _monte_carlo() -> float:
    """Milliseconds of 50,000 paths of 20 assets, the best of five."""
    rng = np.random.default_rng(1)
    root = rng.normal(size=(20, 20)) / 100
    covariance, held = root @ root.T, rng.uniform(100, 1000, 20)
    best = []
    for seed in range(5):
        began = time.perf_counter()
        simulate(covariance, held, 4.0, seed=seed)
        best.append(time.perf_counter() - began)
    return 1000 * min(best)
