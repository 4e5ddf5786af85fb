"""REST: Alertmanager's webhook, told on to the operators by their channels.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import Request
from pydantic import BaseModel, Field

from crypto_mcp.access.identity import current
from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.models.notifications import Notification
from crypto_mcp.server.problems import described
from crypto_mcp.server.rest import front_of
from crypto_mcp.server.routing import Routes

if TYPE_CHECKING:
    from collections.abc import Sequence

Labels = dict[str, Annotated[str, Field(max_length=1000)]]


class PrometheusAlert(BaseModel):
    """One alert of a group."""

    status: Literal["firing", "resolved"]
    labels: Labels = {}
    annotations: Labels = {}
    fingerprint: str = Field("", max_length=100)


class AlertGroup(BaseModel):
    """What Alertmanager posts: alerts that belong together."""

    status: Literal["firing", "resolved"]
    group_key: str = Field("", alias="groupKey", max_length=1000)
    alerts: list[PrometheusAlert] = Field(max_length=200)


class Told(BaseModel):
    """How many operators are told."""

    operators: int


def operations_routes(operators: Sequence[str]) -> Routes:
    """The route, for these operators."""
    routes = Routes(prefix="/operations", tags=["operations"])

    @routes.post(
        "/alerts", summary="Tell operators what Alertmanager found", status_code=202, responses=described(401, 403)
    )
    async def tell(request: Request, group: AlertGroup) -> Told:
        """A group that is posted again within the minute is told once."""
        current().require("metrics:read")
        jobs, now = front_of(request).jobs, datetime.now(UTC)
        for owner in operators:
            told = _notification(group, owner, now)
            await jobs.submit(CATALOGUE["send_notification"], told, job_id=told.job_id)
        return Told(operators=len(operators))

    return routes


def _notification(group: AlertGroup, owner: str, now: datetime) -> Notification:
    seen = "|".join(
        [owner, group.group_key, *(f"{a.fingerprint}{a.status}" for a in group.alerts), f"{now:%Y%m%d%H%M}"]
    )
    rows = [_line(alert) for alert in group.alerts]
    names = sorted({alert.labels.get("alertname", "alert") for alert in group.alerts})
    title = f"{'Over: ' if group.status == 'resolved' else ''}{', '.join(names)}"
    return Notification(
        notification_id=f"prometheus-{hashlib.sha256(seen.encode()).hexdigest()[:24]}",
        owner=owner,
        priority="high" if group.status == "resolved" else "critical",
        title=title[:200],
        text="\n".join(rows)[:3000],
        at=now,
        about="prometheus",
    )


def _line(alert: PrometheusAlert) -> str:
    summary = alert.annotations.get("summary") or alert.labels.get("alertname", "")
    hint = alert.annotations.get("hint", "")
    return f"{alert.status}: {summary}" + (f" ({hint})" if hint and alert.status == "firing" else "")
