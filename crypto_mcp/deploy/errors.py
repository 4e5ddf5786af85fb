"""Errors of deployments, backups and restores."""

from __future__ import annotations

from crypto_mcp.errors import CryptoMcpError


class DeployError(CryptoMcpError):
    """A deployment cannot go on; the hint says what to do first."""

    code = "deploy_failed"


class NotReadyYet(DeployError):
    """Something did not become ready in time."""

    code = "not_ready"
    retryable = True
