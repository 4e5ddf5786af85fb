"""Firing: decided by the clock, done once, told once; against a real MongoDB and Redis."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from crypto_mcp.alerts.firing import decide, end_of_quiet
from crypto_mcp.alerts.telling import notification_of
from crypto_mcp.models.alerts import AlertParams, Crossed, CrossingMove, FireParams, SweepParams
from crypto_mcp.settings import AlertSettings, NotifySettings
from scheduler.alerts.jobs import CROSSED_A_JOB, packed
from tests.alerts.made import price_document
from workers.alert_firing import Contended
from workers.alerts import alert_manager, fire_alerts, sweep_alerts
from workers.job import Job
from workers.services import Services

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from crypto_mcp.settings import Settings

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def alert(**fields: Any) -> dict[str, Any]:
    made = price_document("alert_1", "BTCUSDT", "above", Decimal(100), owner="ann", price=90.0, repeat=True)
    return made | fields


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        ({}, "told"),
        ({"status": "paused"}, "over"),
        ({"expires_at": NOW}, "expired"),
        ({"cooldown_minutes": 10, "last_told_at": NOW - timedelta(minutes=9)}, "cooldown"),
        ({"cooldown_minutes": 10, "last_told_at": NOW - timedelta(minutes=10)}, "told"),
        ({"max_per_day": 2, "day": {"date": "2026-03-01", "count": 2}}, "max_per_day"),
        ({"max_per_day": 2, "day": {"date": "2026-02-28", "count": 2}}, "told"),
        ({"max_per_day": 2, "day": {"date": "2026-03-02", "count": 2}, "time_zone": "Pacific/Apia"}, "max_per_day"),
    ],
)  # fmt: skip
def test_what_becomes_of_a_crossing(fields: dict[str, Any], verdict: str) -> None:
    assert decide(alert(**fields), NOW, NOW).verdict == verdict


def test_quiet_hours_are_of_the_owners_wall_clock_and_go_over_midnight() -> None:
    """A critical alert does not wait."""
    assert end_of_quiet("22:00-07:00", "Asia/Dubai", datetime(2026, 3, 1, 19, tzinfo=UTC)) == datetime(
        2026, 3, 2, 3, tzinfo=UTC
    )
    assert end_of_quiet("22:00-07:00", "Asia/Dubai", datetime(2026, 3, 1, 1, tzinfo=UTC)) == datetime(
        2026, 3, 1, 3, tzinfo=UTC
    )
    assert end_of_quiet("22:00-07:00", None, NOW) is None
    assert decide(alert(quiet_hours="11:00-13:00"), NOW, NOW).not_before == NOW + timedelta(hours=1)
    assert decide(alert(quiet_hours="11:00-13:00", priority="critical"), NOW, NOW).not_before is None


@pytest.mark.parametrize(
    ("now", "ends"),
    [
        ("2026-03-28T22:30", "2026-03-29T05:00"),  # Berlin goes from UTC+1 to +2 at 01:00 UTC
        ("2026-10-24T21:30", "2026-10-25T06:00"),  # and back
        ("2026-10-25T00:10", "2026-10-25T00:30"),  # 02:10 the first time, quiet until 02:30
        ("2026-10-25T01:10", "2026-10-25T01:30"),  # 02:10 the second time
    ],
)
def test_quiet_hours_of_a_night_in_which_the_clocks_change(now: str, ends: str) -> None:
    moments = [datetime.fromisoformat(f"{text}+00:00") for text in (now, ends)]
    quiet = "23:00-02:30" if ends.endswith(":30") else "22:00-07:00"
    assert end_of_quiet(quiet, "Europe/Berlin", moments[0]) == moments[1]


def test_a_message_says_how_late_it_is_and_fills_only_fields() -> None:
    made = alert(message="{symbol} {price} {firing}", name="mine")
    told = notification_of(made, 3, NOW, NOW + timedelta(minutes=20), price=101.5)
    assert (told.notification_id, told.title, told.late_by_s) == ("alert_1.3", "mine", 1200.0)
    assert told.text.startswith("BTCUSDT 101.5 3\nLate by 20 min")
    assert notification_of(made, 1, NOW, NOW, price=101.5).late_by_s is None


@pytest.fixture
async def services(settings: Settings, mongo_database: object) -> AsyncIterator[Services]:
    """MongoDB and Redis, with a quota of three."""
    changed = {"alerts": AlertSettings(most_per_owner=3), "notify": NotifySettings()}
    found = Services(settings.model_copy(update=changed))
    await found.mongo.alerts.prepare()
    yield found
    await found.close()


def job(services: Services, name: str = "job-1", client: str = "ann") -> Job:
    async def nothing(_: float, __: str) -> None: ...

    return Job(name, "alert_manager", 1, 5, client, "", services, nothing)


def move(
    number: int = 1, high: float = 101.0, *, symbol: str = "BTCUSDT", level: float = 100.0,
    alerts: Sequence[str] = ("alert_1",),
) -> CrossingMove:  # fmt: skip
    crossed = [Crossed(alert_id=name, number=number, level=level, above=True) for name in alerts]
    return CrossingMove(
        symbol=symbol, low=99.0, high=high, price=high, at=round(NOW.timestamp() * 1000), crossed=crossed
    )


def crossing(number: int = 1, high: float = 101.0, **how: Any) -> FireParams:
    return FireParams(moves=[move(number, high, **how)])


async def fired(services: Services, params: FireParams) -> int:
    """As the queue does it: again after what may succeed then."""
    while True:
        try:
            return (await fire_alerts(job(services), params)).fired
        except Contended:
            await asyncio.sleep(0.01)


async def test_a_crossing_that_is_handled_by_many_at_once_is_told_once(services: Services) -> None:
    """Ten workers with the same job, and with jobs of later crossings that come out of order."""
    documents = services.mongo.alerts
    await documents.insert(alert())
    tallies = await asyncio.gather(*(fired(services, crossing(number)) for number in (2, 1, 1, 2, 1, 3, 3, 1, 2, 1)))
    kept = await documents.get("ann", "alert_1")
    assert kept is not None
    assert (sum(tallies), kept["firings"], kept["number"], kept["outbox"]) == (3, 3, 3, [])
    assert "waiting" not in kept
    history = await documents.firings("ann", None, 10)
    assert sorted(entry["event"] for entry in history) == ["n1", "n2", "n3"]
    waiting = await services.queue.lrange("notifications:queue", 0, -1)  # type: ignore[misc]
    assert sorted(str(raw).count("alert_1.") > 0 for raw in waiting) == [True, True, True]


async def test_alerts_that_many_jobs_share_are_told_once_each(services: Services) -> None:
    """Jobs of several moves that overlap, at the same time: some of a job's alerts are another's already."""
    documents = services.mongo.alerts
    names = [f"alert_{number}" for number in range(12)]
    for name in names:
        await documents.insert(alert(alert_id=name, user_id=name, repeat=name < "alert_5"))
    overlapping = [names[first : first + 6] for first in (0, 3, 6, 0, 6)]
    await asyncio.gather(
        *(
            fired(services, FireParams(moves=[move(alerts=part[:2]), move(high=102.0, alerts=part[2:])]))
            for part in overlapping
        )
    )
    kept = await documents.these(names)
    assert [(each["firings"], each["recent"], each["outbox"]) for each in kept] == [(1, ["n1"], [])] * 12
    waiting = [orjson.loads(raw)["id"] for raw in await services.queue.lrange("notifications:queue", 0, -1)]  # type: ignore[misc]
    assert sorted(waiting) == sorted(f"notify.{name}.1" for name in names)


def test_an_alert_is_in_a_job_once_and_in_the_order_of_its_crossings() -> None:
    """What came together goes together, as far as a job may hold."""
    crowd = [f"alert_{number}" for number in range(2, CROSSED_A_JOB + 1)]
    moves = [
        move(1, alerts=["alert_1"]),
        move(1, alerts=crowd),
        move(1, alerts=["alert_x"]),
        move(2, alerts=["alert_x"]),
    ]
    jobs = packed(moves, heard=7)
    assert [[each.alert_id for told in job.moves for each in told.crossed] for job in jobs] == [
        ["alert_1", *crowd], ["alert_x"], ["alert_x"],
    ]  # fmt: skip
    assert [job.noticed_at for job in jobs] == [7, 7, 7]
    with pytest.raises(ValueError, match="named twice"):
        FireParams(moves=moves)


async def test_what_a_killed_worker_left_in_an_alert_is_told_by_whoever_comes_next(services: Services) -> None:
    """The update was made and nothing was put on the list: the same job, or the minute's sweep, does the rest."""
    documents = services.mongo.alerts
    await documents.insert(alert(repeat=False))
    relayed = documents.relayed

    async def killed(_: object) -> None:
        raise asyncio.CancelledError

    documents.relayed = killed  # type: ignore[method-assign,assignment]
    with pytest.raises(asyncio.CancelledError):
        await fire_alerts(job(services), crossing())
    documents.relayed = relayed  # type: ignore[method-assign]
    assert len((await documents.get("ann", "alert_1") or {})["outbox"]) == 1
    await sweep_alerts(job(services), SweepParams(at=NOW))
    kept = await documents.get("ann", "alert_1")
    assert kept is not None
    assert (kept["status"], kept["firings"], kept["outbox"]) == ("triggered", 1, [])
    assert await services.queue.llen("notifications:queue") == 1  # type: ignore[misc]


