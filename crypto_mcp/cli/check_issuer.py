"""What `crypto-mcp doctor` says of the issuer of access tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2

from crypto_mcp.cli.findings import Finding, Level
from crypto_mcp.errors import CryptoMcpError

if TYPE_CHECKING:
    from crypto_mcp.settings import OAuthSettings

_SUBJECT = "Access tokens"


async def issuer(settings: OAuthSettings) -> list[Finding]:
    """Whether its keys can be had; nothing where no issuer is set."""
    if settings.issuer is None:
        return []
    from crypto_mcp.access.issuer import IssuerKeys
    from crypto_mcp.access.tokens import granted_by

    async with httpx2.AsyncClient() as http:
        keys = IssuerKeys(settings, http)
        try:
            granted_by(settings)
            count = await keys.count()
        except CryptoMcpError as error:
            why = keys.trouble or error.message
            return [
                Finding(Level.WRONG, _SUBJECT, f"{settings.issuer}: {why}", "CRYPTO_MCP_OAUTH__* say what is used.")
            ]
    level = Level.FINE if count else Level.WRONG
    return [Finding(level, _SUBJECT, f"{settings.issuer}: {count} keys", "" if count else "It has none that signs.")]
