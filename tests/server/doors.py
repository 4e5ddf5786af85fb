"""Clients with keys, before a front end that lets nobody in without one."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from crypto_mcp.access.roles import Role
from tests.canaries import PEPPER

if TYPE_CHECKING:
    from crypto_mcp.access.directory import Directory

__all__ = ["PEPPER", "with_key"]


async def with_key(directory: Directory, role: Role = Role.ADMIN, **more: Any) -> tuple[str, dict[str, str]]:
    """A new client's name and the headers it comes with."""
    name = f"c{secrets.token_hex(4)}"
    key = await directory.create(name, role, actor="test", **more)
    return name, {"Authorization": f"Bearer {key.text}"}
