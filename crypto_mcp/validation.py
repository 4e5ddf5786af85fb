"""A validation error in one sentence, for people and models."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

_SHOWN = 5


def explain(error: ValidationError) -> str:
    """Each wrong field with what is wrong about it; values are not repeated, they may be private."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    said = [f"{'.'.join(str(part) for part in p['loc']) or 'body'}: {p['msg']}" for p in problems[:_SHOWN]]
    if len(problems) > _SHOWN:
        said.append(f"and {len(problems) - _SHOWN} more")
    return "; ".join(said)
