"""The whole product on one machine: what it is made of, in which order it starts and ends."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from shlex import quote
from typing import TYPE_CHECKING

from crypto_mcp.local.errors import PortTaken
from crypto_mcp.local.lock import only_stack
from crypto_mcp.local.logfiles import rotate
from crypto_mcp.local.mongo_server import MongoServer
from crypto_mcp.local.passwords import Passwords
from crypto_mcp.local.ports import LOOPBACK, http_url, require_free
from crypto_mcp.local.postgres_server import PostgresServer
from crypto_mcp.local.program import Program, WebProgram, WorkerProgram
from crypto_mcp.local.redis_server import RedisServer
from crypto_mcp.local.server import write_private
from crypto_mcp.local.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from crypto_mcp.settings import Settings

_WORKERS = {
    "worker-analysis": ["analysis:queue"],
    "worker-backtest": ["backtest:queue"],
    "worker-alerts": ["alerts:pending", "notifications:queue"],
}
_SANDBOX_NUMBER = "+12025550123"
"""Of the numbers that are kept for fiction in the United States."""

_USED, _USING = 0, 1
"""Stages: what the programs use is started first and ended last."""

_ENDING_OF_LAST_STACK = 15.0
_STOP_MARGIN = 5.0


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the running product is found."""

    front_end: str
    sandbox: str | None
    logs: Path
    admin_key: Path


@asynccontextmanager
async def running(settings: Settings, *, live: bool, say: Callable[[str], None]) -> AsyncIterator[Addresses]:
    """Starts everything, keeps it running, and ends it. Raises a `LocalError` if something cannot be started.

    `live` asks the real exchange instead of the sandbox; `say` tells people what happens, one line at a time.
    """
    data = settings.local.data.absolute()
    data.mkdir(parents=True, exist_ok=True)
    with only_stack(data / "run.lock") as unclean:
        if unclean is not None:
            say(f"The last stack here (process {unclean}) did not end in order. Going on with its data.")
        stack, supervisor = Stack(settings, data, live=live), Supervisor(say)
        await stack.require_ports(patience=_ENDING_OF_LAST_STACK if unclean is not None else 0)
        rotate(stack.logs)
        try:
            write_private(stack.env_file, "".join(f"{k}={quote(v)}\n" for k, v in stack.environment().items()))
            await stack.start(supervisor)
            yield stack.addresses()
        finally:
            stack.env_file.unlink(missing_ok=True)
            await asyncio.shield(supervisor.stop())


