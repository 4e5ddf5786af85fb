"""Telephone numbers: E.164, checked, and never shown whole."""

from __future__ import annotations

import phonenumbers

from crypto_mcp.errors import InvalidRequest


class InvalidNumber(InvalidRequest):
    """No telephone number that can exist."""

    code = "invalid_number"


def e164(text: str) -> str:
    """A number as E.164, such as +12025550123. `InvalidNumber` never repeats what was given."""
    try:
        number = phonenumbers.parse(text[:40], None)
    except phonenumbers.NumberParseException as error:
        raise InvalidNumber(f"number: {_why(error)}", hint=_HINT) from None
    if not phonenumbers.is_valid_number(number):
        raise InvalidNumber(f"number: no such number exists in +{number.country_code}", hint=_HINT)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def masked(number: str) -> str:
    """A number of which only the country and the last two digits are left: +1XXXXXXXX23."""
    try:
        country = str(phonenumbers.parse(number, None).country_code)
    except phonenumbers.NumberParseException:
        country = ""
    hidden = max(0, len(number) - 1 - len(country) - 2)
    return f"+{country}{'X' * hidden}{number[-2:]}"


_HINT = "Give it with plus sign and country code, such as +12025550123."


def _why(error: phonenumbers.NumberParseException) -> str:
    if error.error_type == phonenumbers.NumberParseException.INVALID_COUNTRY_CODE:
        return "it has no country code that exists"
    return "it is no telephone number"
