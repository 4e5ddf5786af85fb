"""One n8n with its own PostgreSQL: what a person does in its editor, done over the same addresses."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
from functools import cached_property
from typing import TYPE_CHECKING, Any

import httpx2

from crypto_mcp.local.postgres_server import PostgresServer
from tests.servers import free_ports

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_PATIENCE = 600.0
_ENDED = ("success", "error", "canceled", "crashed")
_OWNER = {"email": "owner@example.com", "firstName": "Ann", "lastName": "Owner"}


class N8n:
    """Started by `start`, ended by `stop`."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self._command, self._folder = command, folder
        self.port, postgres, self._broker = free_ports(3)
        self.url = f"http://127.0.0.1:{self.port}"
        self._password = secrets.token_hex(8)
        self._postgres = PostgresServer(
            folder / "n8n-postgresql", postgres, self._password, secrets.token_hex(8), database="n8n"
        )
        self._postgres_port = postgres
        self._key = secrets.token_hex(16)
        self.log = folder / "n8n.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._http = httpx2.AsyncClient(base_url=self.url, timeout=120)

    async def imported(self, files: Path, credentials: list[dict[str, Any]]) -> None:
        """By its command line, into a fresh instance."""
        await self._postgres.start()
        count = len(list(files.glob("*.json")))
        kept = self._folder / "credentials.json"
        kept.write_text(json.dumps(credentials))
        for command, expected in (
            (["import:credentials", f"--input={kept}"], f"imported {len(credentials)} credential"),
            (["import:workflow", "--separate", f"--input={files}"], f"imported {count} workflow"),
        ):
            done = await asyncio.to_thread(
                subprocess.run, [*self._command, *command], env=self._environment(), capture_output=True, text=True,
                check=False, timeout=_PATIENCE,
            )  # fmt: skip
            if done.returncode or expected not in done.stdout:
                raise RuntimeError(f"n8n {command[0]}: {done.stdout[-2000:]}{done.stderr[-2000:]}")

    async def start(self, **more: str) -> None:
        """The server, with an owner who is signed in. `more` goes into its environment."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command, "start"], env=self._environment() | more, stdout=log, stderr=log
            )
        async with asyncio.timeout(_PATIENCE):
            while not await self._answers():
                if self._process.poll() is not None:
                    raise RuntimeError(f"n8n ended: {self.log.read_text()[-3000:]}")
                await asyncio.sleep(0.5)
        password = f"Pw1{secrets.token_hex(8)}"
        await self._rest("POST", "/rest/owner/setup", {**_OWNER, "password": password})

    async def stop(self) -> None:
        """And its database."""
        await self._http.aclose()
        if self._process is not None:
            self._process.terminate()
            try:
                await asyncio.to_thread(self._process.wait, 60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                await asyncio.to_thread(self._process.wait)
        await self._postgres.stop()

    async def save(self, workflow: Mapping[str, Any]) -> None:
        """After nodes were changed."""
        path = f"/rest/workflows/{workflow['id']}"
        known = await self._rest("GET", path)
        changed = {name: workflow[name] for name in ("name", "nodes", "connections", "settings")}
        await self._rest("PATCH", path, changed | {"versionId": known["versionId"]})

    async def activate(self, workflow_id: str) -> None:
        """Its triggers are on from now on."""
        workflow = await self._rest("GET", f"/rest/workflows/{workflow_id}")
        change = {"active": True, "versionId": workflow["versionId"]}
        changed = await self._rest("PATCH", f"/rest/workflows/{workflow_id}", change)
        if not changed["active"]:
            raise RuntimeError(f"{workflow_id} is not active")

    async def run(self, workflow_id: str, trigger: str) -> str:
        """What the button *Execute workflow* does; the id of the execution."""
        workflow = await self._rest("GET", f"/rest/workflows/{workflow_id}")
        asked = {"workflowData": workflow, "triggerToStartFrom": {"name": trigger}}
        return str((await self._rest("POST", f"/rest/workflows/{workflow_id}/run", asked))["executionId"])

    async def executions(self, workflow_id: str) -> list[dict[str, Any]]:
        """The newest first: id, status, mode."""
        wanted = json.dumps({"workflowId": workflow_id})
        found = await self._rest("GET", "/rest/executions", params={"filter": wanted, "limit": "50"})
        return list(found["results"])

    async def execution(self, execution_id: str) -> Execution:
        """As it stands."""
        return Execution(await self._rest("GET", f"/rest/executions/{execution_id}"))

    async def ended(self, execution_id: str) -> Execution:
        """When it is over."""
        async with asyncio.timeout(_PATIENCE):
            while not (found := await self.execution(execution_id)).over:
                await asyncio.sleep(1)
        return found

    async def _answers(self) -> bool:
        """While it starts it answers everything with 200 and a line of text."""
        try:
            answer = await self._http.get("/rest/settings")
        except httpx2.TransportError:
            return False
        return answer.status_code == 200 and "json" in answer.headers.get("content-type", "")

    async def _rest(self, method: str, path: str, body: Any = None, params: dict[str, str] | None = None) -> Any:
        answer = await self._http.request(method, path, json=body, params=params)
        if answer.status_code >= 400:
            raise RuntimeError(f"n8n: {method} {path}: {answer.status_code} {answer.text[:1000]}")
        return answer.json()["data"]

    def _environment(self) -> dict[str, str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("N8N_", "CRYPTO_MCP_"))}
        return plain | {
            "DB_TYPE": "postgresdb",
            "DB_POSTGRESDB_HOST": "127.0.0.1",
            "DB_POSTGRESDB_PORT": str(self._postgres_port),
            "DB_POSTGRESDB_DATABASE": "n8n",
            "DB_POSTGRESDB_USER": "crypto_mcp",
            "DB_POSTGRESDB_PASSWORD": self._password,
            "GENERIC_TIMEZONE": "UTC",
            "N8N_DIAGNOSTICS_ENABLED": "false",
            "N8N_ENCRYPTION_KEY": self._key,
            "N8N_LISTEN_ADDRESS": "127.0.0.1",
            "N8N_PERSONALIZATION_ENABLED": "false",
            "N8N_PORT": str(self.port),
            "N8N_RUNNERS_BROKER_PORT": str(self._broker),
            "N8N_RUNNERS_ENABLED": "false",
            "N8N_SECURE_COOKIE": "false",
            "N8N_TEMPLATES_ENABLED": "false",
            "N8N_USER_FOLDER": str(self._folder / "n8n"),
            "N8N_VERSION_NOTIFICATIONS_ENABLED": "false",
            "NODE_FUNCTION_ALLOW_BUILTIN": "crypto",
            "WEBHOOK_URL": f"{self.url}/",
        }


class Execution:
    """An execution: how it ended and what each node gave."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        self.id = str(told["id"])
        self.status = str(told["status"])
        self._told = told["data"]

    @cached_property
    def _data(self) -> Any:
        """There is none before it has begun."""
        return _unflattened(self._told) if isinstance(self._told, str) else self._told

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status in _ENDED

    @property
    def error(self) -> str:
        """What it failed of."""
        found = self._data["resultData"].get("error") or {}
        return f"{found.get('node', {}).get('name', '')}: {found.get('message', '')} {found.get('description') or ''}"

    @property
    def nodes(self) -> list[str]:
        """Those that ran."""
        return list(self._data["resultData"]["runData"])

    def times(self, node: str) -> int:
        """How often it ran."""
        return len(self._data["resultData"]["runData"].get(node, ()))

    def gave(self, node: str) -> dict[str, Any]:
        """The first item of a node's last run."""
        outputs = self._data["resultData"]["runData"][node][-1]["data"]["main"]
        first: dict[str, Any] = next(items for items in outputs if items)[0]["json"]
        return first


def _unflattened(text: str) -> Any:
    """What n8n keeps executions in (npm `flatted`): a list in which a text inside a value is the place of another."""
    kept: list[Any] = json.loads(text)
    made: dict[int, Any] = {}

    def at(place: int) -> Any:
        if place not in made:
            value = kept[place]
            made[place] = type(value)() if isinstance(value, (dict, list)) else value
            if isinstance(value, dict):
                made[place].update({name: inner(part) for name, part in value.items()})
            elif isinstance(value, list):
                made[place].extend(inner(part) for part in value)
        return made[place]

    def inner(part: Any) -> Any:
        return at(int(part)) if isinstance(part, str) else part

    return at(0)
