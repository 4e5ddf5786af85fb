"""`crypto-mcp run`: the stack, a first real call, and what to try next."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from crypto_mcp.cli.front_end import own_front_end
from crypto_mcp.cli.render import in_words
from crypto_mcp.client import result_of
from crypto_mcp.errors import CryptoMcpError, TimedOut, Unavailable
from crypto_mcp.local.stack import running
from crypto_mcp.models.answers import JobState

if TYPE_CHECKING:
    from crypto_mcp.local.stack import Addresses
    from crypto_mcp.settings import Settings

_HEALTHY_WITHIN = 60.0
_POLL = 0.05
_FIRST_CALL = {"symbol": "BTCUSDT", "timeframe": "1h"}
_FIRST_CALL_WAIT = 300.0
_SHORT_WAIT = 4.0
_CURL_BODY = '{"symbol": "SOLUSDT"}'


def run_stack(settings: Settings, *, live: bool) -> None:
    """Runs everything until Ctrl-C or SIGTERM. A second Ctrl-C ends it at once."""
    asyncio.run(_run(settings, live=live))


async def _run(settings: Settings, *, live: bool) -> None:
    console = Console(highlight=False, soft_wrap=True)
    work = asyncio.create_task(_start_and_wait(settings, console, live=live))

    def end() -> None:
        if work.cancelling():
            os._exit(130)  # the kernel tells the children
        console.print("\nStopping. Ctrl-C again ends it at once.")
        work.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end)
    try:
        await work
    except asyncio.CancelledError:
        console.print(f"Stopped. The data stays in {settings.local.data}.")


async def _start_and_wait(settings: Settings, console: Console, *, live: bool) -> None:
    began = time.monotonic()
    market = "live market data" if live else "the sandbox market"
    console.print(f"Starting on {market}; data in {settings.local.data.absolute()}")
    async with running(settings, live=live, say=lambda line: console.print(line, markup=False)) as addresses:
        try:
            answer = await asyncio.to_thread(_first_call, settings, console)
        except CryptoMcpError as error:
            console.print(f"\nThe first call failed: {error.message} [{error.code}]\n{error.hint}", markup=False)
        else:
            console.print(f"\n[bold]A first answer[/] after {time.monotonic() - began:.1f} s:")
            console.print(in_words(answer))
        _greet(console, addresses)
        await asyncio.Event().wait()


def _first_call(settings: Settings, console: Console) -> dict[str, Any]:
    """A real call, once the front end says that it reaches everything; however long the worker takes to be ready."""
    deadline = time.monotonic() + _HEALTHY_WITHIN
    with own_front_end(settings) as client:
        while (health := client.health())["status"] == "down":
            if time.monotonic() > deadline:
                raise Unavailable(f"the front end is not healthy: {health}", hint="`crypto-mcp doctor` says why.")
            time.sleep(_POLL)
        answer = client.submit("analyze_crypto", _FIRST_CALL, wait=_SHORT_WAIT)
        if answer.status is JobState.QUEUED:
            console.print("The worker is still loading.")
        if answer.job_id is not None and not answer.status.finished:
            try:
                answer = client.wait(answer.job_id, within=_FIRST_CALL_WAIT)
            except TimedOut as late:
                raise Unavailable(late.message, hint="Look at worker-analysis.log.") from late
        analysis: dict[str, Any] = result_of(answer)
        return analysis


def _greet(console: Console, addresses: Addresses) -> None:
    url, command = addresses.front_end, _command()
    console.print(f"""
[bold]Where things are[/]
  MCP       {url}/mcp
  REST      {url}/v1, described at {url}/docs
  Sandbox   {addresses.sandbox or "not used: prices are Binance's"}
  Alerts    {f"{addresses.sandbox}/sandbox/phone" if addresses.sandbox else "on the console, worker-alerts.log"}
  Logs      {addresses.logs}
  Admin key {addresses.admin_key} (calls from this machine need none)

[bold]Try next[/]
  {command} call analyze_crypto symbol=ETHUSDT timeframe=4h
  curl -s '{url}/v1/jobs/analyze_crypto?wait=20' -H 'content-type: application/json' -d '{_CURL_BODY}'
  {command} doctor

Ctrl-C stops everything.""")


def _command() -> str:
    """What to type for `crypto-mcp` here."""
    if shutil.which("crypto-mcp"):
        return "crypto-mcp"
    program = Path(sys.prefix) / "bin" / "crypto-mcp"
    return str(program.relative_to(Path.cwd()) if program.is_relative_to(Path.cwd()) else program)
