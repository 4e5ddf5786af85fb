"""Every job kind, declared once.

MCP tools, REST routes, the workers' function tables, caches, docs and metric labels are derived from here. A new kind
needs its two models, its handler and one entry in `KINDS`, and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from hashlib import sha256
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel

from crypto_mcp.errors import UnknownKind
from crypto_mcp.models.analysis import Analysis, AnalyzeParams, Provenance
from crypto_mcp.models.answers import LOCAL
from crypto_mcp.models.backtest import BacktestParams, BacktestPart, BacktestPartResult, BacktestResult
from crypto_mcp.models.charts import Chart, ChartParams
from crypto_mcp.models.notifications import Delivery, Notification
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
from crypto_mcp.models.scans import MarketScan, ScanParams
from crypto_mcp.models.timeframes import Timeframe

_DAY = 86_400

ParamsT = TypeVar("ParamsT", bound=BaseModel)
ResultT = TypeVar("ResultT", bound=BaseModel)

ListName = Literal["analysis:queue", "backtest:queue", "alerts:pending", "notifications:queue"]
LISTS: tuple[ListName, ...] = ("analysis:queue", "backtest:queue", "alerts:pending", "notifications:queue")


@dataclass(frozen=True, slots=True)
class CacheRule(Generic[ParamsT, ResultT]):
    """Where an answer is cached and for how long.

    Attributes:
        key: Redis key of db 0 for given parameters; None where their answer is never cached.
        ttl: seconds, at most.
        good_for: seconds the result stays true, where that can be shorter than `ttl` (a bar closes).
        collection: MongoDB collection that keeps the result, or None.
        in_memory: whether front ends keep it in their memory too; not where a change may end it early.
    """

    key: Callable[[ParamsT], str | None]
    ttl: int
    good_for: Callable[[ResultT], float] | None = None
    collection: str | None = None
    in_memory: bool = True

    def seconds(self, result: ResultT) -> int:
        """TTL of this result; 0 means that it is out of date already and is not cached."""
        return self.ttl if self.good_for is None else max(0, min(self.ttl, int(self.good_for(result))))


@dataclass(frozen=True, slots=True)
class JobKind(Generic[ParamsT, ResultT]):
    """One kind of job.

    Attributes:
        name: also the name of its MCP tool and REST route.
        list: Redis list its jobs travel on.
        params, result: pydantic models, the contract.
        handler: `module:coroutine` taking `(job, params)` and returning a `result`, imported by workers only.
        title, summary: for people and models choosing a tool.
        example: parameters that work.
        timeout: seconds one attempt may take.
        max_tries: attempts before the job is dead, crashes of workers included.
        cache: how its answer is cached, or None.
        scope: area and `read`, what a client's key must allow; `write` instead for parameters that change something.
        cost: units of a client's rate limit that a call takes when no cache has its answer.
        tool: whether it is offered to clients; internal kinds are not.
        read_only: whether it changes nothing that a user owns.
        owned: whether answers belong to the client that asked; they are then neither shared with nor cached for others.
        changes: of a kind that is not read-only, which parameters change something; all, if None.
        chart: of a kind whose results can be drawn, the parameters of the `draw_chart` job that draws one; the result
            is given as the JSON it is stored as.
    """

    name: str
    list: ListName
    params: type[ParamsT]
    result: type[ResultT]
    handler: str
    title: str
    summary: str
    example: Mapping[str, Any] = field(default_factory=dict)
    timeout: float = 30.0
    max_tries: int = 5
    cache: CacheRule[ParamsT, ResultT] | None = None
    scope: str = "market:read"
    cost: int = 1
    tool: bool = True
    read_only: bool = True
    owned: bool = False
    changes: Callable[[ParamsT], bool] | None = None
    chart: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None

    def shareable(self, params: ParamsT) -> bool:
        """Whether equal requests are one: reading twice is reading once, depositing twice is not."""
        return self.read_only or (self.changes is not None and not self.changes(params))

    def scope_of(self, params: ParamsT) -> str:
        """What a client needs to ask this."""
        return self.scope if self.shareable(params) else f"{self.scope.partition(':')[0]}:write"

    def cache_key(self, params: ParamsT, client: str) -> str | None:
        """The key under which this client finds the answer; None where it is not cached."""
        key = self.cache.key(params) if self.cache is not None and self.shareable(params) else None
        foreign = self.owned and client not in ("", LOCAL)
        return f"{key}:of:{client}" if key is not None and foreign else key


class Catalogue:
    """The kinds a process knows, by name."""

    def __init__(self, kinds: tuple[JobKind[Any, Any], ...]) -> None:
        self._kinds = {kind.name: kind for kind in kinds}
        if len(self._kinds) != len(kinds):
            raise ValueError("two job kinds have one name")

    def __iter__(self) -> Iterator[JobKind[Any, Any]]:
        return iter(self._kinds.values())

    def __getitem__(self, name: str) -> JobKind[Any, Any]:
        """The kind of that name, or `UnknownKind` with the nearest names."""
        try:
            return self._kinds[name]
        except KeyError:
            near = get_close_matches(name, self._kinds, n=3)
            known = f"Did you mean {' or '.join(near)}?" if near else f"Known kinds: {', '.join(self._kinds)}."
            raise UnknownKind(f"there is no job kind {name[:80]!r}", hint=known) from None

    def on(self, *lists: str) -> list[JobKind[Any, Any]]:
        """The kinds that travel on these lists."""
        return [kind for kind in self if kind.list in lists]

    def tools(self) -> list[JobKind[Any, Any]]:
        """The kinds that clients may call."""
        return [kind for kind in self if kind.tool]


def _analysis_key(params: AnalyzeParams) -> str:
    standard = AnalyzeParams.model_fields["bars"].default
    suffix = "" if params.bars == standard else f":{params.bars}"
    suffix += ":full" if params.detail == "full" else ""
    suffix += f":{'+'.join(params.compare)}" if params.compare else ""
    return f"analysis:{params.symbol}:{params.timeframe}{suffix}"


def _until_next_bar(result: Analysis) -> float:
    """An analysis is true until the next bar closes, of any of the timeframes it looked at."""
    observed = result.data.last_bar.timestamp() + _length(result.timeframe) + result.data.age_seconds
    others = [_length(view.timeframe) for view in result.confluence.views] if result.confluence else []
    return min([_until_bar_after(result.timeframe, result.data), *(length - observed % length for length in others)])


def _until_bar_after(timeframe: Timeframe, data: Provenance) -> float:
    return _length(timeframe) - data.age_seconds


def _length(timeframe: Timeframe) -> float:
    """Of a bar, in seconds."""
    return timeframe.milliseconds / 1000


def _backtest_key(params: BacktestParams) -> str:
    """By what was asked: strategy, range, rules."""
    return f"backtest:{sha256(params.model_dump_json().encode()).hexdigest()[:32]}"


def _while_newest(result: BacktestResult) -> float:
    """A test of a past range stays true, one up to now until the next bar closes."""
    ages = [_until_bar_after(data.timeframe, data) for data in result.data]
    return min(ages) if max(ages) > 0 else _DAY


def _analysis_chart(result: Mapping[str, Any]) -> dict[str, Any]:
    """The chart of the very bars that an analysis was made of."""
    data = result["data"]
    return {name: data[name] for name in ("symbol", "timeframe", "first_bar", "last_bar")}


def _chart_key(params: ChartParams) -> str:
    if params.first_bar is None or params.last_bar is None:
        bars = str(params.bars)
    else:
        bars = f"{params.first_bar.timestamp():.0f}-{params.last_bar.timestamp():.0f}"
    return f"chart:{params.symbol}:{params.timeframe}:{bars}:{params.theme}"


def _scan_key(params: ScanParams) -> str:
    return f"market_scan:{params.scan_type}:{_minute_and_unusual(params, 'scan_type')}"


def _opportunities_key(params: OpportunityParams) -> str:
    return f"opportunities:{_minute_and_unusual(params)}"


def _minute_and_unusual(params: BaseModel, *told: str) -> str:
    """The minute in which it is asked; parameters other than the usual ones are told by their digest."""
    unusual = params.model_dump(mode="json", exclude_defaults=True, exclude=set(told))
    digest = hashlib.blake2b(json.dumps(unusual, sort_keys=True).encode(), digest_size=6).hexdigest()
    return f"{int(time.time()) // 60 * 60}" + (f":{digest}" if unusual else "")


def _until_next_opportunity(result: Opportunities) -> float:
    """Until a bar of the shortest timeframe closes."""
    shortest = _length(result.timeframes[0])
    return shortest - result.timestamp.timestamp() % shortest


def _until_next_scan(result: MarketScan) -> float:
    """A scan is true until the next bar closes, of any of the timeframes it looked at."""
    at = result.timestamp.timestamp()
    return min(_length(timeframe) - at % _length(timeframe) for timeframe in result.data.timeframes)


def _portfolio_key(params: PortfolioParams) -> str | None:
    """Only the plain reading is cached; sections on request and changes are not."""
    plain = PortfolioParams(portfolio_id=params.portfolio_id, detail=params.detail)
    full = ":full" if params.detail == "full" else ""
    return f"portfolio:{params.portfolio_id}{full}" if params == plain else None


KINDS: tuple[JobKind[Any, Any], ...] = (
    JobKind(
        name="analyze_crypto",
        list="analysis:queue",
        params=AnalyzeParams,
        result=Analysis,
        handler="workers.analysis:analyze_crypto",
        title="Analyse a cryptocurrency",
        summary=(
            "Technical analysis of a trading pair on closed bars: trend, volatility, levels, zones, indicators, "
            "a score with its factors, a recommendation with its reasons."
        ),
        example={"symbol": "BTCUSDT", "timeframe": "1h"},
        cache=CacheRule(key=_analysis_key, ttl=300, good_for=_until_next_bar, collection="analyses"),
        scope="analysis:read",
        chart=_analysis_chart,
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
            key=_chart_key,
            ttl=300,
            good_for=lambda chart: _until_bar_after(chart.data.timeframe, chart.data) if chart.newest else 300,
        ),
        scope="analysis:read",
        cost=2,
        tool=False,
    ),
    JobKind(
        name="market_scanner",
        list="analysis:queue",
        params=ScanParams,
        result=MarketScan,
        handler="workers.scanning:market_scanner",
        title="Scan the market",
        summary=(
            "Looks at all pairs of a quote asset for a setup or a condition of yours; ranks what matched, with the "
            "facts, key levels and a picture of the closes."
        ),
        example={"scan_type": "momentum", "timeframes": ["1h"]},
        cache=CacheRule(key=_scan_key, ttl=60, good_for=_until_next_scan, collection="market_scans"),
        scope="analysis:read",
        cost=5,
    ),
    JobKind(
        name="portfolio_monitor",
        list="analysis:queue",
        params=PortfolioParams,
        result=PortfolioReport,
        handler="workers.portfolio:portfolio_monitor",
        title="Keep and watch a portfolio",
        summary=(
            "Keeps portfolios of spot and perpetual positions; answers with value, profit, VaR and expected shortfall, "
            "exposure, drawdown and suggestions. It never trades."
        ),
        example={"action": "get", "portfolio_id": "default"},
        cache=CacheRule(key=_portfolio_key, ttl=30, in_memory=False),
        scope="portfolio:read",
        read_only=False,
        owned=True,
        changes=lambda params: not params.reads,
    ),
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
    JobKind(
        name="detect_opportunities",
        list="analysis:queue",
        params=OpportunityParams,
        result=Opportunities,
        handler="workers.opportunities:detect_opportunities",
        title="Find trades",
        summary=(
            "Trades that several timeframes agree on: entry zone, stop, targets, reward-risk, quality, odds, "
            "conflicts; each ready for an alert and a backtest."
        ),
        example={"symbols": ["BTCUSDT"], "min_reward_risk": 2},
        cache=CacheRule(key=_opportunities_key, ttl=60, good_for=_until_next_opportunity, collection="opportunities"),
        scope="analysis:read",
        cost=5,
    ),
    JobKind(
        name="risk_assessment",
        list="analysis:queue",
        params=RiskParams,
        result=RiskAssessment,
        handler="workers.risk:risk_assessment",
        title="Assess the risk of a trade",
        summary=(
            "Position size for an entry, a stop and an account, in the exchange's steps, with margin and liquidation, "
            "VaR and expected shortfall, worst gap, Kelly and drawdown projection where an edge is known, and warnings."
        ),
        example={"symbol": "BTCUSDT", "entry": "60000", "stop": "58500", "account_size": "10000"},
        timeout=15.0,
        scope="risk:read",
        owned=True,
    ),
    JobKind(
        name="historical_backtest",
        list="backtest:queue",
        params=BacktestParams,
        result=BacktestResult,
        handler="workers.backtest:historical_backtest",
        title="Test a strategy on past prices",
        summary=(
            "Runs a built-in strategy or your own conditions over past bars, with fees, slippage, stops and targets, "
            "and says what came of it, under which assumptions."
        ),
        example={"symbols": ["BTCUSDT"], "timeframe": "1h", "strategy": "ema_cross"},
        timeout=300.0,
        cache=CacheRule(key=_backtest_key, ttl=_DAY, good_for=_while_newest, collection="backtests"),
        scope="backtest:read",
        cost=5,
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
        max_tries=30,
        scope="alerts:write",
        cost=0,
        tool=False,
        read_only=False,
        owned=True,
    ),
)

CATALOGUE = Catalogue(KINDS)
