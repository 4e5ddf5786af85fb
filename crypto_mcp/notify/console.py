"""The console channel: standard output of the worker, for those who have nothing else."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crypto_mcp.models.notifications import Notification


def tell(notification: Notification) -> None:
    """Writes a notification, a line each for its title and what follows."""
    lines = [f"{notification.at:%Y-%m-%d %H:%M:%S} [{notification.priority}] {notification.title}"]
    lines += [f"  {line}" for line in notification.text.splitlines()]
    lines += [f"  {name}: {value}" for name, value in notification.fields.items()]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
