"""A validation error in one sentence, for people and models."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_SHOWN = 5
_LOOKED_AT = 200
_DEEPEST = 12
_LONGEST_NAME = 80

_ALTERNATIVE = re.compile(r"str|int|float|bool|constrained-.*|.*\[.*")
"""What pydantic puts into a place to tell the alternatives of a union apart; no field is called like that."""


def explain(error: ValidationError) -> str:
    """Each wrong field with what is wrong about it; values are not repeated, they may be private."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)[:_LOOKED_AT]
    said = list(dict.fromkeys(f"{_place(p)}: {p['msg'].removeprefix('Value error, ')}" for p in _meant(problems)))
    if len(said) > _SHOWN:
        said[_SHOWN:] = [f"and {len(said) - _SHOWN} more"]
    return "; ".join(said)


def _meant(problems: Sequence[ErrorDetails]) -> Iterator[ErrorDetails]:
    """Without the alternatives that a value was not meant as: of text or an object, an object is no wrong text."""
    apt = [_place(p) for p in problems if not _is_another_kind(p)]
    for problem in problems:
        place = _place(problem)
        if not _is_another_kind(problem) or not any(f"{other}.".startswith(f"{place}.") for other in apt):
            yield problem


def _is_another_kind(problem: ErrorDetails) -> bool:
    return _is_alternative(problem["loc"][-1:]) and problem["type"].endswith(("_type", "_parsing"))


def _is_alternative(part: Any) -> bool:
    return bool(part) and isinstance(part[0], str) and _ALTERNATIVE.fullmatch(part[0]) is not None


def _place(problem: ErrorDetails) -> str:
    return ".".join(_name(part) for part in problem["loc"][:_DEEPEST] if not _is_alternative((part,))) or "body"


def _name(part: str | int) -> str:
    """A field's name: one that the caller made up may be of any length, and have anything in it."""
    return "".join(each if each.isprintable() else "?" for each in str(part)[:_LONGEST_NAME])
