"""Bytes as text that stands in an address: base64url without padding. RFC 4648, section 5; RFC 7515, appendix C."""

from __future__ import annotations

import base64


def encode(raw: bytes) -> str:
    """Of letters, digits, `-` and `_`."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
