"""How both clients reach a front end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx2

import crypto_mcp
from crypto_mcp.client.exchange import Call, Retrying
from crypto_mcp.client.operations import Operations
from crypto_mcp.client.signed import Signing
from crypto_mcp.trust import trust

if TYPE_CHECKING:
    import ssl

DEFAULT_URL = "http://127.0.0.1:8080"


class Connection:
    """Addresses, keys and times of a client.

    Attributes:
        options: of the httpx2 client.
        operations: what can be asked.
    """

    def __init__(
        self,
        url: str,
        key: str | None,
        signing_secret: str | None,
        *,
        timeout: float,
        retries: int,
        longest_pause: float,
        verify: ssl.SSLContext | bool,
    ) -> None:
        headers = {"User-Agent": f"crypto-mcp/{crypto_mcp.__version__}"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        self.options: dict[str, Any] = {
            "base_url": url,
            "headers": headers,
            "verify": trust(url) if verify is True else verify,
        }
        self.operations = Operations(url, Retrying(retries, longest_pause))
        self._signing = None if signing_secret is None else Signing(key, signing_secret)
        self._timeout = timeout

    def request(self, http: httpx2.Client | httpx2.AsyncClient, call: Call) -> httpx2.Request:
        """A call as a request; what the front end takes on purpose comes on top of the timeout."""
        content = {} if call.body is None else {"Content-Type": "application/json"}
        return http.build_request(
            call.method,
            call.path,
            params={name: value for name, value in call.query.items() if value is not None} or None,
            content=call.body,
            headers={**content, **call.headers},
            timeout=httpx2.Timeout(self._timeout, read=self._timeout + call.patience),
        )

    def auth(self, call: Call) -> Signing | None:
        """What signs a call that is to be signed."""
        return self._signing if call.signed else None
