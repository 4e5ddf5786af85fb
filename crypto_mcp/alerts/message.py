"""What a firing says: the owner's template, or the usual words."""

from __future__ import annotations

import re
from collections.abc import Mapping

from crypto_mcp.errors import InvalidRequest

FIELDS = ("symbol", "price", "condition", "time", "name", "timeframe", "value", "late_by", "firing")

_FIELD = re.compile(r"\{([^{}]*)\}")
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


class BadTemplate(InvalidRequest):
    """A message template names what there is not."""

    code = "bad_template"


def checked(template: str) -> str:
    """The template without invisible characters. BadTemplate, with the place, for a field that there is not.

    A field is a plain name in braces: nothing is looked up, called or formatted.
    """
    text = _UNSEEN.sub("", template).strip()
    for found in _FIELD.finditer(text):
        if found[1] not in FIELDS:
            raise BadTemplate(
                f"message: column {found.start() + 1}: there is no field {{{found[1][:40]}}}",
                hint=f"Fields: {', '.join(FIELDS)}.",
            )
    stray = re.search(r"[{}]", _FIELD.sub(lambda inside: " " * len(inside[0]), text))
    if stray:
        raise BadTemplate(
            f"message: column {stray.start() + 1}: a brace without its other half",
            hint="Write a field as {price}; braces have no other use.",
        )
    return text


def filled(template: str, values: Mapping[str, str]) -> str:
    """The text. What is put in is not looked at for fields again; a field without a value is left out."""
    return _FIELD.sub(lambda found: values.get(found[1], ""), template)


def duration(seconds: float) -> str:
    """For people: `45 s`, `12 min`, `3 h 20 min`."""
    whole = round(seconds)
    if whole < 90:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"
