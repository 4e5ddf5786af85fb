"""Ports of this machine."""

from __future__ import annotations

import errno
import socket

from crypto_mcp.local.errors import PortTaken

LOOPBACK = "127.0.0.1"
_WILDCARDS = {"0.0.0.0": LOOPBACK, "::": "::1"}  # noqa: S104 - never bound, only translated # nosec B104


def reachable(host: str) -> str:
    """The address under which this machine reaches a server that listens on `host`."""
    return _WILDCARDS.get(host, host)


def http_url(host: str, port: int) -> str:
    """The URL under which this machine reaches a web server that listens on `host`."""
    name = reachable(host)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at the moment."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((LOOPBACK, 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def require_free(port: int, setting: str, user: str, host: str = LOOPBACK) -> None:
    """Raises `PortTaken`, naming the port and the setting that moves it."""
    if not is_free(port, host):
        raise PortTaken(
            f"port {port}, wanted for {user}, is taken by another program",
            hint=f"End that program, or set {setting} to another port.",
        )
