"""Results as MCP tells them: short by the marks of their models; whole, field by field and page by page, on request.

Which fields a default answer has is declared where they are (`crypto_mcp.models.brevity`); that it is never longer than
`LONGEST` is kept here, by telling fewer rows and then fewer fields, never those that are marked as kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from crypto_mcp.errors import InvalidRequest
from crypto_mcp.models.brevity import Outline, outline
from crypto_mcp.server.tokens import tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from crypto_mcp.job_kind import JobKind

LONGEST = 950
"""Tokens of a default answer, envelope included; a twentieth below what is promised, as they are counted."""

ROWS_OF_A_PAGE = 20
EVERYTHING = "*"
_DIGITS = 7
_NOT_WORTH_IT = 100
"""Bytes of a part that is never left out for the length of an answer: it would take as long to say that it was."""


@dataclass
class Told:
    """Part of a result, and the top fields of which there is more, with how many rows of how many where it is rows."""

    result: dict[str, Any]
    left: dict[str, str] = field(default_factory=dict)

    @property
    def more(self) -> list[str]:
        """The fields of which there is more, in words."""
        return [f"{name} {rows}".strip() for name, rows in self.left.items()]


def brief(kind: JobKind[Any, Any], result: bytes, envelope: Callable[[Told], bytes]) -> Told:
    """What a default answer has of a result; `envelope` writes the whole answer, whose length is what counts."""
    marks = outline(kind.result)
    told = Told({})
    for name, value in orjson.loads(result).items():
        mine = marks.fields.get(name, Outline())
        if mine.mark.on_request:
            if _is_something(value):
                told.left[name] = f"(0 of {len(value)})" if isinstance(value, list) else ""
        elif _is_something(value) or mine.mark.kept:
            told.result[name] = _shortened(value, mine, told.left, name)
    while tokens(envelope(told).decode()) > LONGEST and _cut(told, marks):
        pass
    return told


def chosen(kind: JobKind[Any, Any], result: bytes, names: list[str], page: int) -> Told:
    """The fields of these names, whole but for lists, of which it is a page; `*` is all of the result, on one page."""
    whole = orjson.loads(result)
    if EVERYTHING in names:
        return Told(whole)
    unknown = sorted(set(names) - kind.result.model_fields.keys())
    if unknown:
        known = ", ".join(kind.result.model_fields)
        raise InvalidRequest(f"fields: a result has no {unknown[0][:80]}", hint=f"There are {known}; * is all of them.")
    told = Told({})
    for name in names:
        if name in whole:
            told.result[name] = _page(whole[name], page, told.left, name)
    return told


def _is_something(value: Any) -> bool:
    return value is not None and value not in ([], {})


def _shortened(value: Any, marks: Outline, left: dict[str, str], top: str) -> Any:
    """By the marks; `left` is told which top field lost something."""
    if isinstance(value, list):
        return [_shortened(row, marks, left, top) for row in _rows(value, marks.mark.rows, left, top)]
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if not isinstance(value, dict):
        return value
    kept = {}
    for name, part in value.items():
        inside = marks.fields.get(name, Outline())
        if inside.mark.on_request:
            if _is_something(part):
                left.setdefault(top, "")
        elif _is_something(part) or inside.mark.kept:
            kept[name] = _shortened(part, inside, left, top)
    return kept


def _rows(rows: list[Any], most: int | None, left: dict[str, str], top: str) -> list[Any]:
    if most is None or len(rows) <= abs(most):
        return rows
    left[top] = f"({abs(most)} of {len(rows)})"
    return rows[:most] if most > 0 else rows[most:]


def _page(value: Any, page: int, left: dict[str, str], top: str) -> Any:
    if isinstance(value, list):
        first, last = (page - 1) * ROWS_OF_A_PAGE, page * ROWS_OF_A_PAGE
        if last < len(value):
            left[top] = f"(page {page} of {-(-len(value) // ROWS_OF_A_PAGE)})"
        return value[first:last]
    if isinstance(value, dict):
        return {name: _page(part, page, left, top) for name, part in value.items()}
    return value


@dataclass(frozen=True)
class _Part:
    """What could be told less of: a field, in its place."""

    size: int
    top: str
    place: dict[str, Any]
    name: str
    marks: Outline

    def cut(self, left: dict[str, str]) -> None:
        """Tells a quarter less of the rows of a list, nothing of anything else."""
        value = self.place[self.name]
        if _is_rows(value):
            total = left.get(self.top, "").rpartition(" of ")[2].rstrip(")") or len(value)
            fewer = len(value) - max(1, len(value) // 4)
            self.place[self.name] = value[:fewer] if (self.marks.mark.rows or 1) > 0 else value[-fewer:]
            left[self.top] = f"({fewer} of {total})"
        else:
            del self.place[self.name]
            left.setdefault(self.top, "")


def _cut(told: Told, marks: Outline) -> bool:
    """Tells less of the largest part that may be; whether there was one."""
    parts = [
        part for top, value in told.result.items() for part in _parts(told.result, top, value, marks.fields, top, 2)
    ]
    if not parts:
        return False
    max(parts, key=lambda part: part.size).cut(told.left)
    return True


def _parts(
    place: dict[str, Any], name: str, value: Any, fields: Mapping[str, Outline], top: str, depth: int
) -> Iterator[_Part]:
    mine, size = fields.get(name, Outline()), len(orjson.dumps(value))
    if mine.mark.kept or size < _NOT_WORTH_IT:
        return
    if _is_rows(value) or not _holds_kept(mine):
        yield _Part(size, top, place, name, mine)
    elif isinstance(value, dict) and depth > 1:
        for inner, part in value.items():
            yield from _parts(value, inner, part, mine.fields, top, depth - 1)


def _is_rows(value: Any) -> bool:
    """Whether it says something with fewer rows: a matrix does not."""
    return isinstance(value, list) and len(value) > 1 and not isinstance(value[0], list)


def _holds_kept(marks: Outline) -> bool:
    return marks.mark.kept or any(_holds_kept(inside) for inside in marks.fields.values())
