"""`alert_manager`: an owner's alerts. The owner is the client that asked, and no one else."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from crypto_mcp.alerts.definition import Definition, Level, NoSymbol, price_alert, understand
from crypto_mcp.alerts.message import checked
from crypto_mcp.conditions import evaluate, parse
from crypto_mcp.errors import InvalidRequest, SourceUnavailable
from crypto_mcp.models.alerts import AlertParams, AlertReport, AlertView, DryRun, Firing
from crypto_mcp.models.money import plain
from crypto_mcp.models.timeframes import Timeframe
from workers import alert_channels
from workers.alert_bars import evaluate_alerts
from workers.alert_firing import announce, fire_alerts, relay
from workers.alert_sweep import sweep_alerts
from workers.alert_trials import Trial, tried, warnings_of
from workers.analysis import sample_candles

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from crypto_mcp.models.alerts import Action, Watch
    from crypto_mcp.models.notifications import Priority
    from workers.job import Job

    Document = dict[str, Any]
    Handler = Callable[[Job, AlertParams], Awaitable[AlertReport]]

__all__ = ["alert_manager", "evaluate_alerts", "fire_alerts", "sweep_alerts", "warm_up"]

_SHOWN_TEXT = 5
_PLAIN = (
    "repeat", "cooldown_minutes", "hysteresis_percent", "max_per_day", "quiet_hours", "time_zone", "expires_at",
    "priority", "name", "chart", "channel",
)  # fmt: skip
"""Fields that are kept as they are given."""

_DEFINING = frozenset({"condition", "symbol", "timeframe", "intrabar", "portfolio_id", "scan", "hysteresis_percent"})
_LOOKED_AT = {
    "price": "with every price, as it comes",
    "bars": "when a bar closes",
    "intrabar": "every minute, with the bar in progress; may repaint",
    "metric": "every minute",
    "scan": "when a bar of the scan closes",
}
_LONGEST_INTRABAR = Timeframe.D1
_NEVER = datetime.max.replace(tzinfo=UTC)


class UnknownAlert(InvalidRequest):
    """The owner has no alert of that id."""

    code = "unknown_alert"
    http_status = 404


class TooManyAlerts(InvalidRequest):
    """The owner has as many alerts as are allowed."""

    code = "too_many_alerts"
    http_status = 409


async def alert_manager(job: Job, params: AlertParams) -> AlertReport:
    """Does what `action` says."""
    return await _HANDLERS[params.action](job, params)


WORKS_COLD = True


def warm_up() -> None:
    """Compiles the kernels behind conditions, or reads them from where they are kept."""
    evaluate(parse('in_order_block() or in_fvg() or bos() or rsi(14) < 30 or divergence("rsi")'), sample_candles())


@dataclass(frozen=True, slots=True)
class _Understood:
    """A definition that is known to hold good, and the symbol's last price where there is one."""

    definition: Definition
    price: float | None = None


async def _understand(job: Job, params: AlertParams) -> _Understood:
    """What is meant, checked against the exchange and the owner's portfolios."""
    if params.scan is not None:
        words = params.scan.condition or params.scan.scan_type
        if params.scan.condition and params.scan.scan_type != "custom":
            words = f"{params.scan.scan_type} and ({params.scan.condition})"
        frames = ", ".join(str(each) for each in params.scan.timeframes)
        sentence = f"A symbol that was not there before matches the screen {words} on {frames}."
        return _Understood(Definition("scan", "scan", words, sentence, timeframe=params.scan.timeframes[0]))
    definition = understand(
        params.condition or "",
        symbol=params.symbol,
        timeframe=params.timeframe,
        intrabar=bool(params.intrabar),
        portfolio_id=params.portfolio_id,
    )
    if definition.portfolio_id is not None:
        await job.services.portfolios.load(job.client, definition.portfolio_id)
        return _Understood(definition)
    if (
        definition.watch == "intrabar"
        and definition.timeframe
        and definition.timeframe.milliseconds > _LONGEST_INTRABAR.milliseconds
    ):
        raise InvalidRequest("intrabar: not on bars of more than a day", hint="Leave it out, or take 1d.")
    if definition.symbol is None:
        raise NoSymbol("the alert names no symbol", hint="Write it first, `BTC > 45k`, or give `symbol`.")
    if definition.watch == "metric":
        await job.services.futures.mark_price(definition.symbol)  # raises where there is no such contract
        return _Understood(definition)
    rules = await job.services.rules.of(definition.symbol)
    if definition.watch != "price":
        return _Understood(definition)
    price = await _last_price(job, definition.symbol)
    if definition.from_now is not None:
        if price is None:
            raise SourceUnavailable(f"no last price of {definition.symbol} is known", hint="Give the price itself.")
        wanted = price * (1 + Decimal(str(definition.from_now)) / 100)
        side = "above" if definition.from_now > 0 else "below"
        definition = price_alert(Level(rules.price(wanted), side), definition.symbol)  # type: ignore[arg-type]
    return _Understood(definition, None if price is None else float(price))


