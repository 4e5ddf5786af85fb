"""Amounts of money and of coins: exact decimals, written as plain strings wherever they travel or are kept."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

LARGEST = Decimal(10) ** 15
"""No holding, price or account is larger; what is, is a typing mistake."""

DECIMAL_PLACES = 18


def plain(value: Decimal) -> str:
    """Without exponent and without trailing zeros: `0.1`, `1000`, `0`."""
    text = format(value, "f")
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text


def _exact(value: Any) -> Any:
    """A JSON number as it was written: 0.1 is a tenth, not the double nearest to it."""
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")  # noqa: TRY004 - pydantic tells of ValueErrors only
    return repr(value) if isinstance(value, float) else value


_SCHEMA = WithJsonSchema({"type": "string", "format": "decimal"})
_TEXT = PlainSerializer(plain, return_type=str)
_READ = BeforeValidator(_exact)

Amount = Annotated[Decimal, _READ, _TEXT, Field(gt=-LARGEST, lt=LARGEST, decimal_places=DECIMAL_PLACES), _SCHEMA]
"""Of either sign."""

Positive = Annotated[Decimal, _READ, _TEXT, Field(gt=0, lt=LARGEST, decimal_places=DECIMAL_PLACES), _SCHEMA]
"""A price or a quantity."""

NotNegative = Annotated[Decimal, _READ, _TEXT, Field(ge=0, lt=LARGEST, decimal_places=DECIMAL_PLACES), _SCHEMA]
"""A fee."""

Exact = Annotated[Decimal, _TEXT]
"""A calculated amount in a result: exact, with as many digits as the calculation gave."""
