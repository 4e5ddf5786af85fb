"""Ports of this machine."""

from __future__ import annotations

import errno
import socket

from crypto_mcp.local.errors import PortTaken

LOOPBACK = "127.0.0.1"


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


def require_free(port: int, setting: str, user: str, host: str = LOOPBACK) -> None:
    """Raises `PortTaken`, naming the port and the setting that moves it."""
    if not is_free(port, host):
        raise PortTaken(
            f"port {port}, wanted for {user}, is taken by another program",
            hint=f"End that program, or set {setting} to another port.",
        )