async def _last_price(job: Job, symbol: str) -> Decimal | None:
    try:
        found = await job.services.prices.last([symbol])
    except SourceUnavailable:
        return None
    return found[symbol].price if symbol in found else None


async def _create(job: Job, params: AlertParams) -> AlertReport:
    documents, owner = job.services.mongo.alerts, job.client
    await documents.prepare()
    understood = await _understand(job, params)
    _fits(params, understood.definition.watch)
    options = await _options(job, params)
    options["priority"] = params.priority or _usual_priority(understood.definition)
    found = await _tried(job, params, understood.definition, understood.price)
    document = options | await _watched(job, params, understood, found, number=0)
    present = datetime.now(UTC)
    digest = hashlib.blake2b(f"{owner}/{job.id}".encode(), digest_size=5).hexdigest()
    about = "".join(
        c for c in (document["symbol"] or document.get("portfolio_id") or "").lower() if c.isascii() and c.isalnum()
    )
    document |= {
        "alert_id": "_".join(part for part in ("alert", digest, about[:20], document["type"]) if part),
        "user_id": owner, "created_at": present, "changed_at": present, "status": "active", "version": 1,
        "firings": 0, "suppressed": 0, "recent": [], "outbox": [],
    }  # fmt: skip
    if await documents.insert(document):
        await _within_quota(job, document["alert_id"])
    await announce(job.services, [document["alert_id"]])
    kept = await documents.get(owner, document["alert_id"]) or document
    said = warnings_of(found.run, understood.definition, repeat=bool(params.repeat), cooldown=params.cooldown_minutes)
    said += await alert_channels.warnings(job, params.channel)
    return _report(params.action, alert=view(kept), test=found.run, warnings=said)


async def _within_quota(job: Job, alert_id: str) -> None:
    """Counted with the new one in it, so that many at once cannot slip through."""
    most = job.services.settings.alerts.most_per_owner
    if await job.services.mongo.alerts.count(job.client) > most:
        await job.services.mongo.alerts.delete(job.client, alert_id)
        raise TooManyAlerts(
            f"you have {most} alerts, which is as many as are allowed",
            hint="Delete some: action `list` with status triggered or expired names those that are over.",
        )


async def _tried(job: Job, params: AlertParams, definition: Definition, price: float | None) -> Trial:
    hysteresis = params.hysteresis_percent or 0.0
    thorough = params.action == "test"
    return await tried(job, definition, price=price, hysteresis=hysteresis, scan=params.scan, thorough=thorough)


async def _options(job: Job, params: AlertParams) -> Document:
    """What does not define the alert, checked."""
    if params.expires_at is not None and params.expires_at <= datetime.now(UTC):
        raise InvalidRequest("expires_at: lies in the past", hint="Give the time at which it should end.")
    if params.rearm is not None:
        parse(params.rearm)
    if params.channel is not None:
        await alert_channels.require(job, params.channel)
    if params.chart and job.services.settings.alerts.charts_url is None:
        raise InvalidRequest(
            "chart: there is no address under which it could be looked at",
            hint="The operator gives it as CRYPTO_MCP_ALERTS__CHARTS_URL; or leave `chart` out.",
        )
    options = {name: getattr(params, name) for name in _PLAIN}
    options["repeat"] = bool(params.repeat)
    options["charts"] = job.services.settings.alerts.charts_url if params.chart else None
    options["message"] = checked(params.message) if params.message else None
    options["rearm"] = params.rearm
    options["priority"] = params.priority or "normal"
    options["whatsapp_number"] = await alert_channels.masked_number(job, params.channel)
    return options


def _usual_priority(definition: Definition) -> Priority:
    """A position that is about to be liquidated does not wait for a digest, nor for the end of quiet hours."""
    liquidates = definition.metric is not None and definition.metric.name == "liquidation_distance"
    return "critical" if liquidates else "normal"


def _fits(params: AlertParams, watch: Watch) -> None:
    """Refuses what an alert of this kind would not heed: nobody should rely on it."""
    if params.rearm is not None and watch not in ("bars", "intrabar"):
        raise InvalidRequest(
            "rearm: only conditions on bars have one",
            hint="Give `timeframe` to look at bars; hysteresis_percent says how far a price or figure must go back.",
        )
    if params.hysteresis_percent and watch not in ("price", "metric"):
        raise InvalidRequest(
            "hysteresis_percent: only a price or a figure has one",
            hint="Say in `rearm` what must hold before it fires again, such as rsi > 45.",
        )


