"""How much of a result a default answer over MCP has: marks on the fields of its models.

A model that reads an answer pays for every word of it, and has no use for most until it asks. REST has whole results.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, get_args

from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Brief:
    """The mark of a field: `data: Annotated[Provenance, Brief(only=("source", "age_seconds"))]`.

    Attributes:
        only: fields inside that are told; all, if none are named.
        rows: of a list, so many of the first; below zero, of the last.
        on_request: not told.
        kept: not left out, however long the answer is: what keeps somebody from losing money, what was asked for.
    """

    only: tuple[str, ...] = ()
    rows: int | None = None
    on_request: bool = False
    kept: bool = False


ON_REQUEST: Final = Brief(on_request=True)
KEPT: Final = Brief(kept=True)
_WHOLE: Final = Brief()


@dataclass(frozen=True, slots=True)
class Outline:
    """A field's mark, and those of the fields inside it, of a list's rows for instance."""

    mark: Brief = _WHOLE
    fields: Mapping[str, Outline] = field(default_factory=dict)


_OUTLINES: dict[type[BaseModel], Outline] = {}


def outline(model: type[BaseModel]) -> Outline:
    """The marks of a result's model, through everything in it. `ValueError` for a mark that names what there is not."""
    known = _OUTLINES.get(model)
    if known is None:
        fields = {name: _of_field(each.annotation, each.metadata) for name, each in model.model_fields.items()}
        known = _OUTLINES[model] = Outline(_WHOLE, fields)
    return known


def _of_field(annotation: Any, metadata: list[Any]) -> Outline:
    mark = next((each for each in metadata if isinstance(each, Brief)), _WHOLE)
    inside = {} if (model := next(_models(annotation), None)) is None else outline(model).fields
    if strange := set(mark.only) - inside.keys():
        raise ValueError(f"a mark names fields that there are not: {', '.join(sorted(strange))}")
    if mark.only:
        inside = {name: each if name in mark.only else replace(each, mark=ON_REQUEST) for name, each in inside.items()}
    return Outline(mark, inside)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Models of which the value, or a row of it, is one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
