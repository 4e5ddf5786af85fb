"""Bad days on request: what can go wrong at an exchange, switched on over HTTP."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

Kind = Literal[
    "latency",
    "status",
    "cut",
    "truncated",
    "wrong_types",
    "impossible_candle",
    "repeated_candle",
    "missing_candle",
    "clock",
    "delisted",
    "silent",
    "shutdown",
    "out_of_order",
    "missing_close",
    "repeated_close",
]
OF_STREAMS = frozenset({"silent", "shutdown", "out_of_order", "missing_close", "repeated_close"})


class Fault(BaseModel):
    """One thing that goes wrong where the path begins with `path`. docs/sandbox.md explains each kind."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    path: str = "/api/"
    milliseconds: int = Field(0, ge=-86_400_000, le=86_400_000)
    status: Literal[403, 418, 429, 451, 500, 502, 503, 504] = 503
    retry_after: int = Field(5, ge=0, le=300_000)
    symbol: str | None = Field(None, max_length=50, description="Who is delisted.")
    probability: float = Field(1.0, gt=0, le=1)
    times: int | None = Field(None, ge=1, description="Ends after so many requests.")
    seconds: float | None = Field(None, gt=0, description="Ends after so long.")

    @model_validator(mode="after")
    def _everywhere(self) -> Fault:
        """What only streams can suffer strikes all of them unless a path is given."""
        if self.kind in OF_STREAMS and "path" not in self.model_fields_set:
            self.path = "/"
        return self


class Faults:
    """The faults that are switched on. `now` is the sandbox's clock in milliseconds."""

    def __init__(self, now: Callable[[], int], seed: int) -> None:
        self._now = now
        self._random = random.Random(seed)  # noqa: S311 - no secret # nosec B311
        self._on: list[tuple[Fault, int]] = []

    def add(self, fault: Fault) -> None:
        """Switches one on."""
        self._on.append((fault, self._now()))

    def clear(self) -> None:
        """Switches all off."""
        self._on.clear()

    def list(self) -> list[Fault]:
        """Those that are on."""
        now = self._now()
        self._on = [
            (fault, since)
            for fault, since in self._on
            if fault.times != 0 and (fault.seconds is None or now < since + fault.seconds * 1000)
        ]
        return [fault for fault, _ in self._on]

    def strike(self, path: str, among: Collection[Kind] | None = None) -> dict[Kind, Fault]:
        """The faults that hit this request (this event of a stream: those `among`), by kind; counted as used."""
        hit: dict[Kind, Fault] = {}
        for fault in self.list():
            if fault.kind in OF_STREAMS if among is None else fault.kind not in among:
                continue
            if not path.startswith(fault.path) or self._random.random() >= fault.probability:
                continue
            hit.setdefault(fault.kind, fault)
            if fault.times is not None:
                fault.times -= 1
        return hit


def spoil_body(body: Any, kinds: Collection[Kind]) -> Any:
    """The answer with words for numbers, or with candles as the faults ask for; answers without candles keep theirs."""
    if "wrong_types" in kinds:
        return _words(body)
    if not isinstance(body, list) or not body or not isinstance(body[0], list):
        return body
    middle = len(body) // 2
    row = body[middle]
    if "impossible_candle" in kinds:
        body[middle] = [*row[:2], row[3], f"{float(row[2]) * 1.01:.8f}", *row[4:]]
    if "repeated_candle" in kinds:
        body.insert(middle, row)
    if "missing_candle" in kinds:
        del body[middle]
    return body


def _words(body: Any) -> Any:
    """Words where numbers should be."""
    if isinstance(body, dict):
        return {name: _words(value) for name, value in body.items()}
    if isinstance(body, list):
        return [_words(value) for value in body]
    return "much" if isinstance(body, (str, int, float)) else body


def spoil_text(text: bytes, kinds: Collection[Kind]) -> bytes:
    """Half of the JSON, if that is asked for."""
    return text[: len(text) // 2] if "truncated" in kinds else text
