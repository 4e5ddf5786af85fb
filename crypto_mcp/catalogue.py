"""Every job kind, declared once.

MCP tools, REST routes, the workers' function tables, caches, docs and metric labels are derived from here. A new kind
needs its two models, its handler and one entry in `KINDS`, and nothing else.
"""

from __future__ import annotations

from typing import Any

from crypto_mcp import cached_keys
from crypto_mcp.job_kind import CacheRule, Catalogue, JobKind
from crypto_mcp.models.alerts import AlertParams, AlertReport, EvaluateParams, Fired, FireParams, SweepParams
from crypto_mcp.models.analysis import Analysis, AnalyzeParams
from crypto_mcp.models.backtest import (
    BacktestParams,
    BacktestPart,
    BacktestPartResult,
    BacktestPicture,
    BacktestPictureParams,
    BacktestReport,
    BacktestReportParams,
    BacktestResult,
)
from crypto_mcp.models.callbacks import CallbackParams, Called
from crypto_mcp.models.charts import Chart, ChartParams
from crypto_mcp.models.notifications import Delivery, Notification, ReportParams, ReportResult
from crypto_mcp.models.opportunities import Opportunities, OpportunityParams
from crypto_mcp.models.portfolio import (
    PortfolioParams,
    PortfolioPicture,
    PortfolioPictureParams,
    PortfolioReport,
    SampledEquity,
    SampleParams,
)
from crypto_mcp.models.risk import RiskAssessment, RiskParams
from crypto_mcp.models.scans import MarketScan, ScanParams, ScanPicture, ScanPictureParams
from crypto_mcp.models.symbols import SymbolList, SymbolListParams

_DAY = 86_400
_AN_EMPTY_SCAN = {
    "scan_type": "momentum",
    "timestamp": "2026-01-01T00:00:30Z",
    "looks_for": "price that has moved for a day",
    "conditions": {},
    "ranked_by": "change",
    "data": {
        "source": "binance",
        "timeframes": ["1h"],
        "bars": 300,
        "last_bar": "2026-01-01T00:00:00Z",
        "age_seconds": 30,
    },
    "listed": 0,
    "looked_at": 0,
    "matched": 0,
    "left_out": [],
    "rows": [],
}


def _deletes_portfolio(params: PortfolioParams) -> str | None:
    gone = f"Delete the portfolio {params.portfolio_id} with its ledger? This cannot be taken back."
    return gone if params.action == "delete" else None


ANALYZE_CRYPTO = JobKind(
    name="analyze_crypto",
    list="analysis:queue",
    params=AnalyzeParams,
    result=Analysis,
    handler="workers.analysis:analyze_crypto",
    title="Analyse a cryptocurrency",
    summary=(
        "What the chart of one coin says, on closed bars: trend, volatility, support and resistance levels, order "
        "blocks, gaps, indicators such as RSI and MACD, a score, whether to buy or sell and why."
    ),
    example={"symbol": "BTCUSDT", "timeframe": "1h"},
    cache=CacheRule(key=cached_keys.analysis_key, ttl=300, good_for=cached_keys.until_next_bar, collection="analyses"),
    scope="analysis:read",
    chart=cached_keys.analysis_chart,
    resource="analyses/{symbol}/{timeframe}",
)

MARKET_SCANNER = JobKind(
    name="market_scanner",
    list="analysis:queue",
    params=ScanParams,
    result=MarketScan,
    handler="workers.scanning:market_scanner",
    title="Scan the market",
    summary=(
        "Finds coins of the whole market by a built-in scan (moves, oversold, volume, funding) or a condition of "
        "yours, such as an RSI below 30; ranks the top pairs, with the facts."
    ),
    example={"scan_type": "momentum", "timeframes": ["1h"]},
    cache=CacheRule(key=cached_keys.scan_key, ttl=60, good_for=cached_keys.until_next_scan, collection="market_scans"),
    scope="analysis:read",
    cost=5,
    chart=cached_keys.scan_chart,
    drawn_by="draw_scan",
)

