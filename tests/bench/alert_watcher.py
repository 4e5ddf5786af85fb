"""A watcher in a process of its own, as a scheduler runs it. Says on standard output when it is ready."""

from __future__ import annotations

import asyncio

import uvloop

from crypto_mcp import logs
from crypto_mcp.settings import get_settings
from scheduler.alerts.role import WatcherRole


async def main() -> None:
    settings = get_settings()
    logs.configure(settings.log)
    role = WatcherRole(settings)
    watching = asyncio.create_task(role.run(asyncio.Event()))
    await role.watcher.ready.wait()
    print("ready", len(role.watcher.book), flush=True)
    await watching


if __name__ == "__main__":
    uvloop.run(main())
