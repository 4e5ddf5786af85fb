"""What a MongoDB that does not answer means to callers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crypto_mcp.errors import StoreUnavailable

if TYPE_CHECKING:
    from pymongo.errors import PyMongoError


def unavailable(error: PyMongoError) -> StoreUnavailable:
    """The error for callers; retryable."""
    return StoreUnavailable(
        f"MongoDB does not answer ({type(error).__name__})",
        hint="The job is repeated by itself; `crypto-mcp doctor` says what is wrong.",
        retry_after=2,
    )
