"""The senders that settings allow, one for each kind of channel."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from crypto_mcp.notify.console import Console

if TYPE_CHECKING:
    from crypto_mcp.notify.channel import Channel
    from crypto_mcp.notify.sending import Sender
    from crypto_mcp.notify.webhook import Webhooks
    from crypto_mcp.settings import NotifySettings


class Senders:
    """Made when first used."""

    def __init__(self, settings: NotifySettings) -> None:
        self._settings = settings
        self._console = Console()

    @cached_property
    def whatsapp(self) -> Sender | None:
        """Meta, or WAHA if that is what is set up; None where neither is."""
        settings = self._settings
        if settings.meta_phone_id is not None and settings.meta_token is not None:
            from crypto_mcp.notify.meta import Meta

            return Meta(settings)
        if settings.waha_url is not None:
            from crypto_mcp.notify.waha import Waha

            return Waha(settings)
        return None

    @cached_property
    def webhooks(self) -> Webhooks:
        """Signed, to anybody."""
        from crypto_mcp.notify.webhook import Webhooks

        return Webhooks(self._settings)

    @property
    def provider(self) -> str | None:
        """Who carries WhatsApp messages, as people are told."""
        if self.whatsapp is None:
            return None
        return "sandbox" if self._settings.sandboxed else self.whatsapp.name

    def of(self, channel: Channel) -> Sender | None:
        """The sender of a channel; None where nothing is set up for it."""
        if channel.kind == "whatsapp":
            return self.whatsapp
        return self._console if channel.kind == "console" else self.webhooks

    async def close(self) -> None:
        """Closes connections."""
        for name in ("whatsapp", "webhooks"):
            if (sender := self.__dict__.get(name)) is not None:
                await sender.close()
