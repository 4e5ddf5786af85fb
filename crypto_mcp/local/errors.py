"""What can go wrong while something is started on this machine.

CryptoMcpError
  LocalError
    ServerNotFound      the program is neither installed nor in a wheel
    MissingLibrary      the program lacks a shared library
    PortTaken           something else listens on the port
    AlreadyRunning      another stack uses the same data
    StartFailed         the program ended, or was not ready in time
"""

from __future__ import annotations

from crypto_mcp.errors import CryptoMcpError


class LocalError(CryptoMcpError):
    """Something on this machine keeps the product from starting."""

    code = "local_error"


class ServerNotFound(LocalError):
    """The program is neither installed nor in a wheel."""

    code = "server_not_found"


class MissingLibrary(LocalError):
    """The program lacks a shared library."""

    code = "missing_library"


class PortTaken(LocalError):
    """Something else listens on the port."""

    code = "port_taken"


class AlreadyRunning(LocalError):
    """Another stack uses the same data."""

    code = "already_running"


class StartFailed(LocalError):
    """The program ended, or was not ready in time."""

    code = "start_failed"
