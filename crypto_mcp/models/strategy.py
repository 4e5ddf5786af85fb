"""A trading strategy as data: conditions, exits, sizes. Every number in it may be a named parameter in braces."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from crypto_mcp.models.answers import Contract

PLACEHOLDER = re.compile(r"\{([a-z_][a-z0-9_]*)\}")
_NUMBER = r"(?:\d+(?:\.\d+)?|\{[a-z_][a-z0-9_]*\})"


def _written(pattern: str, words: str) -> tuple[AfterValidator, dict[str, Any]]:
    """Text that is written like that, and an error in words where it is not; with what a JSON schema says of it."""

    def check(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise ValueError(f"write {words}")
        return text

    return AfterValidator(check), {"pattern": f"^{pattern}$"}


_STOP, _STOP_SCHEMA = _written(rf"\s*(?:structure|{_NUMBER}\s*(?:%|atr))\s*", "3%, 2 atr or structure")
_TRAIL, _TRAIL_SCHEMA = _written(rf"\s*{_NUMBER}\s*(?:%|atr)\s*", "5% or 3 atr")
_WAY, _WAY_SCHEMA = _written(rf"\s*{_NUMBER}\s*(?:%|atr|[rR])\s*", "6%, 3 atr or 2R")
_NAMED, _NAMED_SCHEMA = _written(r"\{[a-z_][a-z0-9_]*\}", "a number, or {name} for a parameter")

Text = Annotated[
    str,
    Field(
        min_length=1,
        max_length=1000,
        description="A condition; `{name}` stands for a parameter.",
        examples=["crosses_above(ema({fast}), ema({slow}))"],
    ),
]
StopDistance = Annotated[
    str,
    _STOP,
    Field(
        json_schema_extra=_STOP_SCHEMA,
        description="`3%` of the entry price, `2 atr` (average true ranges, 14 bars), or `structure`: the last swing.",
        examples=["3%"],
    ),
]
TrailDistance = Annotated[str, _TRAIL, Field(json_schema_extra=_TRAIL_SCHEMA, description="`5%` or `3 atr`.")]
Distance = Annotated[
    str,
    _WAY,
    Field(
        json_schema_extra=_WAY_SCHEMA,
        description="`6%` of the entry price, `3 atr`, or `2R`: so many times the way to the stop.",
        examples=["2R"],
    ),
]
Value = Annotated[
    float | Annotated[str, _NAMED, Field(json_schema_extra=_NAMED_SCHEMA)],
    Field(description="A number, or `{name}`."),
]
ParameterName = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*$", max_length=40)]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
SizingMethod = Literal["equity", "fixed", "risk", "volatility", "kelly"]

MOST_TARGETS, MOST_PARAMETERS = 5, 12


class Target(Contract):
    """A price at which part of the position is sold."""

    at: Distance
    share: float = Field(100, gt=0, le=100, description="Percent of the position as it was opened.")


class Sizing(Contract):
    """How much is bought.

    `equity`: percent of equity put up as margin. `fixed`: quote asset. `risk`: percent of equity lost at the stop.
    `volatility`: position for which the yearly volatility is so many percent of equity. `kelly`: the Kelly fraction of
    the trades so far, at most so many percent of equity.
    """

    method: SizingMethod = Field("equity", description="What `amount` means.")
    amount: Value | None = Field(
        None, description="Percent; quote asset for `fixed`. Default: all of equity, shared by the symbols."
    )


class Session(Contract):
    """When positions may be opened, UTC. Exits are not held to it."""

    from_hour: int = Field(0, ge=0, le=23, description="First hour.")
    to_hour: int = Field(24, ge=0, le=24, description="First hour after it; before `from_hour`: of the next day.")
    weekdays: list[Weekday] = Field([], description="All, if empty.")


class Strategy(Contract):
    """When to be in the market, and with how much."""

    name: str = Field("custom", min_length=1, max_length=60, description="For the report.")
    summary: str = Field("", max_length=300, description="What it does, in a sentence.")
    entry: Text | None = Field(None, description="Buys (long) at the next open.")
    exit: Text | None = Field(None, description="Sells what was bought.")
    short_entry: Text | None = Field(None, description="Sells short at the next open; perpetuals only.")
    short_exit: Text | None = Field(None, description="Buys back.")
    stop: StopDistance | list[StopDistance] | None = Field(None, description="Of several the nearest counts.")
    trailing: TrailDistance | None = Field(None, description="Stop that follows the best price since the entry.")
    break_even: Distance | None = Field(None, description="Move in favour after which the stop lies at the entry.")
    max_bars: Value | None = Field(None, description="Time stop: bars after which a position is closed.")
    targets: list[Target] = Field([], max_length=MOST_TARGETS, description="Limit orders; shares up to 100 together.")
    sizing: Sizing = Sizing()
    max_open: int | None = Field(None, ge=1, description="Positions open at once over all symbols; one a symbol.")
    cooldown: Value = Field(0.0, description="Bars after an exit before the symbol is entered again.")
    session: Session | None = Field(None, description="When positions may be opened.")
    parameters: dict[ParameterName, float] = Field(
        {}, max_length=MOST_PARAMETERS, description="Named numbers with their usual values."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.entry is None and self.short_entry is None:
            raise ValueError("a strategy needs entry or short_entry")
        if self.exit is not None and self.entry is None:
            raise ValueError("exit without entry: give the long side's entry, or short_exit")
        if self.short_exit is not None and self.short_entry is None:
            raise ValueError("short_exit without short_entry")
        if sum(target.share for target in self.targets) > 100 + 1e-9:
            raise ValueError("the shares of the targets add up to more than 100 percent")
        self._check_stops()
        self._check_parameters()
        return self

    def _check_stops(self) -> None:
        in_risks = [
            text for text in (*(t.at for t in self.targets), self.break_even or "") if text.strip()[-1:] in "rR"
        ]
        if any(text.strip() for text in in_risks) and not self.stops:
            raise ValueError("a distance in R needs a stop: R is the way to it")
        if self.sizing.method == "risk" and not self.stops:
            raise ValueError("sizing by risk needs a stop: the risk is the way to it")

    def _check_parameters(self) -> None:
        unknown = sorted(self.placeholders - self.parameters.keys())
        unused = sorted(self.parameters.keys() - self.placeholders)
        if unknown:
            raise ValueError(f"{{{unknown[0]}}} is no parameter: give its usual value in parameters")
        if unused:
            raise ValueError(f"the parameter {unused[0]} is used nowhere: write {{{unused[0]}}} where it belongs")

    @property
    def stops(self) -> list[str]:
        """The initial stops, as a list."""
        return [self.stop] if isinstance(self.stop, str) else list(self.stop or [])

    @property
    def placeholders(self) -> set[str]:
        """Names in braces anywhere in the strategy."""
        return set(PLACEHOLDER.findall(self.model_dump_json(exclude={"name", "summary", "parameters"})))

    @property
    def conditions(self) -> dict[str, str]:
        """The conditions that are given, by field."""
        names = ("entry", "exit", "short_entry", "short_exit")
        return {name: text for name in names if (text := getattr(self, name)) is not None}
