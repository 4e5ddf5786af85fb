"""Imports the workflows of docs/n8n into a real n8n, runs each, and looks at what came of it."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2

from tests.n8n.installed import NotInstalled, installed
from tests.n8n.instance import Execution, N8n
from tests.n8n.product import CLIENT, Product
from tests.n8n.telegram import TOKEN, Refused, Telegram
from tests.n8n.workflows import FILES, FOLDER, set_up

CHAT = 42_000_001
SCANS_TO, ERRORS_TO = "+12025550151", "+12025550152"
"""Of the numbers that are kept for fiction in the United States."""
CHECKS = ("polling", "resuming", "scanning", "alerting")
_PATIENCE = 600.0


class Wrong(Exception):
    """A workflow did not do what it is for."""


def main() -> int:
    """0 if every workflow did what it is for."""
    parser = argparse.ArgumentParser(prog="python -m tests.n8n", description=__doc__)
    parser.add_argument("--install", action="store_true", help="Only install n8n.")
    parser.add_argument("--only", choices=CHECKS, help="Only this one.")
    options = parser.parse_args()
    try:
        command = installed()
    except NotInstalled as error:
        print(f"n8n: {error}", file=sys.stderr)
        return 2
    if options.install:
        return 0
    try:
        asyncio.run(_run(command, (options.only,) if options.only else CHECKS))
    except Wrong as wrong:
        print(f"wrong: {wrong}", file=sys.stderr)
        return 1
    return 0


async def _run(command: list[str], checks: tuple[str, ...]) -> None:
    with tempfile.TemporaryDirectory(prefix="n8n-") as name:
        folder = Path(name)
        product, n8n, telegram = Product(folder), N8n(command, folder), Telegram({CHAT})
        try:
            async with telegram.running() as telegram_url:
                await product.start()
                await Check(product, n8n, telegram).all(telegram_url, checks)
        except (Wrong, RuntimeError, TimeoutError):
            for log in (product.log, n8n.log):
                if log.exists():
                    print(f"--- the end of {log.name}\n{log.read_text()[-2500:]}", file=sys.stderr)
            raise
        finally:
            await n8n.stop()
            await product.stop()


class Check:
    """One workflow after the other."""

    def __init__(self, product: Product, n8n: N8n, telegram: Telegram) -> None:
        self.product, self.n8n, self.telegram = product, n8n, telegram
        self._began = time.monotonic()
        self._forged = httpx2.AsyncClient(timeout=60)

    async def all(self, telegram_url: str, checks: tuple[str, ...]) -> None:
        """Imports, then everything that docs/n8n/README.md tells people to do."""
        whatsapp = {
            "whatsapp_api": f"{self.product.sandbox}/graph/v25.0",
            "whatsapp_phone_id": self.product.told("NOTIFY__META_PHONE_ID"),
        }
        values = {
            "crypto-morning-scan": whatsapp | {"whatsapp_to": SCANS_TO},
            "crypto-errors": whatsapp | {"whatsapp_to": ERRORS_TO},
            "crypto-alert-telegram": {"chat_id": str(CHAT)},
            "crypto-backtest-resume": {"timeframe": "15m"},  # long enough for somebody to call meanwhile
        }
        await self.n8n.imported(FOLDER, self._credentials(telegram_url))
        self._say(f"imported {len(FILES)} workflows")
        await self.n8n.start(CRYPTO_MCP_ALERT_SECRET=await self._channel())
        for workflow_id, file in FILES.items():
            await self.n8n.save(set_up(file, {"crypto_mcp": self.product.url} | values.get(workflow_id, {})))
        self._say("n8n runs, settings are filled in")
        for check in checks:
            await getattr(self, check)()
        await self._forged.aclose()

    async def polling(self) -> None:
        """A backtest that is waited for by asking again."""
        execution = await self._ran("crypto-backtest-poll", "Start")
        outcome = execution.gave("What came of it")
        await self._linked(execution, "historical_backtest", outcome["job_id"])
        await self._sensible(outcome)
        self._say(f"backtest by polling: {outcome['is_it_luck']} Asked again {execution.times('Ask again')} times")

    async def resuming(self) -> None:
        """A backtest whose end wakes the execution; calls that others make do not."""
        for _ in range(5):
            execution, forged = await self._ran_with_forgery("crypto-backtest-resume")
            if forged and execution.times("Signed?") > 1:
                break  # else the job ended before, or while, somebody forged a call
        else:
            raise Wrong("no forged call was taken before the true one")
        outcome = execution.gave("What came of it")
        await self._linked(execution, "historical_backtest", outcome["job_id"])
        await self._sensible(outcome)
        self._say(f"backtest by webhook: woken {execution.times('Signed?')} times, {outcome['trades']} trades")

    async def _ran_with_forgery(self, workflow_id: str) -> tuple[Execution, bool]:
        """An execution that somebody else calls too while it waits, and whether n8n took that call."""
        execution_id, forged = await self.n8n.run(workflow_id, "Start"), False
        event = {"type": "job.done", "data": {"status": "done"}}
        while not (execution := await self.n8n.execution(execution_id)).over:
            if not forged and execution.status == "waiting":
                answer = await self._forged.post(f"{self.n8n.url}/webhook-waiting/{execution_id}", json=event)
                forged = answer.status_code == 200
            await asyncio.sleep(0.1)
        return self._succeeded(execution), forged

    async def scanning(self) -> None:
        """A scan that becomes a message on a phone: by the button, then by the clock."""
        execution = await self._ran("crypto-morning-scan", "Try it now")
        words = execution.gave("Words")
        (message,) = await self._messages(SCANS_TO, 1)
        if message["template"] != "crypto_alert" or words["text"] not in message["text"]:
            raise Wrong(f"not what the scan said: {message}")
        await self._linked(execution, "market_scanner")
        await self.n8n.activate("crypto-morning-scan")
        by_clock = await self._production("crypto-morning-scan")
        await self._linked(by_clock, "market_scanner")
        await self._messages(SCANS_TO, 2)
        self._say(f"morning scan: {words['title']}; {words['text'][:80]}")

    async def alerting(self) -> None:
        """An alert that fires while Telegram refuses: told of by the error workflow, and told when Telegram is back."""
        self.telegram.refusals.append(Refused(429, "Too Many Requests: retry after 3", retry_after=3))
        await self.n8n.activate("crypto-alert-telegram")
        hook = f"{self.n8n.url}/webhook/crypto-alert"
        answer = await self._forged.post(hook, json={"data": {"title": "forged", "text": "forged"}})
        if answer.status_code != 401:
            raise Wrong(f"an unsigned call was answered {answer.status_code}")
        for condition in ("BTC +0.02%", "BTC -0.02%"):
            asked = {"action": "create", "condition": condition, "channel": "n8n"}
            made = await self.product.ask("POST", "/v1/jobs/alert_manager?wait=25", asked)
            if made.get("status") != "done":
                raise Wrong(f"no alert was made: {made}")
        await self._until(lambda: _now(self.telegram.messages), "a message at Telegram")
        told = self.telegram.messages[0]
        if "forged" in told["text"] or "BTCUSDT" not in told["text"] or told["entities"][0]["type"] != "bold":
            raise Wrong(f"not what an alert says: {told}")
        if self.telegram.turned_away != [told["text"]]:
            raise Wrong(f"the alert that Telegram refused was not told again: {self.telegram.turned_away}, {told}")
        (message,) = await self._messages(ERRORS_TO, 1)
        if "Crypto: alert to Telegram" not in message["text"]:
            raise Wrong(f"not what an error says: {message}")
        await self._noted(told["message_id"])
        self._say(f"alert: {told['text'][:70]!r}; error: {message['text'][:150]!r}")

    def _credentials(self, telegram_url: str) -> list[dict[str, Any]]:
        def header(value: str) -> dict[str, str]:
            return {"name": "Authorization", "value": f"Bearer {value}"}

        token = self.product.told("NOTIFY__META_TOKEN")
        return [
            {"id": "crypto-mcp", "name": "Crypto MCP", "type": "httpHeaderAuth", "data": header(self.product.key)},
            {"id": "whatsapp", "name": "WhatsApp", "type": "httpHeaderAuth", "data": header(token)},
            {
                "id": "telegram", "name": "Telegram", "type": "telegramApi",
                "data": {"accessToken": TOKEN, "baseUrl": telegram_url},
            },
        ]  # fmt: skip

    async def _channel(self) -> str:
        """What README has people do once; the secret that signs what is sent."""
        channel = {"do": "add", "kind": "webhook", "name": "n8n", "address": f"{self.n8n.url}/webhook/crypto-alert"}
        asked = {"action": "channels", "channels": channel}
        made = await self.product.ask("POST", "/v1/jobs/alert_manager?wait=25", asked)
        found = [each for each in made["result"]["channels"] if each.get("secret")]
        if not found:
            raise Wrong(f"no secret: {made}")
        return str(found[0]["secret"])

    async def _ran(self, workflow_id: str, trigger: str) -> Execution:
        return self._succeeded(await self.n8n.ended(await self.n8n.run(workflow_id, trigger)))

    async def _production(self, workflow_id: str) -> Execution:
        """The first execution that its trigger made."""
        found: list[str] = []

        async def seen() -> bool:
            listed = await self.n8n.executions(workflow_id)
            found[:] = [str(each["id"]) for each in listed if each["mode"] == "trigger"]
            return bool(found)

        await self._until(seen, f"{workflow_id} by its trigger")
        return self._succeeded(await self.n8n.ended(found[-1]))

    def _succeeded(self, execution: Execution) -> Execution:
        if execution.status != "success":
            raise Wrong(f"execution {execution.id}: {execution.status} at {execution.error}; ran {execution.nodes}")
        return execution

    async def _linked(self, execution: Execution, tool: str, job_id: str | None = None) -> None:
        """Crypto MCP knows the execution, that it succeeded, and the jobs it made; a cache answers without one."""

        async def known() -> bool:  # calls are written down once a second
            row = await self.product.ask("GET", f"/v1/workflows/executions/{execution.id}")
            jobs = [call["job_id"] for call in row["calls"] if call["tool_name"] == tool]
            if row["status"] != "success" or not jobs or (job_id is not None and job_id not in jobs):
                return False
            made = [await self.product.ask("GET", f"/v1/jobs/{each}") for each in jobs if each is not None]
            return all(each["state"] == "done" and each["client"] == CLIENT for each in made)

        await self._until(known, f"execution {execution.id} with its {tool} job")

    async def _noted(self, message_id: int) -> None:
        """The execution that told an alert, and the one before that failed, are written down."""

        async def noted() -> bool:
            kept = set()
            for each in await self.n8n.executions("crypto-alert-telegram"):
                try:
                    row = await self.product.ask("GET", f"/v1/workflows/executions/{each['id']}")
                except RuntimeError:
                    continue
                kept.add((row["status"], row["data"].get("message_id")))
            return {("success", message_id), ("error", None)} <= kept

        await self._until(noted, "the executions of the alert")

    async def _sensible(self, outcome: dict[str, Any]) -> None:
        """The figures are those that Crypto MCP gives for that job, and the report is there."""
        result = (await self.product.ask("GET", f"/v1/jobs/{outcome['job_id']}/result"))["result"]
        if outcome["return_percent"] != result["summary"]["return_percent"] or outcome["trades"] < 1:
            raise Wrong(f"not what the backtest gave: {outcome}")

    async def _messages(self, number: str, least: int) -> list[dict[str, Any]]:
        await self._until(lambda: self._arrived(number, least), f"{least} messages at {number}")
        return (await self.product.messages(number))[:least]

    async def _arrived(self, number: str, least: int) -> bool:
        return len(await self.product.messages(number)) >= least

    async def _until(self, true: Callable[[], Awaitable[bool]], what: str) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not await true():
            if time.monotonic() > deadline:
                raise Wrong(f"did not come within {_PATIENCE:g} s: {what}")
            await asyncio.sleep(0.5)

    def _say(self, words: str) -> None:
        print(f"{time.monotonic() - self._began:6.1f} s  {words}", flush=True)


async def _now(found: list[Any]) -> bool:
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
