"""`alert_manager`: parameters and result, and the jobs that alerts are made of."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, AwareDatetime, Field, WithJsonSchema, model_validator

from crypto_mcp.models.answers import UNLISTED, Contract
from crypto_mcp.models.brevity import KEPT, Brief
from crypto_mcp.models.notifications import ChannelKind, ChannelName, ChannelView, Priority
from crypto_mcp.models.portfolio import Sparse
from crypto_mcp.models.privacy import PRIVATE
from crypto_mcp.models.risk import PortfolioId
from crypto_mcp.models.scans import ScanParams
from crypto_mcp.models.symbols import SymbolName
from crypto_mcp.models.timeframes import Timeframe

Action = Literal["create", "list", "get", "update", "pause", "resume", "delete", "test", "history", "channels"]
READING: frozenset[Action] = frozenset({"list", "get", "test", "history"})

AlertType = Literal["price", "percent", "technical", "volume", "structure", "funding", "portfolio", "scan"]
AlertStatus = Literal["active", "paused", "triggered", "expired"]
Watch = Literal["price", "bars", "intrabar", "metric", "scan"]
"""What an alert is looked at by: every price, closed bars, minutes of a bar in progress, once a minute, scans."""

AlertId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,48}$")]

_NEEDS_ID: frozenset[Action] = frozenset({"get", "update", "pause", "resume", "delete"})


def _known_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("no such time zone; write it as Asia/Dubai")
    return name


def zone(name: str) -> ZoneInfo:
    """The zone of that name."""
    return ZoneInfo(name)


TimeZone = Annotated[str, AfterValidator(_known_zone)]
Scan = Annotated[ScanParams, WithJsonSchema({"type": "object"})]
LISTED_AS_OBJECT = WithJsonSchema({"type": "object"})


class ChannelChange(Contract):
    """What to do with a channel."""

    do: Literal["list", "add", "verify", "remove", "default"] = "list"
    name: ChannelName | None = None
    kind: ChannelKind | None = None
    address: Annotated[str | None, PRIVATE] = Field(None, max_length=500, description="Number (E.164) or URL.")
    code: Annotated[str | None, PRIVATE] = Field(None, max_length=20)
    fallback: ChannelName | None = None
    default: bool = False


class AlertParams(Contract):
    """What to do with which alert."""

    action: Action = Field("list", description="test: dry run.")
    alert_id: AlertId | None = Field(None, description="Which.")
    condition: Annotated[str | None, PRIVATE] = Field(
        None, max_length=1000, description="`BTC > 45k`, `eth rsi 1h < 30`, `sol +5% in 1h`, or a condition."
    )
    symbol: SymbolName | None = Field(None, description="If not in the condition.")
    timeframe: Timeframe | None = Field(None, description="Of bars; default 1h.")
    intrabar: bool | None = Field(None, description="Before the close; may repaint.")
    portfolio_id: str | None = Field(None, pattern=PortfolioId, description="For `pnl < -500`.")
    scan: Scan | None = Field(None, description="market_scanner's.")
    repeat: bool | None = Field(None, description="Not only once.")
    cooldown_minutes: int | None = Field(None, ge=0, le=43_200, description="Of repeat.")
    hysteresis_percent: float | None = Field(
        None, ge=0, le=50, description="How far price must go back before it fires again.", json_schema_extra=UNLISTED
    )
    rearm: Annotated[str | None, PRIVATE] = Field(
        None, max_length=1000, description="Must hold before it fires again.", json_schema_extra=UNLISTED
    )
    max_per_day: int | None = Field(None, ge=1, le=1000, description="Firings told.", json_schema_extra=UNLISTED)
    quiet_hours: str | None = Field(
        None, pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$", description="`22:00-07:00`; time_zone."
    )
    time_zone: TimeZone | None = Field(None, description="Of quiet hours; UTC if absent.", json_schema_extra=UNLISTED)
    expires_at: AwareDatetime | None = Field(None, description="Its end.")
    priority: Priority | None = Field(None, description="critical: at once.")
    message: Annotated[str | None, PRIVATE] = Field(
        None, max_length=500, description="With {symbol} {price} {condition} {time}."
    )
    name: Annotated[str | None, PRIVATE] = Field(
        None, min_length=1, max_length=80, description="A title.", json_schema_extra=UNLISTED
    )
    chart: bool | None = Field(None, description="Attach a chart.", json_schema_extra=UNLISTED)
    channel: ChannelName | None = Field(None, description="Default: yours.")
    channels: Annotated[ChannelChange | None, LISTED_AS_OBJECT] = Field(
        None, description="{do: add|verify|remove, name, kind, address, code}"
    )
    status: AlertStatus | None = Field(None, description="list: only these.", json_schema_extra=UNLISTED)
    limit: int = Field(20, ge=1, le=500, description="Listed at most.", json_schema_extra=UNLISTED)

    @model_validator(mode="after")
    def _complete(self) -> AlertParams:
        if self.action in _NEEDS_ID and self.alert_id is None:
            raise ValueError(f"{self.action} needs alert_id; action `list` names yours")
        if self.action in ("create", "test") and not (self.condition or self.scan or self.alert_id):
            raise ValueError(f"{self.action} needs a condition, such as `BTC > 45k`")
        if self.time_zone is not None and self.quiet_hours is None and self.action == "create":
            raise ValueError("time_zone: belongs to quiet_hours")
        return self

    @property
    def given(self) -> dict[str, object]:
        """What is said of the alert: update changes these fields and no others."""
        beside = {"action", "alert_id", "status", "limit", "channels"}
        return {
            name: value
            for name in type(self).model_fields
            if (value := getattr(self, name)) is not None and name not in beside
        }

    @property
    def reads(self) -> bool:
        """Whether nothing is changed."""
        listing = self.channels is None or self.channels.do == "list"
        return self.action in READING or (self.action == "channels" and listing)


class Firing(Sparse):
    """One time that an alert fired."""

    alert_id: str | None = None
    at: datetime = Field(description="When it became true.")
    price: float | None = None
    late_by_s: float | None = Field(None, description="Between then and its being noticed, where that was late.")
    told: bool = Field(True, description="False: see `reason`.")
    reason: str | None = None


class AlertView(Sparse):
    """An alert."""

    alert_id: str
    name: str | None = None
    symbol: str | None = None
    type: AlertType
    condition: str = Field(description="As it is evaluated.")
    reads: str = Field(description="The condition in words: is this what was meant?")
    looked_at: str = Field(description="When it is evaluated.")
    timeframe: Timeframe | None = None
    portfolio_id: str | None = None
    status: AlertStatus
    repeat: bool
    cooldown_minutes: int | None = None
    quiet_hours: str | None = None
    time_zone: str | None = None
    max_per_day: int | None = None
    hysteresis_percent: float | None = None
    rearm: str | None = None
    priority: Priority
    channel: str | None = None
    message: str | None = None
    chart: bool | None = None
    expires_at: datetime | None = None
    created_at: datetime
    triggered_at: datetime | None = Field(None, description="Last time it fired.")
    firings: int = Field(0, description="Times told.")
    suppressed: int = Field(0, description="Times not told for cooldown or max_per_day.")


class DryRun(Sparse):
    """What an alert would say of now and of the past."""

    true_now: bool | None = None
    value_now: float | None = Field(None, description="Price, or the figure.")
    would_have_fired: int | None = Field(None, description="Times within `days`, without cooldown.")
    newest: list[datetime] = Field([], description="The last of them.")
    true_percent: float | None = Field(None, description="Of the bars.")
    days: float | None = None
    basis: str = Field(description="The data it was looked up in.")


_OF_A_LIST = ("alert_id", "name", "symbol", "timeframe", "condition", "status", "triggered_at")


class AlertReport(Sparse):
    """What became of an action."""

    action: Action
    timestamp: datetime
    alert: AlertView | None = None
    alerts: Annotated[list[AlertView], Brief(only=_OF_A_LIST, rows=12)] = Field([])
    total: int | None = Field(None, description="Of the owner's, by the filter.")
    test: DryRun | None = None
    warnings: Annotated[list[str], KEPT] = Field([])
    history: list[Firing] = Field([], description="Newest first.")
    channels: Annotated[list[ChannelView], KEPT] = Field([])
    note: Annotated[str | None, KEPT] = None


class Crossed(Contract):
    """An alert whose level a price went over."""

    alert_id: str = Field(description="Which.")
    number: int = Field(ge=1, description="Of the crossing; the fence against handling it twice.")
    level: float = Field(description="Beyond it the alert fires.")
    above: bool = Field(description="Whether above it, else below.")


class CrossingMove(Contract):
    """A move of a price, and the alerts whose levels it went over."""

    symbol: str = Field(description="As the exchange spells it.")
    low: float = Field(description="Lowest price of the move.")
    high: float = Field(description="Highest.")
    price: float = Field(description="Last price of the move.")
    at: int = Field(description="When, ms since the epoch.")
    crossed: list[Crossed] = Field(min_length=1, max_length=500, description="Alerts and their levels.")


class FireParams(Contract):
    """Moves that were told together, and the alerts they fire. Made by the watcher."""

    moves: list[CrossingMove] = Field(min_length=1, max_length=500, description="Each alert is in one of them.")
    noticed_at: int | None = Field(None, description="When they were noticed, by the exchange's clock.")

    @model_validator(mode="after")
    def _each_alert_once(self) -> FireParams:
        named = [crossed.alert_id for move in self.moves for crossed in move.crossed]
        if len(named) != len(set(named)):
            raise ValueError("moves: an alert is named twice; its crossings are jobs of their own")
        return self


class EvaluateParams(Contract):
    """Bars that closed and have conditions on them. Made by the watcher."""

    symbol: str = Field(description="As the exchange spells it.")
    timeframe: Timeframe = Field(description="Length of the bars.")
    first: int = Field(description="Open time of the first bar, ms since the epoch.")
    last: int = Field(description="Of the last.")


class SweepParams(Contract):
    """The minute of a look at what no stream tells. Made by the scheduler."""

    at: AwareDatetime = Field(description="The minute.")


class Fired(Contract):
    """What became of the alerts of a job."""

    fired: int = 0
    suppressed: int = 0
    refused: int = Field(0, description="Not active any more, handled before, or not confirmed.")
    conditions: int = Field(0, description="Distinct conditions that were evaluated.")
