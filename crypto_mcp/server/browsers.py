"""What a page of another site, open in this machine's browser, must not do with the rights of the local user.

Whoever calls from this machine needs no key, and a browser calls from this machine for any page it shows. A page gets
no answer to read (there is no CORS), yet two ways are left: a name of its own that resolves to 127.0.0.1 a moment later
(DNS rebinding), seen by the `Host`; and requests that change something and that a browser sends without asking
first, seen by `Origin` and `Sec-Fetch-Site`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crypto_mcp.errors import Forbidden

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_HOSTS, _ORIGINS = "CRYPTO_MCP_SERVER__ALLOWED_HOSTS", "CRYPTO_MCP_SERVER__ALLOWED_ORIGINS"


def refuse_other_sites(headers: Iterable[tuple[bytes, bytes]], hosts: Sequence[str], origins: Sequence[str]) -> None:
    """`Forbidden` where a page of another site asks. `host:*` among the allowed ones stands for any port, or none."""
    named: dict[bytes, list[str]] = {}
    for name, value in headers:
        named.setdefault(name, []).append(value.decode("latin-1"))
    host = named.get(b"host", [])
    if len(host) != 1 or not _among(host[0], hosts):
        raise Forbidden("this is not the name of this machine's front end", hint=f"{_HOSTS} lists its names.")
    if any(not _among(origin, origins) for origin in named.get(b"origin", [])):
        raise Forbidden("pages of this origin may not call without a key", hint=f"{_ORIGINS} lists those that may.")
    followed_a_link = named.get(b"sec-fetch-mode") == ["navigate"]
    if "cross-site" in named.get(b"sec-fetch-site", []) and not followed_a_link:
        raise Forbidden("a page of another site may not call without a key", hint="Open the address itself.")


def _among(value: str, allowed: Iterable[str]) -> bool:
    for one in allowed:
        if value == one:
            return True
        if one.endswith(":*"):
            name, port = value[: len(one) - 2], value[len(one) - 2 :]
            if name == one[:-2] and (not port or (port[0] == ":" and port[1:].isdigit())):
                return True
    return False
