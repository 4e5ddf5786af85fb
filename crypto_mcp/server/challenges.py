"""What an OAuth client reads to find its way in: protected-resource metadata (RFC 9728) and `WWW-Authenticate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.responses import JSONResponse
from starlette.routing import Route

from crypto_mcp.access.identity import InsufficientScope
from crypto_mcp.access.roles import allows
from crypto_mcp.access.tokens import InvalidToken, granted_by
from crypto_mcp.errors import Unauthorized

if TYPE_CHECKING:
    from starlette.requests import Request

    from crypto_mcp.errors import CryptoMcpError
    from crypto_mcp.settings import OAuthSettings

WELL_KNOWN = "/.well-known/oauth-protected-resource"


class Challenges:
    """Of a front end that takes access tokens. `settings.issuer` and `.resource` are set."""

    def __init__(self, settings: OAuthSettings) -> None:
        assert settings.issuer is not None
        assert settings.resource is not None
        self._table = granted_by(settings)
        parts = urlsplit(settings.resource)
        self._path = "" if parts.path == "/" else parts.path
        self._metadata_url = parts._replace(path=WELL_KNOWN + self._path).geturl()
        self._metadata: dict[str, Any] = {
            "resource": settings.resource,
            "authorization_servers": [settings.issuer],
            "scopes_supported": sorted(self._table),
            "bearer_methods_supported": ["header"],
            "resource_name": "Crypto MCP",
        }

    def routes(self) -> list[Route]:
        """The metadata, at the resource's own well-known address and at the root's. Pages of any site may read it."""
        paths = dict.fromkeys((WELL_KNOWN + self._path, WELL_KNOWN))
        return [Route(path, self._answer, methods=["GET"], include_in_schema=False) for path in paths]

    async def _answer(self, _: Request) -> JSONResponse:
        return JSONResponse(
            self._metadata, headers={"Access-Control-Allow-Origin": "*", "Cache-Control": "public, max-age=300"}
        )

    def of(self, error: CryptoMcpError) -> str | None:
        """`WWW-Authenticate` of the answer to an error (RFC 6750, section 3); None where there is none."""
        said = {"realm": "crypto-mcp"}
        match error:
            case InvalidToken():
                said |= {"error": "invalid_token", "error_description": error.message}
                scopes = sorted(self._table)
            case Unauthorized():
                scopes = sorted(self._table)
            case InsufficientScope(by="token"):
                said |= {"error": "insufficient_scope", "error_description": error.message}
                scopes = [
                    value for value, has in sorted(self._table.items()) if not error.scope or allows(has, error.scope)
                ]
            case _:
                return None
        if scopes:
            said["scope"] = " ".join(scopes)
        said["resource_metadata"] = self._metadata_url
        return "Bearer " + ", ".join(f'{name}="{_quotable(value)}"' for name, value in said.items())


def _quotable(text: str) -> str:
    """Without what would end a quoted string or a header."""
    return "".join(each for each in text if " " <= each <= "~" and each not in '"\\')
