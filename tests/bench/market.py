"""`market_scanner` over 400 symbols, end to end over REST: market data cold against the exchange's limits, and warm."""

from __future__ import annotations

import time
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2

from tests.bench.figures import Figures, percentile
from tests.bench.front import System

_COLD = ("1h", "4h", "2h", "1d", "6h")
_WARM = (
    "momentum", "oversold", "breakout", "opportunities", "volatility_squeeze", "order_block_retest", "fvg_open",
    "trend_strength", "new_high_low", "volume_spike", "reversal", "correlation_break",
)  # fmt: skip


async def run(figures: Figures, *, quick: bool) -> None:
    """Both figures. Every scan is one that was not asked before, so no answer comes from a cache."""
    with TemporaryDirectory(prefix="bench-") as folder:
        system = System(Path(folder))
        try:
            await system.start()
            await system.start_front()
            async with httpx2.AsyncClient(base_url=system.url, timeout=60) as http:
                await _warm_up(http)
                cold = [await _scan(http, {"timeframes": [timeframe]}) for timeframe in (_COLD[:2] if quick else _COLD)]
                limits = count(11)
                turns = 1 if quick else 5
                for name in _WARM:  # what structure there is, is found once for each bar
                    await _scan(http, {"scan_type": name, "limit": next(limits)})
                warm: dict[str, list[float]] = {name: [] for name in _WARM}
                for _ in range(turns):
                    for name in _WARM:
                        warm[name].append(await _scan(http, {"scan_type": name, "limit": next(limits)}))
                state = (await http.get(f"http://127.0.0.1:{system.sandbox_port}/sandbox/state")).json()
        finally:
            await system.stop()
    if state["refused"].get("429") or state["refused"].get("418"):
        raise RuntimeError(f"the exchange refused: {state['refused']}")
    figures.table(
        "market_scanner, 400 symbols, ms",
        {"cold": _row(cold)} | {name: _row(seconds) for name, seconds in warm.items()},
        ("p50", "p95", "worst"),
    )
    figures.add("scan_400_warm_p95_ms", 1000 * percentile([s for seconds in warm.values() for s in seconds], 95))
    figures.add("scan_400_cold_p95_ms", 1000 * percentile(cold, 95))


async def _warm_up(http: httpx2.AsyncClient) -> None:
    """The front end reaches the worker: it answers about one symbol."""
    await _scan(http, {"universe": {"only": ["BTCUSDT"]}, "timeframes": ["12h"]}, least=1)


async def _scan(http: httpx2.AsyncClient, body: dict[str, Any], *, least: int = 395) -> float:
    began = time.perf_counter()
    response = await http.post("/v1/jobs/market_scanner?wait=25", json=body)
    seconds = time.perf_counter() - began
    answer = response.json()
    if response.status_code != 200 or answer["status"] != "done" or answer["cached"]:
        raise RuntimeError(response.text[:500])
    if answer["result"]["looked_at"] < least:
        raise RuntimeError(f"only {answer['result']['looked_at']} symbols: {answer['result']['left_out']}")
    return seconds


def _row(seconds: list[float]) -> tuple[float, float, float]:
    return 1000 * percentile(seconds, 50), 1000 * percentile(seconds, 95), 1000 * max(seconds)