class Stack:
    """Servers, sandbox, front end, workers and scheduler, as the settings want them."""

    def __init__(self, settings: Settings, data: Path, *, live: bool) -> None:
        self.settings = settings
        self.live = live
        self.logs = data / "logs"
        self.env_file = data / "run.env"
        self.admin_key_file = data / "admin.key"
        self._opened_file = data / "sandbox-opened"
        passwords = Passwords.kept_in(data / "secrets.json")
        self._pepper = passwords.pepper
        self._numbers, self._whatsapp = passwords.numbers, passwords.whatsapp
        local = settings.local
        self.redis = RedisServer(
            data / "redis", local.redis_port, passwords.redis, fsync=local.redis_fsync, log=self._log("redis")
        )
        self.mongo = MongoServer(
            data / "mongodb",
            local.mongo_port,
            passwords.mongo,
            passwords.mongo_admin,
            database=settings.mongo.database,
            log=self._log("mongodb"),
        )
        self.postgres = PostgresServer(
            data / "postgresql",
            local.postgres_port,
            passwords.postgres,
            passwords.postgres_admin,
            log=self._log("postgresql"),
        )

    def addresses(self) -> Addresses:
        """Where to find what was started."""
        server = self.settings.server
        sandbox = None if self.live else self._sandbox_url()
        return Addresses(
            front_end=http_url(server.host, server.port), sandbox=sandbox, logs=self.logs, admin_key=self.admin_key_file
        )

    def environment(self) -> dict[str, str]:
        """The settings that lead other programs to this stack."""
        server = self.settings.server
        found = {
            "REDIS__CACHE_URL": self.redis.url(0),
            "REDIS__SESSION_URL": self.redis.url(1),
            "REDIS__QUEUE_URL": self.redis.url(2),
            "MONGO__URL": self.mongo.url,
            "POSTGRES__URL": self.postgres.url,
            "ACCESS__PEPPER": self._pepper,
            "NOTIFY__ENCRYPTION_KEY": self._numbers,
            "NOTIFY__WEBHOOK_NETWORKS": json.dumps([str(each) for each in self._webhook_networks()]),
            "ALERTS__CHARTS_URL": self.settings.alerts.charts_url or http_url(server.host, server.port),
            "SERVER__HOST": server.host,
            "SERVER__PORT": str(server.port),
            "SERVER__WORKERS": str(self._front_end_processes()),
        }
        if not self.live:
            found["MARKET__BINANCE_URL"] = self._sandbox_url()
            found["MARKET__BINANCE_STREAM_URL"] = self._sandbox_url().replace("http://", "ws://", 1)
            found["SANDBOX__OPENED"] = self._sandbox_opened()
            if "meta_token" not in self.settings.notify.model_fields_set:
                found |= self._sandbox_whatsapp()
        return {f"CRYPTO_MCP_{name}": value for name, value in found.items()}

    async def start(self, supervisor: Supervisor) -> None:
        """First Redis, which takes no time and which the programs need; then all that a first answer needs at once.

        The other programs come in the background: on two processors they would delay it by a second.
        """
        await supervisor.start(self.redis, stage=_USED)
        front_end, *workers = self._programs()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(supervisor.start(self.mongo, stage=_USED))
                group.create_task(self._start_postgres(supervisor))
                if not self.live:
                    group.create_task(supervisor.start(self._sandbox(), stage=_USED))
                group.create_task(supervisor.start(front_end, stage=_USING))
                group.create_task(supervisor.start(workers[0], stage=_USING))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        for program in workers[1:]:
            supervisor.start_soon(program, stage=_USING)

    async def _start_postgres(self, supervisor: Supervisor) -> None:
        await supervisor.start(self.postgres, stage=_USED)
        from crypto_mcp.access.directory import Directory
        from crypto_mcp.settings import PostgresSettings
        from crypto_mcp.stores.postgres import PostgresStore

        store = PostgresStore(PostgresSettings.model_validate({"url": self.postgres.url}))
        try:
            await store.migrate()
            key = await Directory(store, self._pepper).create_first_admin("admin", actor="crypto-mcp run")
            if key is not None:
                write_private(self.admin_key_file, key.text + "\n")
        finally:
            await store.close()

    def _sandbox(self) -> Program:
        at, env = self.settings.sandbox, self._program_env()
        return WebProgram("sandbox", ["sandbox"], host=at.host, port=at.port, env=env, log=self._log("sandbox"))

    def _programs(self) -> list[Program]:
        at, env = self.settings.server, self._program_env()
        workers = [
            WorkerProgram(
                name,
                lists,
                queue_url=self.redis.url(2),
                env=env,
                log=self._log(name),
                stop_grace=self.settings.queue.shutdown_grace + _STOP_MARGIN,
            )
            for name, lists in _WORKERS.items()
        ]
        return [
            WebProgram("front-end", ["serve"], host=at.host, port=at.port, env=env, log=self._log("front-end")),
            *workers,
            Program("scheduler", ["scheduler"], env=env, log=self._log("scheduler")),
        ]

    def _program_env(self) -> dict[str, str]:
        return os.environ | self.environment()

    async def require_ports(self, *, patience: float) -> None:
        """Every port is free, or becomes free while what a killed stack left behind ends."""
        server, sandbox = self.settings.server, self.settings.sandbox
        wanted = [(each.port, each.setting, each.name, LOOPBACK) for each in (self.redis, self.mongo, self.postgres)]
        wanted.append((server.port, "CRYPTO_MCP_SERVER__PORT", "the front end", server.host))
        if not self.live:
            wanted.append((sandbox.port, "CRYPTO_MCP_SANDBOX__PORT", "the sandbox", sandbox.host))
        deadline = asyncio.get_running_loop().time() + patience
        for port, setting, user, host in wanted:
            while True:
                try:
                    require_free(port, setting, user, host)
                    break
                except PortTaken:
                    if asyncio.get_running_loop().time() >= deadline:
                        raise
                    await asyncio.sleep(0.1)

    def _front_end_processes(self) -> int:
        """As set; if it is not set, no more than there are processors."""
        server = self.settings.server
        return server.workers if "workers" in server.model_fields_set else min(server.workers, os.cpu_count() or 1)

    def _sandbox_opened(self) -> str:
        """Kept from the first start on: a restart must not move the sandbox's prices in time, others remember them."""
        if self.settings.sandbox.opened is not None:
            return self.settings.sandbox.opened.isoformat()
        if not self._opened_file.exists():
            self._opened_file.write_text(datetime.now(UTC).isoformat(timespec="seconds"))
        return self._opened_file.read_text()

    def _webhook_networks(self) -> list[object]:
        """As set; if nothing is set, this machine itself, where its user's other programs are."""
        notify = self.settings.notify
        return (
            [*notify.webhook_networks] if "webhook_networks" in notify.model_fields_set else ["127.0.0.0/8", "::1/128"]
        )

    def _sandbox_whatsapp(self) -> dict[str, str]:
        """The sandbox plays Meta, and a phone that alerts of this machine's user arrive at."""
        sandbox, server = self.settings.sandbox, self.settings.server
        return {
            "NOTIFY__META_URL": f"{self._sandbox_url()}/graph",
            "NOTIFY__META_PHONE_ID": sandbox.whatsapp_phone_id,
            "NOTIFY__META_TOKEN": self._whatsapp,
            "NOTIFY__META_APP_SECRET": self._whatsapp[::-1],
            "NOTIFY__LOCAL_NUMBER": _SANDBOX_NUMBER,
            "SANDBOX__WHATSAPP_TOKEN": self._whatsapp,
            "SANDBOX__WHATSAPP_APP_SECRET": self._whatsapp[::-1],
            "SANDBOX__WHATSAPP_WEBHOOK": f"{http_url(server.host, server.port)}/v1/webhooks/whatsapp",
        }

    def _sandbox_url(self) -> str:
        return http_url(self.settings.sandbox.host, self.settings.sandbox.port)

    def _log(self, name: str) -> Path:
        return self.logs / f"{name}.log"
