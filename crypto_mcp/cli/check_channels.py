"""What `crypto-mcp doctor` says of the ways to tell people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2

from crypto_mcp.cli.findings import Finding, Level

if TYPE_CHECKING:
    from crypto_mcp.settings import NotifySettings

_SUBJECT = "Notifications"
_PREFIX = "CRYPTO_MCP_NOTIFY__"


async def channels(settings: NotifySettings) -> list[Finding]:
    """Whether numbers can be kept, who carries WhatsApp messages, and whether what became of them would be known."""
    found = []
    if settings.encryption_key is None:
        found.append(
            Finding(
                Level.WARNING,
                _SUBJECT,
                "no key to encrypt numbers with: only the console can be used",
                f"Set {_PREFIX}ENCRYPTION_KEY; `openssl rand -hex 32` makes one.",
            )
        )
    if settings.meta_token is not None and settings.meta_phone_id is not None:
        return found + _meta(settings)
    if settings.waha_url is not None:
        return found + await _waha(settings)
    return [*found, Finding(Level.FINE, _SUBJECT, "WhatsApp is not set up; webhooks and the console are there")]


def _meta(settings: NotifySettings) -> list[Finding]:
    if settings.meta_app_secret is None:
        return [
            Finding(
                Level.WARNING,
                _SUBJECT,
                "WhatsApp by Meta, without the app's secret: what becomes of messages is not known, STOP is not heard",
                f"Set {_PREFIX}META_APP_SECRET and the webhook; docs/notifications.md says how.",
            )
        ]
    whose = "the sandbox, nobody is reached" if settings.sandboxed else f"number {settings.meta_phone_id}"
    return [Finding(Level.FINE, _SUBJECT, f"WhatsApp by Meta: {whose}")]


async def _waha(settings: NotifySettings) -> list[Finding]:
    key = settings.waha_key.get_secret_value() if settings.waha_key is not None else ""
    path = f"{str(settings.waha_url).rstrip('/')}/api/sessions/{settings.waha_session}"
    try:
        async with httpx2.AsyncClient(timeout=settings.timeout, headers={"X-Api-Key": key}) as client:
            answer = await client.get(path)
        told = answer.json() if answer.is_success else {}
        status = str(told.get("status", f"HTTP {answer.status_code}"))
    except (httpx2.RequestError, ValueError) as error:
        status = type(error).__name__
    if status == "WORKING":
        return [Finding(Level.FINE, _SUBJECT, "WhatsApp by WAHA: the session works")]
    hint = "Look at the WAHA server; its session must be WORKING, and CRYPTO_MCP_NOTIFY__WAHA_KEY its key."
    return [Finding(Level.WRONG, _SUBJECT, f"WhatsApp by WAHA: {status}", hint)]
