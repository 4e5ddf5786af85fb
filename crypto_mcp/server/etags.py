"""Answers that need not be sent again: `ETag`, `If-None-Match`, 304 (RFC 9110)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

JSON = "application/json"

NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "As the caller has it already."}}


def tagged(request: Request, body: bytes, headers: Mapping[str, str] | None = None, media_type: str = JSON) -> Response:
    """200 with the body and its tag, or 304 if the caller names that tag."""
    tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    known = request.headers.get("if-none-match", "")
    stamped = {"ETag": tag, **(headers or {})}
    if known.strip() == "*" or tag in {each.strip().removeprefix("W/") for each in known.split(",")}:
        return Response(None, 304, stamped)
    return Response(body, 200, stamped, media_type)