PORTFOLIO_MONITOR = JobKind(
    name="portfolio_monitor",
    list="analysis:queue",
    params=PortfolioParams,
    result=PortfolioReport,
    handler="workers.portfolio:portfolio_monitor",
    title="Keep and watch a portfolio",
    summary=(
        "Creates, keeps and deletes portfolios: what you hold and traded; value, profit, how much it could lose (VaR), "
        "stress if a coin falls, exposure, drawdown, suggestions. It never trades."
    ),
    example={"action": "get", "portfolio_id": "default"},
    cache=CacheRule(key=cached_keys.portfolio_key, ttl=30, in_memory=False),
    scope="portfolio:read",
    read_only=False,
    owned=True,
    changes=lambda params: not params.reads,
    resource="portfolios/{portfolio_id}",
    destroys=_deletes_portfolio,
)

DETECT_OPPORTUNITIES = JobKind(
    name="detect_opportunities",
    list="analysis:queue",
    params=OpportunityParams,
    result=Opportunities,
    handler="workers.opportunities:detect_opportunities",
    title="Find trade ideas",
    summary=(
        "What to trade today: setups that timeframes agree on, with entry zone, stop loss, take-profit targets, "
        "reward-risk, odds, conflicts; each ready for an alert and a backtest."
    ),
    example={"symbols": ["BTCUSDT"], "min_reward_risk": 2},
    cache=CacheRule(
        key=cached_keys.opportunities_key,
        ttl=60,
        good_for=cached_keys.until_next_opportunity,
        collection="opportunities",
    ),
    scope="analysis:read",
    cost=5,
)

RISK_ASSESSMENT = JobKind(
    name="risk_assessment",
    list="analysis:queue",
    params=RiskParams,
    result=RiskAssessment,
    handler="workers.risk:risk_assessment",
    title="Assess the risk of a trade",
    summary=(
        "How much to buy, before a trade whose entry and stop you know: position size for an account, margin, "
        "liquidation, VaR, worst gap, Kelly and drawdowns where an edge is known, warnings."
    ),
    example={"symbol": "BTCUSDT", "entry": "60000", "stop": "58500", "account_size": "10000"},
    timeout=15.0,
    scope="risk:read",
    owned=True,
)

HISTORICAL_BACKTEST = JobKind(
    name="historical_backtest",
    list="backtest:queue",
    params=BacktestParams,
    result=BacktestResult,
    handler="workers.backtest:historical_backtest",
    title="Backtest a strategy",
    summary=(
        "Tests on past prices a built-in strategy or your own conditions to enter and to sell, costs included; what "
        "came of it, under which assumptions, and whether it may be luck."
    ),
    example={"symbols": ["BTCUSDT"], "strategy": "ema_cross"},
    timeout=300.0,
    cache=CacheRule(key=cached_keys.backtest_key, ttl=_DAY, good_for=cached_keys.while_newest, collection="backtests"),
    scope="backtest:read",
    cost=5,
    owned=True,
    chart=cached_keys.backtest_chart,
    drawn_by="draw_backtest",
    files=("report.html", "trades.csv", "equity.csv"),
)

ALERT_MANAGER = JobKind(
    name="alert_manager",
    list="alerts:pending",
    params=AlertParams,
    result=AlertReport,
    handler="workers.alerts:alert_manager",
    title="Manage alerts",
    summary=(
        "Notifies you when a price goes above or falls to a level, or a move, an indicator such as RSI, structure, "
        "funding, PnL or a scan meets your condition; once, by WhatsApp, webhook or console. Explains how it was "
        "understood."
    ),
    example={"action": "create", "condition": "BTC > 45k"},
    scope="alerts:read",
    read_only=False,
    owned=True,
    changes=lambda params: not params.reads,
)

