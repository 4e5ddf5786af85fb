"""The console channel: standard output of the worker, for those who have nothing else."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from crypto_mcp.notify.sending import Sent

if TYPE_CHECKING:
    from crypto_mcp.notify.sending import Message, Target


class Console:
    """Writes messages, a line each for the title and what follows."""

    name = "console"

    async def send(self, _: Target, message: Message) -> Sent:
        """See `Sender`."""
        body = "".join(f"\n  {line}" for line in message.text.splitlines())
        sys.stdout.write(f"{message.at:%Y-%m-%d %H:%M:%S} {message.title}{body}\n")
        sys.stdout.flush()
        return Sent(message.message_id, delivered=True)

    async def close(self) -> None:
        """See `Sender`."""