async def test_a_crossing_that_does_not_hold_is_refused(services: Services) -> None:
    """Of another level, of a price that did not go there, of an alert that is paused: whoever pushed the job."""
    await services.mongo.alerts.insert(alert())
    for params in (
        crossing(high=99.5),
        crossing(symbol="ETHUSDT"),
        crossing(level=98.0),
    ):
        assert await fired(services, params) == 0
    await services.mongo.alerts.change("ann", "alert_1", {"status": "paused"})
    assert await fired(services, crossing()) == 0
    assert await services.queue.llen("notifications:queue") == 0  # type: ignore[misc]


async def test_an_owner_has_so_many_alerts_and_nobody_elses(services: Services) -> None:
    """Also when many are made at once; one that is gone makes room."""
    for number in range(3):
        await services.mongo.alerts.insert(alert(alert_id=f"alert_{number}"))
    await services.mongo.alerts.insert(alert(alert_id="hers", user_id="bea"))
    listed = await alert_manager(job(services), AlertParams(action="list"))
    assert listed.total == 3
    for action in ("get", "pause", "delete"):
        with pytest.raises(Exception, match="you have no alert"):
            await alert_manager(job(services), AlertParams.model_validate({"action": action, "alert_id": "hers"}))
    assert (await services.mongo.alerts.get("bea", "hers") or {})["status"] == "active"
