"""Under which key an answer is cached, and how long it stays true, by kind."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from pydantic import BaseModel

from crypto_mcp.models.analysis import Analysis, AnalyzeParams, Provenance
from crypto_mcp.models.backtest import BacktestParams, BacktestPictureParams, BacktestReportParams, BacktestResult
from crypto_mcp.models.charts import ChartParams
from crypto_mcp.models.opportunities import Opportunities, OpportunityParams
from crypto_mcp.models.portfolio import PortfolioParams
from crypto_mcp.models.scans import MarketScan, ScanParams, ScanPictureParams
from crypto_mcp.models.timeframes import Timeframe

_DAY = 86_400


def analysis_key(params: AnalyzeParams) -> str:
    standard = AnalyzeParams.model_fields["bars"].default
    suffix = "" if params.bars == standard else f":{params.bars}"
    suffix += ":full" if params.detail == "full" else ""
    suffix += f":{'+'.join(params.compare)}" if params.compare else ""
    return f"analysis:{params.symbol}:{params.timeframe}{suffix}"


def until_next_bar(result: Analysis) -> float:
    """An analysis is true until the next bar closes, of any of the timeframes it looked at."""
    observed = result.data.last_bar.timestamp() + length(result.timeframe) + result.data.age_seconds
    others = [length(view.timeframe) for view in result.confluence.views] if result.confluence else []
    return min([until_bar_after(result.timeframe, result.data), *(length - observed % length for length in others)])


def until_bar_after(timeframe: Timeframe, data: Provenance) -> float:
    return length(timeframe) - data.age_seconds


def length(timeframe: Timeframe) -> float:
    """Of a bar, in seconds."""
    return timeframe.milliseconds / 1000


def backtest_key(params: BacktestParams) -> str:
    """By what was asked: strategy, range, rules."""
    return f"backtest:{sha256(params.model_dump_json().encode()).hexdigest()[:32]}"


def while_newest(result: BacktestResult) -> float:
    """A test of a past range stays true, one up to now until the next bar closes."""
    ages = [until_bar_after(data.timeframe, data) for data in result.data]
    return min(ages) if max(ages) > 0 else _DAY


def backtest_chart(result: Mapping[str, Any]) -> dict[str, Any]:
    """The picture of that very run."""
    return {"job_id": result["backtest_job_id"]}


def backtest_chart_key(params: BacktestPictureParams) -> str:
    return f"backtest_chart:{params.job_id}:{params.theme}"


def backtest_report_key(params: BacktestReportParams) -> str:
    return f"backtest_report:{params.job_id}:{params.form}"


def analysis_chart(result: Mapping[str, Any]) -> dict[str, Any]:
    """The chart of the very bars that an analysis was made of."""
    data = result["data"]
    return {name: data[name] for name in ("symbol", "timeframe", "first_bar", "last_bar")}


def chart_key(params: ChartParams) -> str:
    if params.first_bar is None or params.last_bar is None:
        bars = str(params.bars)
    else:
        bars = f"{params.first_bar.timestamp():.0f}-{params.last_bar.timestamp():.0f}"
    return f"chart:{params.symbol}:{params.timeframe}:{bars}:{params.theme}"


def scan_key(params: ScanParams) -> str:
    return f"market_scan:{params.scan_type}:{minute_and_unusual(params, 'scan_type', 'chart')}"


def scan_chart(result: Mapping[str, Any]) -> dict[str, Any]:
    """The picture of that very scan."""
    return {"scan": dict(result)}


def scan_chart_key(params: ScanPictureParams) -> str:
    digest = hashlib.blake2b(params.model_dump_json().encode(), digest_size=12).hexdigest()
    return f"scan_chart:{params.scan.scan_type}:{digest}"


def opportunities_key(params: OpportunityParams) -> str:
    return f"opportunities:{minute_and_unusual(params)}"


def minute_and_unusual(params: BaseModel, *told: str) -> str:
    """The minute in which it is asked; parameters other than the usual ones are told by their digest."""
    unusual = params.model_dump(mode="json", exclude_defaults=True, exclude=set(told))
    digest = hashlib.blake2b(json.dumps(unusual, sort_keys=True).encode(), digest_size=6).hexdigest()
    return f"{int(time.time()) // 60 * 60}" + (f":{digest}" if unusual else "")


def until_next_opportunity(result: Opportunities) -> float:
    """Until a bar of the shortest timeframe closes."""
    shortest = length(result.timeframes[0])
    return shortest - result.timestamp.timestamp() % shortest


def until_next_scan(result: MarketScan) -> float:
    """A scan is true until the next bar closes, of any of the timeframes it looked at."""
    at = result.timestamp.timestamp()
    return min(length(timeframe) - at % length(timeframe) for timeframe in result.data.timeframes)


def portfolio_key(params: PortfolioParams) -> str | None:
    """Only the plain reading is cached; sections on request and changes are not."""
    plain = PortfolioParams(portfolio_id=params.portfolio_id, detail=params.detail)
    full = ":full" if params.detail == "full" else ""
    return f"portfolio:{params.portfolio_id}{full}" if params == plain else None
