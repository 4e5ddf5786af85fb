"""The whole product, as `crypto-mcp run` starts it, in a folder and on ports of its own, with a key for n8n."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx2
from dotenv import dotenv_values

from tests.servers import free_ports

if TYPE_CHECKING:
    from pathlib import Path

_PORTS = ("LOCAL__REDIS_PORT", "LOCAL__MONGO_PORT", "LOCAL__POSTGRES_PORT", "SERVER__PORT", "SANDBOX__PORT")
_PATIENCE = 600.0
CLIENT = "n8n"


class Product:
    """Started by `start`, ended by `stop`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        ports = {f"CRYPTO_MCP_{name}": str(port) for name, port in zip(_PORTS, free_ports(len(_PORTS)), strict=True)}
        plain = {name: value for name, value in os.environ.items() if not name.startswith("CRYPTO_MCP_")}
        self._environment = plain | ports | {"CRYPTO_MCP_SERVER__WORKERS": "1", "COLUMNS": "200"}
        self.url = f"http://127.0.0.1:{ports['CRYPTO_MCP_SERVER__PORT']}"
        self.sandbox = f"http://127.0.0.1:{ports['CRYPTO_MCP_SANDBOX__PORT']}"
        self.log = folder / "product.log"
        self.key = ""
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Until it has said what to try next; then a trader's key is made for n8n."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "crypto_mcp.cli", "run"],
                cwd=self._folder, env=self._environment, stdout=log, stderr=log,
            )  # fmt: skip
        async with asyncio.timeout(_PATIENCE):
            while "Try next" not in self.log.read_text():
                if self._process.poll() is not None:
                    raise RuntimeError(f"the product ended: {self.log.read_text()[-3000:]}")
                await asyncio.sleep(0.2)
        made = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-m", "crypto_mcp.cli", "keys", "create", CLIENT, "--role", "trader"],
            cwd=self._folder, env=self._environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        found = re.search(r"cmcp_\S+", made.stdout)
        assert found is not None, made.stdout
        self.key = found[0]

    async def stop(self) -> None:
        """In order."""
        if self._process is not None:
            self._process.terminate()
            try:
                await asyncio.to_thread(self._process.wait, 120)
            except subprocess.TimeoutExpired:
                self._process.kill()
                await asyncio.to_thread(self._process.wait)

    def told(self, name: str) -> str:
        """A setting that it gave its programs."""
        value = dotenv_values(self._folder / ".local/run.env")[f"CRYPTO_MCP_{name}"]
        assert value is not None
        return value

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """As n8n's client."""
        async with httpx2.AsyncClient(base_url=self.url, timeout=60) as http:
            answer = await http.request(method, path, json=body, headers={"Authorization": f"Bearer {self.key}"})
        if answer.status_code >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:1000]}")
        return answer.json()

    async def messages(self, number: str) -> list[dict[str, Any]]:
        """Those on a phone of the sandbox."""
        async with httpx2.AsyncClient(base_url=self.sandbox, timeout=30) as http:
            state = (await http.get("/sandbox/phone/state", params={"number": number})).json()
        shown = state["phone"]
        return list(shown["messages"]) if shown is not None and shown["number"] == number.lstrip("+") else []