async def _watched(job: Job, params: AlertParams, understood: _Understood, found: Trial, *, number: int) -> Document:
    """The part of a document that says what is watched, and how it stands now."""
    definition, now = understood.definition, datetime.fromtimestamp(await job.services.market.now(), UTC)
    document: Document = {
        "type": definition.type, "watch": definition.watch, "condition": definition.condition,
        "sentence": definition.sentence, "symbol": definition.symbol, "portfolio_id": definition.portfolio_id,
        "timeframe": None if definition.timeframe is None else str(definition.timeframe),
        "level": None, "scan": None, "number": number, "armed_number": number, "armed_at": now,
    }  # fmt: skip
    if definition.level is not None:
        level, armed = level_document(definition.level, understood.price, params.hysteresis_percent or 0.0)
        document |= {"level": level, "armed_number": number if armed else number - 1}
    if definition.watch == "metric":
        document["was"] = bool(found.run.true_now)
    if params.scan is not None:
        document |= {"scan": params.scan.model_dump(mode="json"), "seen": list(found.seen), "looked_at": now}
    return document


def level_document(level: Level, price: float | None, hysteresis: float) -> tuple[Document, bool]:
    """A level as it is kept, and whether it is armed: the price is not beyond it."""
    flips = level.side == "either"
    if flips and hysteresis:
        raise InvalidRequest("hysteresis_percent: a level that is crossed either way has none", hint="Say > or <.")
    beyond = level.fires_beyond()
    side = level.side if not flips else ("below" if price is not None and price > beyond else "above")
    sided = Level(level.price, side, level.inclusive)
    document = {
        "price": plain(level.price), "side": side, "beyond": beyond, "release": sided.released_at(hysteresis),
        "flips": flips,
    }  # fmt: skip
    armed = price is None or (price <= beyond if side == "above" else price >= beyond)
    return document, armed


async def _test(job: Job, params: AlertParams) -> AlertReport:
    if params.alert_id is not None:
        params = _as_kept(await _existing(job, params), params)
    understood = await _understand(job, params)
    _fits(params, understood.definition.watch)
    if params.message:
        checked(params.message)
    found = await _tried(job, params, understood.definition, understood.price)
    said = warnings_of(found.run, understood.definition, repeat=bool(params.repeat), cooldown=params.cooldown_minutes)
    definition = understood.definition
    note = f"{definition.sentence} Condition: {definition.condition}"
    note += f", on bars of {definition.timeframe}" if definition.timeframe else ""
    return _report("test", test=found.run, warnings=said, note=f"{note}. Looked at {_LOOKED_AT[definition.watch]}.")


def _as_kept(alert: Document, params: AlertParams) -> AlertParams:
    """Parameters that would make the alert as it is kept, those given now in front."""
    kept = {
        name: alert.get(name)
        for name in ("symbol", "timeframe", "portfolio_id", "scan", "hysteresis_percent", "repeat", "cooldown_minutes")
    }
    kept |= {"condition": alert["condition"], "intrabar": alert["watch"] == "intrabar"}
    if alert["watch"] in ("scan", "price"):
        kept["timeframe"] = None
    given = {name: value for name, value in params.model_dump().items() if name in params.given}
    if "condition" in given and kept["portfolio_id"] is None:
        kept |= _follows_from(str(given["condition"]), alert)
    return AlertParams.model_validate({name: value for name, value in kept.items() if value is not None} | given)


def _follows_from(condition: str, alert: Document) -> Document:
    """What a new condition says itself: its symbol, and that a bare price has no bars."""
    try:
        named: Document = {"symbol": None} if understand(condition).symbol else {}
    except NoSymbol:
        named = {}
    found = understand(condition, symbol=named.get("symbol", alert["symbol"]))
    return named | ({"timeframe": None} if found.watch == "price" else {})


async def _existing(job: Job, params: AlertParams) -> Document:
    assert params.alert_id is not None
    found = await job.services.mongo.alerts.get(job.client, params.alert_id)
    if found is None:
        raise _unknown(params)
    return found


def _unknown(params: AlertParams) -> UnknownAlert:
    return UnknownAlert(f"you have no alert {params.alert_id!r}", hint="Action `list` names yours.")


async def _list(job: Job, params: AlertParams) -> AlertReport:
    where: Document = {name: value for name in ("symbol", "status") if (value := getattr(params, name)) is not None}
    found, total = await job.services.mongo.alerts.listed(job.client, where, params.limit)
    return _report("list", alerts=[view(each) for each in found], total=total)