KINDS: tuple[JobKind[Any, Any], ...] = (
    ANALYZE_CRYPTO,
    JobKind(
        name="list_symbols",
        list="analysis:queue",
        params=SymbolListParams,
        result=SymbolList,
        handler="workers.symbols:list_symbols",
        title="List trading pairs",
        summary="Pairs that trade now, those most traded first; for completion while somebody types.",
        cache=CacheRule(key=lambda params: f"symbols:{params.limit}", ttl=600),
        scope="analysis:read",
        tool=False,
    ),
    JobKind(
        name="draw_chart",
        list="analysis:queue",
        params=ChartParams,
        result=Chart,
        handler="workers.charts:draw_chart",
        title="Draw a chart",
        summary="The picture of an analysis: candles, structure, plan and the factors of the score, as PNG.",
        example={"symbol": "BTCUSDT", "timeframe": "1h"},
        cache=CacheRule(
            key=cached_keys.chart_key,
            ttl=300,
            good_for=lambda chart: (
                cached_keys.until_bar_after(chart.data.timeframe, chart.data) if chart.newest else 300
            ),
        ),
        scope="analysis:read",
        cost=2,
        tool=False,
        resource="charts/{symbol}/{timeframe}",
    ),
    MARKET_SCANNER,
    JobKind(
        name="draw_scan",
        list="analysis:queue",
        params=ScanPictureParams,
        result=ScanPicture,
        handler="workers.charts:draw_scan",
        title="Draw a scan",
        summary="The picture of a scan: what matched as a map of colours, the best of it with facts, as PNG.",
        example={"scan": _AN_EMPTY_SCAN},
        cache=CacheRule(key=cached_keys.scan_chart_key, ttl=60),
        scope="analysis:read",
        cost=2,
        tool=False,
    ),
    PORTFOLIO_MONITOR,
    JobKind(
        name="draw_portfolio",
        list="analysis:queue",
        params=PortfolioPictureParams,
        result=PortfolioPicture,
        handler="workers.portfolio_pictures:draw_portfolio",
        title="Draw a portfolio",
        summary="The picture of a portfolio: allocation, equity and drawdown, correlations, as PNG.",
        example={"portfolio_id": "default"},
        scope="portfolio:read",
        cost=2,
        tool=False,
        owned=True,
    ),
    JobKind(
        name="sample_portfolios",
        list="analysis:queue",
        params=SampleParams,
        result=SampledEquity,
        handler="workers.portfolio:sample_portfolios",
        title="Sample the equity of all portfolios",
        summary="Keeps the equity of every portfolio at an hour, for returns and drawdowns; asked by the scheduler.",
        example={"at": "2026-01-01T00:00:00Z"},
        timeout=300.0,
        scope="portfolio:write",
        tool=False,
        read_only=False,
    ),
    DETECT_OPPORTUNITIES,
    RISK_ASSESSMENT,
    HISTORICAL_BACKTEST,
    JobKind(
        name="draw_backtest",
        list="backtest:queue",
        params=BacktestPictureParams,
        result=BacktestPicture,
        handler="workers.backtest_reports:draw_backtest",
        title="Draw a backtest",
        summary="The picture of a backtest: equity beside buy and hold, drawdown, months, trades on the price, as PNG.",
        example={"job_id": "4f2a"},
        cache=CacheRule(key=cached_keys.backtest_chart_key, ttl=3600),
        scope="backtest:read",
        cost=2,
        tool=False,
    ),
    JobKind(
        name="report_backtest",
        list="backtest:queue",
        params=BacktestReportParams,
        result=BacktestReport,
        handler="workers.backtest_reports:report_backtest",
        title="Report on a backtest",
        summary="A backtest as one page for a browser, or its trades or the value of every bar as CSV.",
        example={"job_id": "4f2a", "form": "html"},
        cache=CacheRule(key=cached_keys.backtest_report_key, ttl=600, in_memory=False),
        scope="backtest:read",
        cost=2,
        tool=False,
    ),
    JobKind(
        name="backtest_part",
        list="backtest:queue",
        params=BacktestPart,
        result=BacktestPartResult,
        handler="workers.backtest:backtest_part",
        title="Part of a parameter search",
        summary="Made by a `historical_backtest` that searches, so that all workers share its trials.",
        example={
            "parent": "4f2a",
            "params": {"symbols": ["BTCUSDT"], "search": {"parameters": [{"name": "fast", "low": 5, "high": 20}]}},
            "data": "9c1e",
            "what": "trials",
            "first": 0,
            "last": 16,
        },
        timeout=300.0,
        max_tries=30,
        scope="backtest:read",
        cost=0,
        tool=False,
    ),
    ALERT_MANAGER,
    JobKind(
        name="fire_alerts",
        list="alerts:pending",
        params=FireParams,
        result=Fired,
        handler="workers.alerts:fire_alerts",
        title="Fire alerts",
        summary="Of moves of prices and the alerts whose levels they crossed; made by the watcher.",
        example={
            "moves": [
                {
                    "symbol": "BTCUSDT",
                    "low": 44990,
                    "high": 45010,
                    "price": 45005,
                    "at": 1700000000000,
                    "crossed": [{"alert_id": "alert_1", "number": 1, "level": 45000, "above": True}],
                }
            ]
        },
        max_tries=30,
        scope="alerts:write",
        cost=0,
        tool=False,
        read_only=False,
    ),
    JobKind(
        name="evaluate_alerts",
        list="alerts:pending",
        params=EvaluateParams,
        result=Fired,
        handler="workers.alerts:evaluate_alerts",
        title="Evaluate alerts on bars",
        summary="Each distinct condition on bars that closed, once; made by the watcher.",
        example={"symbol": "BTCUSDT", "timeframe": "1h", "first": 1700000000000, "last": 1700000000000},
        timeout=60.0,
        max_tries=30,
        scope="alerts:write",
        cost=0,
        tool=False,
        read_only=False,
    ),
    JobKind(
        name="sweep_alerts",
        list="alerts:pending",
        params=SweepParams,
        result=Fired,
        handler="workers.alerts:sweep_alerts",
        title="Look at what no stream tells",
        summary="Once a minute: funding, portfolios, scans, expiry, what was held back; asked by the scheduler.",
        example={"at": "2026-01-01T00:00:00Z"},
        timeout=120.0,
        scope="alerts:write",
        cost=0,
        tool=False,
        read_only=False,
    ),
    JobKind(
        name="post_callback",
        list="notifications:queue",
        params=CallbackParams,
        result=Called,
        handler="workers.callbacks:post_callback",
        title="Tell that a job has ended",
        summary="Posts the end of a job to the address its client named; pushed by that end itself.",
        example={"job_id": "4f2a", "url": "https://example.com/hook"},
        max_tries=8,
        scope="market:read",
        cost=0,
        tool=False,
        owned=True,
    ),
    JobKind(
        name="send_notification",
        list="notifications:queue",
        params=Notification,
        result=Delivery,
        handler="workers.notifications:send_notification",
        title="Send a notification",
        summary="Tells its owner, by their channel; submitted with the notification's `job_id`, so that it goes once.",
        example={
            "notification_id": "alert_001.1",
            "owner": "local",
            "title": "BTCUSDT above 45,000",
            "text": "Price crossed 45,000 from below.",
            "at": "2026-01-01T00:00:00Z",
        },
        timeout=120.0,
        max_tries=30,
        scope="alerts:write",
        cost=0,
        tool=False,
        read_only=False,
        owned=True,
    ),
    JobKind(
        name="note_delivery",
        list="notifications:queue",
        params=ReportParams,
        result=ReportResult,
        handler="workers.notifications:note_delivery",
        title="Note what became of messages",
        summary="What a provider told by webhook: how far messages came, who wrote STOP. Submitted by the front end.",
        example={"statuses": [], "heard": []},
        max_tries=30,
        scope="alerts:write",
        cost=0,
        tool=False,
        read_only=False,
    ),
)

CATALOGUE = Catalogue(KINDS)
