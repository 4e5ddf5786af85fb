"""Roles and the scopes they carry.

A scope is `area:verb`: the area a job kind names (`analysis`, `portfolio`, `alerts`, ...), and `read` or `write`. `*`
stands for every area. What is no job kind has scopes of its own: `jobs:all` (jobs of other clients), `dead:read`,
`dead:write`, `keys:write`, `audit:read`, `users:write`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Role(StrEnum):
    """What a client is here for. Each may do what the one before may, and more."""

    READER = "reader"
    TRADER = "trader"
    OPERATOR = "operator"
    ADMIN = "admin"


_MARKET = frozenset({"analysis:read", "scan:read", "opportunities:read", "risk:read", "backtest:read", "market:read"})
_OWN = frozenset({"portfolio:read", "portfolio:write", "alerts:read", "alerts:write", "backtest:write"})
_CARE = frozenset({"jobs:all", "dead:read", "dead:write", "metrics:read"})

SCOPES: dict[Role, frozenset[str]] = {
    Role.READER: _MARKET,
    Role.TRADER: _MARKET | _OWN,
    Role.OPERATOR: _MARKET | _OWN | _CARE,
    Role.ADMIN: frozenset({"*:read", "*:write", "*:all"}),
}


def allows(granted: Iterable[str], needed: str) -> bool:
    """Whether scopes that were granted include the one that is needed."""
    _, _, verb = needed.partition(":")
    return any(scope in (needed, f"*:{verb}") for scope in granted)


def known_scopes() -> frozenset[str]:
    """Every scope that can be granted."""
    return frozenset().union(*SCOPES.values(), {"keys:write", "audit:read", "users:write"})