async def _get(job: Job, params: AlertParams) -> AlertReport:
    alert = await _existing(job, params)
    firings = await job.services.mongo.alerts.firings(job.client, alert["alert_id"], _SHOWN_TEXT)
    return _report("get", alert=view(alert), history=[_firing(each) for each in firings])


async def _update(job: Job, params: AlertParams) -> AlertReport:
    alert = await _existing(job, params)
    given = set(params.given)
    if not given:
        raise InvalidRequest("update: nothing to change", hint="Give the fields that should be different.")
    merged = _as_kept(alert, params)
    options = await _options(job, merged)
    fields: Document = {name: options[name] for name in (*_PLAIN, "message", "rearm") if name in given}
    if "chart" in given:
        fields["charts"] = options["charts"]
    said: list[str] = []
    run: DryRun | None = None
    if not given & _DEFINING:
        _fits(merged, alert["watch"])
    else:
        understood = await _understand(job, merged)
        _fits(merged, understood.definition.watch)
        found = await _tried(job, merged, understood.definition, understood.price)
        fields |= await _watched(job, merged, understood, found, number=alert["number"])
        fields["status"] = "paused" if alert["status"] == "paused" else "active"
        said = warnings_of(
            found.run, understood.definition, repeat=bool(merged.repeat), cooldown=merged.cooldown_minutes
        )
        run = found.run
    return await _changed(job, params, alert, fields, warnings=said, test=run)


async def _changed(job: Job, params: AlertParams, alert: Document, fields: Document, **more: Any) -> AlertReport:
    """Sets fields, and has the watchers know."""
    changed = fields | {"version": alert["version"] + 1, "changed_at": datetime.now(UTC)}
    kept = await job.services.mongo.alerts.change(job.client, alert["alert_id"], changed)
    if kept is None:
        raise _unknown(params)
    await announce(job.services, [alert["alert_id"]])
    return _report(params.action, alert=view(kept), **more)


async def _pause(job: Job, params: AlertParams) -> AlertReport:
    return await _changed(job, params, await _existing(job, params), {"status": "paused"})


async def _resume(job: Job, params: AlertParams) -> AlertReport:
    """As if it were new: what happened meanwhile is not told."""
    alert = await _existing(job, params)
    if alert.get("expires_at") is not None and alert["expires_at"] <= datetime.now(UTC):
        raise InvalidRequest("the alert has expired", hint="Update expires_at first.")
    merged = _as_kept(alert, AlertParams(action="test", alert_id=alert["alert_id"]))
    understood = await _understand(job, merged)
    found = await _tried(job, merged, understood.definition, understood.price)
    fields = await _watched(job, merged, understood, found, number=alert["number"])
    said = warnings_of(found.run, understood.definition, repeat=bool(merged.repeat), cooldown=merged.cooldown_minutes)
    return await _changed(job, params, alert, fields | {"status": "active"}, warnings=said)


async def _delete(job: Job, params: AlertParams) -> AlertReport:
    """What it has fired for is told all the same."""
    alert = await job.services.mongo.alerts.delete(job.client, params.alert_id or "")
    if alert is None:
        raise _unknown(params)
    await relay(job.services, [alert])
    await announce(job.services, [alert["alert_id"]])
    return _report("delete", alert=view(alert), note="deleted")


async def _history(job: Job, params: AlertParams) -> AlertReport:
    found = await job.services.mongo.alerts.firings(job.client, params.alert_id, params.limit)
    return _report("history", history=[_firing(each, named=params.alert_id is None) for each in found])


async def _channels(job: Job, params: AlertParams) -> AlertReport:
    channels, note = await alert_channels.act(job, params.channels)
    return _report("channels", channels=channels, note=note)


def view(alert: Document) -> AlertView:
    """An alert as its owner sees it."""
    own = {name: alert.get(name) for name in AlertView.model_fields if alert.get(name) is not None}
    if own["status"] == "active" and (own.get("expires_at") or _NEVER) <= datetime.now(UTC):
        own["status"] = "expired"
    shown = own | {"reads": alert["sentence"], "looked_at": _LOOKED_AT[alert["watch"]]}
    if shown.get("chart") is False:
        del shown["chart"]
    return AlertView.model_validate(shown)


def _firing(entry: Document, *, named: bool = False) -> Firing:
    names = ("at", "price", "late_by_s", "told", "reason", *(("alert_id",) if named else ()))
    return Firing.model_validate({name: entry.get(name) for name in names})


def _report(action: Action, **found: Any) -> AlertReport:
    return AlertReport(action=action, timestamp=datetime.now(UTC), **found)


_HANDLERS: dict[Action, Handler] = {
    "create": _create, "list": _list, "get": _get, "update": _update, "pause": _pause, "resume": _resume,
    "delete": _delete, "test": _test, "history": _history, "channels": _channels,
}  # fmt: skip
