"""What can go wrong with a backup or a restore."""

from __future__ import annotations

from crypto_mcp.errors import CryptoMcpError


class BackupFailed(CryptoMcpError):
    """A backup could not be made or kept; the one before is untouched."""

    code = "backup_failed"
    retryable = True


class RestoreRefused(CryptoMcpError):
    """A restore would destroy something, or has nothing sound to restore; nothing was changed."""

    code = "restore_refused"


class RestoreFailed(CryptoMcpError):
    """A restore stopped half-way; what it wrote is not to be used."""

    code = "restore_failed"
