"""Bad days on request: what can go wrong at an exchange, switched on over HTTP."""

from __future__ import annotations

import random
import time
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["latency", "status", "cut", "truncated", "wrong_types", "impossible_candle", "clock"]


class Fault(BaseModel):
    """One thing that goes wrong for requests whose path begins with `path`.

    `latency` waits `milliseconds` first. `status` answers `status` (5xx, 429, 418, 403, 451) with the exchange's body.
    `cut` closes the connection in mid-body. `truncated` sends half of the JSON as if it were whole. `wrong_types`
    turns prices into words. `impossible_candle` sends a high below its low. `clock` puts the server's time off by
    `milliseconds`.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    path: str = "/api/"
    milliseconds: int = Field(0, ge=-86_400_000, le=86_400_000)
    status: Literal[403, 418, 429, 451, 500, 502, 503, 504] = 503
    retry_after: int = Field(5, ge=0, le=300_000)
    probability: float = Field(1.0, gt=0, le=1)
    times: int | None = Field(None, ge=1, description="Ends after so many requests.")
    seconds: float | None = Field(None, gt=0, description="Ends after so long.")


class Faults:
    """The faults that are switched on."""

    def __init__(self) -> None:
        self._on: list[tuple[Fault, float]] = []

    def add(self, fault: Fault) -> None:
        """Switches one on."""
        self._on.append((fault, time.monotonic()))

    def clear(self) -> None:
        """Switches all off."""
        self._on.clear()

    def list(self) -> list[Fault]:
        """Those that are on."""
        self._on = [(f, since) for f, since in self._on if f.seconds is None or time.monotonic() - since < f.seconds]
        return [fault for fault, _ in self._on]

    def strike(self, path: str) -> dict[Kind, Fault]:
        """The faults that hit this request, by kind; counted as used."""
        hit: dict[Kind, Fault] = {}
        for fault in self.list():
            if not path.startswith(fault.path) or random.random() >= fault.probability:  # noqa: S311 - no secret
                continue
            hit.setdefault(fault.kind, fault)
            if fault.times is not None:
                fault.times -= 1
        self._on = [(fault, since) for fault, since in self._on if fault.times is None or fault.times > 0]
        return hit
