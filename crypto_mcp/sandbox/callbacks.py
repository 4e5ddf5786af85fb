"""Webhooks that the sandbox's providers call: repeated with growing pauses until they are answered with 2xx."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import httpx2

if TYPE_CHECKING:
    from collections.abc import Mapping

_PAUSES = (0.2, 0.5, 1, 2, 5, 10, 20, 40, 60, 120)


class Callbacks:
    """Where each provider calls. `told` counts answers by provider and status, 0 where there was none."""

    def __init__(self, urls: Mapping[str, str | None]) -> None:
        self.urls = dict(urls)
        self.told: Counter[str] = Counter()
        self._client: httpx2.AsyncClient | None = None

    async def post(self, provider: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Calls until it is taken, or for minutes in vain. Nothing where no webhook is set up."""
        for pause in (*_PAUSES, 0):
            url = self.urls.get(provider)
            if url is None:
                return
            status = await self._once(url, body, headers)
            self.told[f"{provider} {status}"] += 1
            if 200 <= status < 300:
                return
            await asyncio.sleep(pause)

    async def _once(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        if self._client is None:
            self._client = httpx2.AsyncClient(timeout=5, trust_env=False)
        try:
            sent = {"Content-Type": "application/json"} | dict(headers)
            return (await self._client.post(url, content=body, headers=sent)).status_code
        except httpx2.RequestError:
            return 0
