"""All that is kept of a user, as lines of JSON: for reading, and for taking elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from crypto_mcp.userdata.holdings import Holding


async def exported(holdings: Sequence[Holding], user: str) -> AsyncIterator[bytes]:
    """One line for each thing, with the store and the place in it; the last line counts them."""
    counts: dict[str, int] = {}
    for holding in holdings:
        async for place, thing in holding.read(user):
            where = f"{holding.name}/{place}"
            counts[where] = counts.get(where, 0) + 1
            yield _line({"store": holding.name, "place": place, "data": thing})
    yield _line({"user": user, "counts": counts})


def _line(thing: Any) -> bytes:
    return orjson.dumps(thing, default=str, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z) + b"\n"
