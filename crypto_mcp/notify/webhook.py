"""Signed webhooks to addresses that strangers name.

Signed as https://www.standardwebhooks.com has it (v1: HMAC-SHA256 over `id.timestamp.body`), so that receivers can
check with its libraries, and know a repeated event by its `webhook-id`. A URL must not become a way into the operator's
own network (SSRF): its host is resolved here, every address it has must be public or allowed, and the connection goes
to the address that was looked at, whatever the name resolves to a moment later. Redirects are not followed.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import socket
import ssl
import time
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

import httpx2
import orjson

from crypto_mcp.errors import InvalidRequest
from crypto_mcp.notify.sending import Meaning, SendFailed, Sent
from crypto_mcp.retry_after import asked_pause

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from ipaddress import IPv4Network, IPv6Network
    from pathlib import Path
    from typing import Any

    from crypto_mcp.notify.sending import Message, Target
    from crypto_mcp.settings import NotifySettings

    Network = IPv4Network | IPv6Network

Address = IPv4Address | IPv6Address

_NAT64 = 0x0064FF9B << 96
_RETRIED = frozenset({408, 409, 425, 429})
_PREFIX = "whsec_"


class ForbiddenAddress(InvalidRequest):
    """A webhook must not go there."""

    code = "forbidden_address"


@dataclass(frozen=True, slots=True)
class Checked:
    """A URL that may be called, with the addresses that it may be called at."""

    parts: SplitResult
    host: str
    port: int
    addresses: tuple[Address, ...]

    @property
    def pinned(self) -> list[str]:
        """The URL with each of the addresses in the place of the name."""
        hosts = [f"[{each}]" if each.version == 6 else str(each) for each in self.addresses]
        return [self.parts._replace(netloc=f"{host}:{self.port}", fragment="").geturl() for host in hosts]

    @property
    def named(self) -> str:
        """The Host header."""
        usual = {"https": 443, "http": 80}[self.parts.scheme]
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == usual else f"{host}:{self.port}"


async def check_url(url: str, allowed: Sequence[Network] = ()) -> Checked:
    """A URL whose host resolves to public addresses, or to those of `allowed` networks, only.

    `http` goes to allowed networks only: nothing crosses a foreign network in the clear. Raises `ForbiddenAddress`.
    """
    parts = _parsed(url)
    host, port = parts.hostname or "", parts.port or {"https": 443, "http": 80}[parts.scheme]
    addresses = await _resolved(host, port)
    for address in addresses:
        private = any(address in network for network in allowed if network.version == address.version)
        if not private and not _public(address):
            raise ForbiddenAddress(
                f"url: {host[:100]} is an address of a private or reserved network",
                hint="The operator allows networks by CRYPTO_MCP_NOTIFY__WEBHOOK_NETWORKS.",
            )
        if not private and parts.scheme == "http":
            raise ForbiddenAddress("url: http is not encrypted", hint="Use https.")
    return Checked(parts, host, port, tuple(dict.fromkeys(addresses)))


def signature(secret: str, event_id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` header."""
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    digest = hmac.new(key, f"{event_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def new_secret(random: bytes) -> str:
    """A secret as the standard writes them."""
    return _PREFIX + base64.b64encode(random).decode()


class Webhooks:
    """Posts events. `name` is how logs call it."""

    name = "webhook"

    def __init__(self, settings: NotifySettings) -> None:
        self._allowed = settings.webhook_networks
        # No kept connections: two names behind one address would share one, and with it the check of a certificate.
        self._client = httpx2.AsyncClient(
            timeout=settings.timeout, follow_redirects=False, trust_env=False, verify=_trusted(settings.webhook_ca),
            limits=httpx2.Limits(max_connections=100, max_keepalive_connections=0),
        )  # fmt: skip
        self._timeout = settings.timeout

    async def send(self, target: Target, message: Message) -> Sent:
        """See `Sender`."""
        await self.post(target.address, target.secret, str(message.data["notification_id"]), {
            "type": "notification", "timestamp": message.at.isoformat(), "data": message.data,
        })  # fmt: skip
        return Sent(message.message_id, delivered=True)

    async def post(self, url: str, secret: str, event_id: str, event: Mapping[str, Any]) -> int:
        """Posts an event as JSON; the status of the answer, which is 2xx.

        Raises `SendFailed`: RETRY where the same may succeed later, FINAL where it will not.
        """
        try:
            checked = await check_url(url, self._allowed)
        except ForbiddenAddress as error:
            retried = isinstance(error, Unresolved)
            raise SendFailed(Meaning.RETRY if retried else Meaning.FINAL, error.code, error.message) from None
        body, timestamp = orjson.dumps(event), int(time.time())
        headers = {
            "Host": checked.named,
            "Content-Type": "application/json",
            "User-Agent": "crypto-mcp",
            "webhook-id": event_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(secret, event_id, timestamp, body),
        }
        status, retry_after = await self._posted(checked, body, headers)
        if 200 <= status < 300:
            return status
        meaning = Meaning.RETRY if status in _RETRIED or status >= 500 else Meaning.FINAL
        raise SendFailed(meaning, f"http_{status}", f"the webhook answered {status}", retry_after=retry_after)

    async def close(self) -> None:
        """See `Sender`."""
        await self._client.aclose()

    async def _posted(self, checked: Checked, body: bytes, headers: Mapping[str, str]) -> tuple[int, float | None]:
        """Status of the answer and how long to wait; all together within the timeout, however slowly it trickles."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._by_turns(checked, body, headers)
        except (httpx2.RequestError, TimeoutError) as error:
            why = f"the webhook does not answer ({type(error).__name__})"
            raise SendFailed(Meaning.RETRY, "no_answer", why) from None

    async def _by_turns(self, checked: Checked, body: bytes, headers: Mapping[str, str]) -> tuple[int, float | None]:
        """At the first address, or the next where nobody listens at that one."""
        names = {"sni_hostname": checked.host}
        for left, url in enumerate(checked.pinned, 1 - len(checked.addresses)):
            request = self._client.build_request("POST", url, content=body, headers=headers, extensions=names)
            try:
                return await self._status(request)
            except httpx2.ConnectError:
                if not left:
                    raise
        raise AssertionError("unreachable")

    async def _status(self, request: httpx2.Request) -> tuple[int, float | None]:
        """Of the answer, whose body nobody reads: it may be endless."""
        response = await self._client.send(request, stream=True)
        try:
            return response.status_code, asked_pause(response.headers.get("retry-after"))
        finally:
            await response.aclose()


class Unresolved(ForbiddenAddress):
    """The host has no address, now."""

    code = "unresolved_host"


def _trusted(own: Path | None) -> ssl.SSLContext:
    """The usual certificate authorities, and the operator's own."""
    context = ssl.create_default_context()
    if own is not None:
        context.load_verify_locations(own)
    return context


def _parsed(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        parts, port, host = urlsplit(""), None, None
    if parts.scheme not in ("https", "http") or not host or len(url) > 2000 or any(c.isspace() for c in url):
        raise ForbiddenAddress("url: is no URL of a web server", hint="Such as https://example.com/hook.")
    if parts.username is not None or parts.password is not None:
        raise ForbiddenAddress("url: must carry no user name or password", hint="The signature says who calls.")
    if port is not None and port < 1024 and port not in (80, 443):
        raise ForbiddenAddress(f"url: port {port} is no web server's", hint="Use 443, or one from 1024 on.")
    return parts


async def _resolved(host: str, port: int) -> list[Address]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unresolved(f"url: {host[:100]} has no address", hint="Check the name.") from None
    return [ip_address(str(sockaddr[0]).partition("%")[0]) for *_, sockaddr in found]


def _public(address: Address) -> bool:
    """Whether everybody may reach it, also where it is an IPv4 address in another dress."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is None and int(address) >> 32 == _NAT64 >> 32:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return _public(inner)
    return address.is_global and not address.is_multicast and not address.is_reserved
