"""Typed findings, kept in columns and read as objects.

A kernel fills one structured array per kind of finding; `Findings` reads a row of it as a frozen dataclass only when
somebody asks. A year of hours holds some six thousand findings: building them all as objects would cost more than
finding them. Rows are picked with `take` and `compress`, which copy whole rows; an index or a mask would copy them
field by field, which takes thirty times as long.

Every finding carries the bar it lies on (`at`) and the bar from whose close on it may be used (`known_at`). Whatever
later bars do to it is a `Change` with the bar of the change; nothing else of a finding depends on bars after
`known_at`. `Findings.as_of(bars)` is therefore what was known when `bars` bars had closed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Generic, Literal, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from crypto_mcp.models.candles import Ints

Direction = Literal["bullish", "bearish"]
Rows = NDArray[np.void]
Bools = NDArray[np.bool_]

NEVER = -1


@dataclass(frozen=True, slots=True)
class Change:
    """A new state of a finding, and the bar at whose close it was known."""

    bar: int
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing found in the bars; bars are indices into the candles, prices in quote asset.

    Attributes:
        at: bar it lies on.
        known_at: bar from whose close on it may be used, never before `at`.
        direction: the way it points for price.
        top, bottom: price bounds, equal for a level.
        strength: how pronounced it is, 0 to 100, by the formula in docs/analysis.md.
        confidence: how often what the kind stands for came true in past markets, 0 to 100 percent; 0 until
            `find_structure` has rated it.
        changes: later states with their bars, oldest first.
    """

    # States in the order they can come, those that end a finding, names of coded columns, and columns that are
    # known only from the change to a state on.
    STATES: ClassVar[tuple[str, ...]] = ()
    ENDS: ClassVar[tuple[str, ...]] = ()
    NAMES: ClassVar[Mapping[str, Mapping[int, str]]] = {}
    REVEALED: ClassVar[Mapping[str, str]] = {}

    at: int
    known_at: int
    direction: Direction
    top: float
    bottom: float
    strength: float
    confidence: float
    changes: tuple[Change, ...] = ()

    @property
    def state(self) -> str:
        """The newest state; `active` before any change."""
        return self.changes[-1].state if self.changes else "active"

    def state_at(self, bar: int) -> str:
        """The state at the close of `bar`."""
        return next((change.state for change in reversed(self.changes) if change.bar <= bar), "active")


F = TypeVar("F", bound=Finding)

_DIRECTIONS = {1: "bullish", -1: "bearish"}


@dataclass(frozen=True, slots=True)
class Layout:
    """How findings of a kind lie in columns of eight bytes: its fields, then `<state>_at` for each of its states.

    Attributes:
        columns: the structured type.
        names: of the fields.
        words: coded columns and what their codes mean.
    """

    columns: np.dtype[np.void]
    names: tuple[str, ...]
    words: tuple[tuple[str, Mapping[int, str]], ...]


_LAYOUTS: dict[type[Finding], Layout] = {}


def layout(kind: type[Finding]) -> Layout:
    """The layout of a kind, made once."""
    if kind not in _LAYOUTS:
        plain = [f for f in fields(kind) if f.name != "changes"]
        types = [(f.name, "f8" if str(f.type).startswith("float") else "i8") for f in plain]
        _LAYOUTS[kind] = Layout(
            columns=np.dtype(types + [(f"{state}_at", "i8") for state in kind.STATES]),
            names=tuple(f.name for f in plain),
            words=tuple({"direction": _DIRECTIONS, **kind.NAMES}.items()),
        )
    return _LAYOUTS[kind]


def blank(kind: type[Finding], capacity: int) -> Rows:
    """Zeroed rows for a kernel to fill. Memory that it does not touch costs nothing."""
    return np.zeros(capacity, dtype=layout(kind).columns)


def states(kind: type[Finding], rows: Rows) -> Ints:
    """The state columns as one table of bars, (rows, states), in the order of `STATES`; a view."""
    cells: Ints = rows.view(np.int64).reshape(len(rows), rows.itemsize // 8)
    return cells[:, len(layout(kind).names) :]


def begun(kind: type[Finding], rows: Rows) -> Rows:
    """The rows with every state at `NEVER`, for what follows them through the bars to fill in."""
    states(kind, rows)[:] = NEVER
    return rows


class Findings(Sequence[F], Generic[F]):
    """Findings of one kind, oldest `known_at` first.

    Attributes:
        kind: the dataclass a row is read as.
        rows: structured array, one row a finding; `rows["known_at"]` and the like are columns.
    """

    __slots__ = ("kind", "rows")

    def __init__(self, kind: type[F], rows: Rows) -> None:
        self.kind = kind
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> F: ...
    @overload
    def __getitem__(self, index: slice) -> Findings[F]: ...
    def __getitem__(self, index: int | slice) -> F | Findings[F]:
        if isinstance(index, slice):
            return Findings(self.kind, self.rows[index])
        row: tuple[Any, ...] = self.rows[index].item()
        return _read(self.kind, row)

    def __iter__(self) -> Iterator[F]:
        for row in self.rows.tolist():
            yield _read(self.kind, row)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Findings):
            return NotImplemented
        return self.kind is other.kind and self.rows.tobytes() == other.rows.tobytes()

    __hash__ = None  # type: ignore[assignment]  # holds an array

    def __repr__(self) -> str:
        return f"Findings({self.kind.__name__}, {len(self)})"

    def where(self, chosen: Bools) -> Findings[F]:
        """Those with True in `chosen`, bool of length len(self)."""
        return Findings(self.kind, self.rows.compress(chosen))

    def as_of(self, bars: int) -> Findings[F]:
        """What was known when `bars` bars had closed: earlier findings with their earlier changes."""
        rows = self.rows[: int(np.searchsorted(self.rows["known_at"], bars))].copy()
        for state in self.kind.STATES:
            at = rows[f"{state}_at"]
            at[at >= bars] = NEVER
        for column, state in self.kind.REVEALED.items():
            rows[column][rows[f"{state}_at"] == NEVER] = np.nan if rows[column].dtype == np.float64 else 0
        return Findings(self.kind, rows)

    def alive(self) -> Findings[F]:
        """Those that no state has ended."""
        over = np.zeros(len(self), dtype=np.bool_)
        for state in self.kind.ENDS:
            over |= self.rows[f"{state}_at"] != NEVER
        return self.where(~over)


def _read(kind: type[F], row: tuple[Any, ...]) -> F:
    known = layout(kind)
    values = dict(zip(known.names, row, strict=False))
    for name, words in known.words:
        values[name] = words[values[name]]
    for name in kind.REVEALED:
        values[name] = None if values[name] != values[name] else values[name]
    bars = row[len(known.names) :]
    changes = sorted((bar, order) for order, bar in enumerate(bars) if bar != NEVER)
    return kind(**values, changes=tuple(Change(bar, kind.STATES[order]) for bar, order in changes))
