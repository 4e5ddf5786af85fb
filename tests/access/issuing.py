"""An identity provider on this machine: discovery, a key set, tokens; and every way of not being one."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jwt
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from starlette.applications import Starlette
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from crypto_mcp.settings import OAuthSettings
from tests.servers import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

RESOURCE = "http://127.0.0.1:8080/mcp"

_RSA = [rsa.generate_private_key(65537, 2048) for _ in range(2)]
_KEYS: dict[str, Any] = {
    "RS256": _RSA[0],
    "PS256": _RSA[0],
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


@dataclass
class Issuer:
    """What the provider says at the moment; a test changes it as it goes.

    Attributes:
        keys: the key set; members may be anything.
        asked: paths that were asked for.
        fails: answers 503 to everything.
        changes: over the discovery document.
        openid: has an OpenID document, and not only that of RFC 8414.
        redirects: sends whoever asks elsewhere.
    """

    url: str
    keys: list[Any] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    fails: bool = False
    changes: dict[str, Any] = field(default_factory=dict)
    openid: bool = True
    redirects: bool = False

    def publish(self, kid: str, algorithm: str = "RS256", *, private: Any = None, **more: Any) -> Any:
        """Puts a key into the set; the private one, to sign with."""
        key = private or _KEYS[algorithm]
        writer: Any = {"E": ECAlgorithm, "R": RSAAlgorithm, "P": RSAAlgorithm}[algorithm[0]]
        writer = OKPAlgorithm if algorithm == "EdDSA" else writer
        jwk = json.loads(writer.to_jwk(key.public_key()))
        self.keys.append({"kid": kid, "use": "sig", **jwk, **more})
        return key

    def token(self, kid: str | None = "one", algorithm: str = "RS256", *, key: Any = None, **changes: Any) -> str:
        """A good token but for the changes; a claim that is None is left out. `header` has more for its header."""
        header = changes.pop("header", {})
        now = int(time.time())
        claims = {
            "iss": self.url, "aud": RESOURCE, "sub": "ann", "scope": "openid crypto:read",
            "iat": now, "nbf": now, "exp": now + 300, **changes,
        }  # fmt: skip
        return jwt.encode(
            {name: value for name, value in claims.items() if value is not None},
            key or _KEYS[algorithm],
            algorithm,
            headers={"typ": "at+jwt", **({} if kid is None else {"kid": kid}), **header},
        )

    def settings(self, **changes: Any) -> OAuthSettings:
        """Settings of a front end that trusts this provider."""
        return OAuthSettings.model_validate({"issuer": self.url, "resource": RESOURCE, "timeout": 2, **changes})


def another_rsa_key() -> Any:
    """One that signs as well and is not the first."""
    return _RSA[1]


@asynccontextmanager
async def issuing() -> AsyncIterator[Issuer]:
    """The provider, listening, with one RSA key called `one`."""
    port = free_port()
    issuer = Issuer(f"http://127.0.0.1:{port}/realms/trading")

    async def answer(request: Request) -> Response:
        path = request.url.path
        issuer.asked.append(path)
        document = {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys", **issuer.changes}
        if issuer.fails:
            return Response(status_code=503)
        if issuer.redirects:
            return RedirectResponse("http://127.0.0.1:1/")
        if path == "/realms/trading/keys":
            return JSONResponse({"keys": issuer.keys})
        if path == "/realms/trading/.well-known/openid-configuration" and issuer.openid:
            return JSONResponse(document)
        if path == "/.well-known/oauth-authorization-server/realms/trading" and not issuer.openid:
            return JSONResponse(document)
        return Response(status_code=404)

    app = Starlette(routes=[Route("/{path:path}", answer)])
    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", port, log_config=None, lifespan="off", ws="none"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    issuer.publish("one")
    try:
        yield issuer
    finally:
        server.should_exit = True
        await serving
