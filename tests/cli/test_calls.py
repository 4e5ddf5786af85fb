"""`crypto-mcp call` and `jobs` through a real front end and a real worker."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson
import pytest

from tests.server import kinds
from tests.server.running import front_end, worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from pymongo.asynchronous.database import AsyncDatabase

    from crypto_mcp.settings import Settings

ROOT = Path(__file__).parents[2]
Command: TypeAlias = "Callable[..., Coroutine[Any, Any, tuple[int, str, str]]]"


@pytest.fixture
async def command(
    settings: Settings, mongo_database: AsyncDatabase[dict[str, Any]], tmp_path: Path
) -> AsyncIterator[Command]:
    """Runs `crypto-mcp` as its own process against a front end with a worker; status, output, error output."""
    async with worker(settings), front_end(settings) as url:
        env = os.environ | {
            "CRYPTO_MCP_SERVER__PORT": url.rpartition(":")[2],
            "COLUMNS": "200",
            "PYTHONPATH": str(ROOT),
        }

        async def run(*arguments: str) -> tuple[int, str, str]:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "crypto_mcp.cli", *arguments),
                cwd=tmp_path,
                env=env,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            out, err = await process.communicate()
            assert process.returncode is not None
            return process.returncode, out.decode(), err.decode()

        yield run


async def test_a_call_shows_every_field_of_the_answer(command: Command) -> None:
    status, out, err = await command("call", "echo", "text=hello", "times=2")
    assert status == 0, err
    assert "hellohello" in out
    assert "length  10" in out
    assert "took" in out
    status, out, _ = await command("call", "echo", "text=hello", "times=2")
    assert "from the cache" in out


async def test_a_call_as_json_is_json_and_nothing_else(command: Command) -> None:
    _, out, _ = await command("call", "echo", "text=hello", "--json")
    answer = orjson.loads(out)
    assert answer["status"] == "done"
    assert answer["result"] == {"text": "hello", "length": 5}


async def test_a_call_waits_for_a_job_that_takes_longer(command: Command) -> None:
    running = asyncio.create_task(command("call", "gated", "text=slow"))
    async with asyncio.timeout(20):
        while "slow" not in kinds.gates:
            await asyncio.sleep(0.02)
    kinds.gates["slow"].set()
    status, out, _ = await running
    assert status == 0
    assert "slow" in out


async def test_a_job_that_takes_too_long_goes_on(command: Command) -> None:
    status, _, err = await command("call", "gated", "text=endless", "--wait", "0.5")
    assert status == 1
    assert "[timed_out]" in err
    _, out, _ = await command("jobs", "--state", "running")
    assert "gated" in out
    assert "25% before the gate" in out
    kinds.gates["endless"].set()


async def test_a_call_without_waiting_names_the_job(command: Command) -> None:
    _, out, _ = await command("call", "uncached", "text=later", "--wait", "0")
    job_id = out.split()[1]
    _, out, _ = await command("jobs", "--kind", "uncached", "--json")
    assert [job["job_id"] for job in orjson.loads(out)] == [job_id]


@pytest.mark.parametrize(
    ("arguments", "code", "hint"),
    [
        (("call", "ecko", "text=x"), "[unknown_kind]", "echo"),
        (("call", "echo", "text=x", "times=99"), "[invalid_request]", "example"),
        (("call", "failing", "text=bad"), "[not_enough_data]", "another symbol"),
    ],
)
async def test_what_the_front_end_refuses_is_said_with_its_hint(
    command: Command, arguments: tuple[str, ...], code: str, hint: str
) -> None:
    status, out, err = await command(*arguments)
    assert status == 1
    assert out == ""
    assert code in err
    assert hint in err
