"""The door: who asks, from where, and how much. Stands before everything but what anybody may see."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

from crypto_mcp.access.chart_links import PATH as LINKED_CHART
from crypto_mcp.access.identity import LOCAL_USER, STRANGER, Identity, acting_as
from crypto_mcp.access.keys import ApiKey
from crypto_mcp.errors import Forbidden, Unauthorized
from crypto_mcp.server.browsers import refuse_other_sites

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from crypto_mcp.access.rates import Allowance
    from crypto_mcp.server.challenges import Challenges
    from crypto_mcp.server.front import Front
    from crypto_mcp.settings import Settings

Address = IPv4Address | IPv6Address

_OPEN = frozenset({"/", "/health", "/docs", "/openapi.json", "/docs/oauth2-redirect"})
_OPEN_BELOW = ("/static-offline-docs/", "/v1/webhooks/", "/.well-known/")
_FORWARDED = (b"x-forwarded-for", b"forwarded", b"x-real-ip")
_WARNED_BEFORE = timedelta(days=14)
_NO_KEY = "Send a key as `Authorization: Bearer ...` or `X-API-Key: ...`; `crypto-mcp keys create` makes one."


class Gate:
    """ASGI middleware. Errors it raises are answered by `RequestBounds` outside of it."""

    def __init__(self, app: ASGIApp, settings: Settings, challenges: Challenges | None) -> None:
        self._app = app
        self._access = settings.access
        self._server = settings.server
        self._challenges = challenges
        self._on_loopback = _loopback(_parsed(settings.server.host)) or settings.server.host == "localhost"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["state"]["challenges"] = self._challenges
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        address = self._address(scope, headers)
        if self._access.allowed_networks and not _inside(address, self._access.allowed_networks):
            raise Forbidden("calls from this address are not accepted", hint="The operator's allow-list has networks.")
        if scope["path"] in _OPEN or scope["path"].startswith(_OPEN_BELOW):
            await self._app(scope, receive, send)
            return
        front: Front = scope["state"]["front"]
        if scope["path"] == LINKED_CHART:  # whose link it is, and that it is one, is found out behind
            await front.callers.rates.charge(None, str(address) if address else None)
            with acting_as(STRANGER):
                await self._app(scope, receive, send)
            return
        identity = await self._identity(front, scope, headers, address)
        allowance = None
        if not identity.local:
            # Over MCP the client's own limit is told by the tool, where a model can read when to come back.
            charged = None if _is_mcp(scope) else identity
            allowance = await front.callers.rates.charge(charged, str(address) if address else None)
        with acting_as(identity):
            await self._app(scope, receive, _stamped(send, identity, allowance))

    async def _identity(
        self, front: Front, scope: Scope, headers: list[tuple[bytes, bytes]], address: Address | None
    ) -> Identity:
        given = _given(headers)
        if given is None:
            if self._is_local(scope, headers):
                if not _is_mcp(scope):  # which looks at them itself, and answers in its own way
                    refuse_other_sites(headers, self._server.allowed_hosts, self._server.allowed_origins)
                return LOCAL_USER
            raise Unauthorized("a key is needed", hint=_NO_KEY)
        key = ApiKey.read(given)
        if key is not None and front.keyring is not None:
            return await front.keyring.identify(key, address)
        if key is None and front.tokens is not None and given.count(".") == 2:
            return await front.tokens.identify(given)
        raise Unauthorized("the key is not known", hint=_NO_KEY)

    def _is_local(self, scope: Scope, headers: list[tuple[bytes, bytes]]) -> bool:
        """Called by this machine's user directly: whoever came through a proxy may be anybody."""
        peer = _parsed(scope["client"][0]) if scope.get("client") else None
        proxied = any(name in _FORWARDED for name, _ in headers)
        return self._access.local_without_key and self._on_loopback and _loopback(peer) and not proxied

    def _address(self, scope: Scope, headers: list[tuple[bytes, bytes]]) -> Address | None:
        """Of the caller: the peer's, or what a trusted proxy says; the nearest one that is no such proxy."""
        address = _parsed(scope["client"][0]) if scope.get("client") else None
        told = b",".join(value for name, value in headers if name == b"x-forwarded-for").decode("latin-1")
        for hop in reversed(told.split(",") if told else []):
            if not _inside(address, self._access.trusted_proxies):
                break
            address = _parsed(hop.strip())
        return address


def _is_mcp(scope: Scope) -> bool:
    return scope["path"] in ("/mcp", "/mcp/")


def _given(headers: list[tuple[bytes, bytes]]) -> str | None:
    """The key in the headers. `Unauthorized` where two are named: which of them counts must not be guessed."""
    found = [value for name, value in headers if name == b"x-api-key"]
    for name, value in headers:
        if name == b"authorization":
            kind, _, rest = value.partition(b" ")
            if kind.lower() != b"bearer":
                raise Unauthorized("only bearer keys are accepted", hint=_NO_KEY)
            found.append(rest.strip())
    if len(set(found)) > 1:
        raise Unauthorized("the request names two keys", hint="Send one.")
    return found[0].decode("latin-1") if found else None


def _stamped(send: Send, identity: Identity, allowance: Allowance | None) -> Send:
    """Adds what is left of the limit, and that a key soon ends."""
    extra = list(allowance.headers().items()) if allowance is not None else []
    ends = identity.expires_at if identity.by == "key" else None  # tokens are short-lived, and renewed by themselves
    if ends is not None and ends - datetime.now(UTC) < _WARNED_BEFORE:
        extra.append(("X-API-Key-Expires", ends.isoformat(timespec="seconds")))
    if not extra:
        return send
    stamps = [(name.lower().encode(), value.encode()) for name, value in extra]

    async def stamped(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *stamps]
        await send(message)

    return stamped


def _parsed(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _loopback(address: Address | None) -> bool:
    return address is not None and address.is_loopback


def _inside(address: Address | None, networks: Iterable[object]) -> bool:
    return address is not None and any(address in network for network in networks)  # type: ignore[operator]
