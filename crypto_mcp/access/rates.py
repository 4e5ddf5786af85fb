"""How much an address and a client may ask for: a sliding window of a minute, shared by all front ends (Redis db 1)."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from crypto_mcp.errors import TooManyRequests
from crypto_mcp.stores.cache import Outage

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from crypto_mcp.access.identity import Identity
    from crypto_mcp.settings import AccessSettings

_WINDOW = 60
_SCRIPT = files("crypto_mcp.access").joinpath("rates.lua").read_text()


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left.

    Attributes:
        policy: `address` or `client`, whichever has less left.
        quota: units in a minute.
        left: of them.
    """

    policy: str
    quota: int
    left: int

    def headers(self) -> dict[str, str]:
        """As draft-ietf-httpapi-ratelimit-headers has them."""
        return {
            "RateLimit-Policy": f'"{self.policy}";q={self.quota};w={_WINDOW}',
            "RateLimit": f'"{self.policy}";r={self.left};t={_WINDOW}',
        }


class RateLimits:
    """Counts in Redis. While Redis is away nothing is refused: the queue will say that it is."""

    def __init__(self, redis: Redis, settings: AccessSettings) -> None:
        self._run = redis.register_script(_SCRIPT)
        self._settings = settings
        self._outage = Outage("Redis for rate limits")

    async def charge(self, identity: Identity | None, address: str | None, cost: int = 1) -> Allowance | None:
        """Charges an address, a client, or both. None where nothing is limited.

        Raises:
            TooManyRequests: it does not fit into the minute; `retry_after` says when it does.
        """
        counters = self._counters(identity, address)
        if not counters or self._outage.lasts:
            return None
        try:
            charged, tightest, left, wait = await self._run(
                keys=[key for _, key, _ in counters], args=[cost, *(limit for _, _, limit in counters)]
            )
        except (RedisError, OSError) as error:
            self._outage.begin(error)
            return None
        self._outage.end()
        policy, _, quota = counters[tightest - 1]
        if not charged:
            whose = "this address" if policy == "address" else "this key"
            raise TooManyRequests(
                f"{whose} may use {quota} units a minute, and this needs {cost} where {left} are left",
                hint=f"Come back in {wait} s.",
                retry_after=wait,
            )
        return Allowance(policy, quota, left)

    def _counters(self, identity: Identity | None, address: str | None) -> list[tuple[str, str, int]]:
        found = []
        if address is not None and self._settings.address_limit:
            found.append(("address", f"rate_limit:{address}", self._settings.address_limit))
        if identity is not None and not identity.local and self._settings.client_limit:
            found.append(("client", f"rate_limit:client:{identity.client}", self._settings.client_limit))
        return found
