"""What of parameters and results is nobody's business but the owner's.

A field is marked in its model, `size: Annotated[Decimal, PRIVATE]`, and what writes things down (tool logs, log lines)
writes `redacted(model)`. Nothing is guessed from names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

HIDDEN: Final = "[private]"


class Private:
    """Marks a field: sizes of positions, balances, phone numbers, keys, texts of people."""

    def __repr__(self) -> str:
        return "PRIVATE"


PRIVATE: Final = Private()


def redacted(model: BaseModel) -> dict[str, Any]:
    """The model as JSON values, every private field that has a value replaced by `[private]`."""
    told: dict[str, Any] = model.model_dump(mode="json", exclude_none=True)
    return _without_private(model, told)


def _without_private(model: BaseModel, told: dict[str, Any]) -> dict[str, Any]:
    fields: Mapping[str, FieldInfo] = type(model).model_fields
    for name, value in told.items():
        if name not in fields:
            continue
        hidden = any(isinstance(mark, Private) for mark in fields[name].metadata)
        told[name] = HIDDEN if hidden else _inside(getattr(model, name), value)
    return told


def _inside(part: Any, told: Any) -> Any:
    if hasattr(type(part), "model_fields"):
        return _without_private(part, told)
    if isinstance(told, list):
        return [_inside(one, said) for one, said in zip(part, told, strict=True)]
    if isinstance(told, dict) and isinstance(part, dict):
        return {name: _inside(one, told[str(name)]) for name, one in part.items() if str(name) in told}
    return told
