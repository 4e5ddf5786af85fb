"""Firing: a crossing or a bar becomes one update of its alert, and the notification in it one job.

The update is the one step: it holds only if the alert still is as it was read (active, as often told, this event not
among its recent ones), and it writes the firing and the notification together. What lies in an alert is put on its list
by whoever handles the alert next: this job, the same job after a crash, or the minute's sweep.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
from redis.exceptions import RedisError

from crypto_mcp.alerts.firing import Decision, day_of, decide
from crypto_mcp.alerts.telling import notification_of
from crypto_mcp.errors import Unavailable
from crypto_mcp.jobs.scripting import unavailable
from crypto_mcp.market.live import ALERTS_CHANNEL
from crypto_mcp.models.alerts import Fired, FireParams
from crypto_mcp.models.notifications import Notification
from workers.notifications import submit_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from crypto_mcp.models.alerts import Crossed, CrossingMove
    from workers.job import Job
    from workers.services import Services

    Document = dict[str, Any]

_RECENT = 50
"""Events an alert remembers, so that a job that is run again, or late, finds what was handled."""

_OUTBOX = "id due notification firing"


class Contended(Unavailable):
    """Two changed one alert at the same time; the other came first."""

    code = "contended"


@dataclass(slots=True)
class Tally:
    """What became of the alerts of a job, and the updates that make it so."""

    changes: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = field(default_factory=list)
    events: dict[str, str] = field(default_factory=dict)
    verdicts: dict[str, bool] = field(default_factory=dict)
    touched: list[Document] = field(default_factory=list)
    told: int = 0
    suppressed: int = 0
    refused: int = 0
    stale: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """Counts on: the updates so far have been made. An alert is in what follows once, until they are made too."""
        self.changes, self.events, self.verdicts, self.touched = [], {}, {}, []


async def fire_alerts(job: Job, params: FireParams) -> Fired:
    """Confirms crossings against the alerts as they are kept, and fires those that hold."""
    documents, tally = job.services.mongo.alerts, Tally()
    named = [crossed.alert_id for move in params.moves for crossed in move.crossed]
    alerts = {alert["alert_id"]: alert for alert in await documents.these(named)}
    for move in params.moves:
        at = datetime.fromtimestamp(move.at / 1000, UTC)
        now = at if params.noticed_at is None else datetime.fromtimestamp(max(move.at, params.noticed_at) / 1000, UTC)
        for crossed in move.crossed:
            alert = alerts.get(crossed.alert_id)
            if alert is None or not _confirmed(alert, crossed, move):
                tally.refused += 1
                tally.stale.append(crossed.alert_id)
                tally.touched += [] if alert is None else [alert]
                continue
            event = Event(f"n{crossed.number}", at, now, _price(move, crossed), crossed.number)
            flip = {"level.side": "below" if crossed.above else "above"} if alert["level"].get("flips") else {}
            handle(tally, alert, event, flip)
    await settle(job.services, tally)
    await announce(job.services, tally.stale)
    return Fired(fired=tally.told, suppressed=tally.suppressed, refused=tally.refused)


def _price(move: CrossingMove, crossed: Crossed) -> float:
    """The last price, where it is beyond the level, else the farthest that was."""
    beyond = move.price > crossed.level if crossed.above else move.price < crossed.level
    return move.price if beyond else move.high if crossed.above else move.low


def _confirmed(alert: Document, crossed: Crossed, move: CrossingMove) -> bool:
    """Whether the alert still has that level, and the move went beyond it. One handled before is refused too."""
    level = alert.get("level") or {}
    beyond = move.high > crossed.level if crossed.above else move.low < crossed.level
    return (
        alert["status"] == "active"
        and alert["symbol"] == move.symbol
        and level.get("beyond") == crossed.level
        and (level.get("side") == "above") == crossed.above
        and f"n{crossed.number}" not in alert["recent"]
        and beyond
    )


@dataclass(frozen=True, slots=True)
class Event:
    """Something an alert fires for.

    Attributes:
        name: tells it from others of the same alert.
        at, now: when it happened, and when it was noticed, by the exchange's clock.
        price: of the symbol, or the figure.
        number: of a crossing.
        words: more to say of it.
    """

    name: str
    at: datetime
    now: datetime
    price: float | None
    number: int | None = None
    words: str = ""


def handle(tally: Tally, alert: Document, event: Event, extra: Mapping[str, Any] | None = None) -> Decision:
    """Adds the update by which an alert fires for an event, or by which it is passed over; the alert as it then is."""
    decision = decide(alert, event.at, event.now)
    told_before, number = alert["firings"], max(event.number or alert["number"] + 1, alert["number"])
    if decision.verdict == "over":
        tally.refused += 1
        return decision
    present = datetime.now(UTC)
    fields: Document = {"number": number, "changed_at": present, "crossed_at": event.at, **(extra or {})}
    if decision.verdict == "expired":
        fields["status"] = "expired"
    firing: Document = {
        "alert_id": alert["alert_id"], "user_id": alert["user_id"], "event": event.name, "at": event.at,
        "noticed_at": present, "price": event.price, "told": decision.told, "late_by_s": None,
        "reason": None if decision.told else decision.verdict,
    }  # fmt: skip
    told: Document | None = None
    if decision.told:
        notification = notification_of(
            alert, told_before + 1, event.at, event.now, price=event.price, words=event.words
        )
        told = notification.model_dump(mode="json", exclude_none=True)
        firing["late_by_s"] = notification.late_by_s
        day = day_of(alert, event.at)
        count = (alert.get("day") or {}).get("count", 0) if (alert.get("day") or {}).get("date") == day else 0
        fields |= {"triggered_at": event.at, "last_told_at": event.at, "day": {"date": day, "count": count + 1}}
        fields["firings"] = told_before + 1
        if not alert["repeat"]:
            fields["status"] = "triggered"
    else:
        fields["suppressed"] = alert.get("suppressed", 0) + 1
    if (alert.get("level") or {}).get("flips"):
        fields["armed_number"], fields["armed_at"] = number, event.at
    due = decision.not_before or present
    entry = dict(zip(_OUTBOX.split(), (f"{alert['alert_id']}/{event.name}", due, told, firing), strict=True))
    where = {
        "alert_id": alert["alert_id"], "status": "active", "firings": told_before, "version": alert["version"],
        "recent": {"$ne": event.name},
    }  # fmt: skip
    push = {"recent": {"$each": [event.name], "$slice": -_RECENT}, "outbox": entry}
    tally.events[alert["alert_id"]] = event.name
    tally.verdicts[alert["alert_id"]] = decision.told
    tally.changes.append((where, {"$set": fields, "$push": push, "$min": {"waiting": due}}))
    alert |= {name: value for name, value in fields.items() if "." not in name}
    alert["outbox"] = [*(alert.get("outbox") or ()), entry]
    tally.touched.append(alert)
    return decision


async def settle(services: Services, tally: Tally) -> None:
    """Makes the updates, and puts what is due on its list.

    Raises:
        Contended: another job or the owner changed one of the alerts meanwhile; run again it is handled as it now is.
    """
    documents, alerts = services.mongo.alerts, tally.touched
    handled, contended = set(tally.events), False
    made = await documents.fire(tally.changes)
    if made < len(tally.changes):  # else the alerts are now as they were read, and what was done to them
        alerts = await documents.outboxes([alert["alert_id"] for alert in alerts])
        known = {alert["alert_id"] for alert in alerts if tally.events.get(alert["alert_id"]) in alert["recent"]}
        contended = any(alert["status"] == "active" and alert["alert_id"] in handled - known for alert in alerts)
        handled = known if made else set()
    for alert_id, told in tally.verdicts.items():
        tally.told += told and alert_id in handled
        tally.suppressed += not told and alert_id in handled
        tally.refused += alert_id not in handled
    await relay(services, alerts)
    if contended:
        raise Contended("an alert changed while it fired", hint="It is looked at again.", retry_after=0.05)


async def relay(services: Services, alerts: Iterable[Document]) -> int:
    """Puts notifications that are due and lie in these alerts on their list; how many. Done twice it is done once."""
    documents, now = services.mongo.alerts, datetime.now(UTC)
    relayed: dict[str, list[str]] = {}
    firings: list[Document] = []
    due: list[Notification] = []
    for alert in alerts:
        for entry in alert.get("outbox") or ():
            if entry["due"] > now:
                continue
            if entry["notification"] is not None:
                due.append(Notification.model_validate(entry["notification"]))
            firings.append(entry["firing"])
            relayed.setdefault(alert["alert_id"], []).append(entry["id"])
    await asyncio.gather(submit_all(services, due), documents.keep_firings(firings))
    await documents.relayed(relayed)
    return len(due)


async def announce(services: Services, alert_ids: Sequence[str]) -> None:
    """Tells the watchers that alerts have changed."""
    if not alert_ids:
        return
    try:
        await services.queue.publish(ALERTS_CHANNEL, orjson.dumps(list(alert_ids)))
    except (RedisError, OSError) as error:
        raise unavailable(error) from error
