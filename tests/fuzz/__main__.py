"""Starts the product on free ports, has schemathesis send it requests of all kinds, and counts what was wrong."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import httpx2

from tests.bench.front import System

VERSION = "4.32.5"
_AT_ONCE = 4
_OPERATIONS = 41
HOME = Path(".local/fuzz")
_NOT_CHECKED = "positive_data_acceptance,negative_data_rejection,use_after_free"
"""What a schema cannot say: that a symbol is not listed, that `5` and `"5"` are one number to us, and that DELETE stops
a job, of which it is told after that it was stopped."""


def main() -> int:
    """0 if no answer was a server error, undocumented, or of another shape than documented."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000, help="About so many; 20,000 take half an hour.")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31))
    parser.add_argument("--only", default="", help="Only operations whose path matches this expression.")
    options = parser.parse_args()
    try:
        program = _installed()
    except (OSError, subprocess.CalledProcessError) as error:
        print(
            f"fuzz: schemathesis {VERSION} cannot be installed ({error}): a package registry is needed", file=sys.stderr
        )
        return 2
    return asyncio.run(_run(program, options))


def _installed() -> Path:
    """The program, in an environment of its own: its dependencies are none of ours."""
    program = (HOME / "bin/schemathesis").absolute()
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", str(HOME)], check=True)
        pip = [str(HOME / "bin/pip"), "install", "--quiet", f"schemathesis=={VERSION}"]
        subprocess.run(pip, check=True, stdout=subprocess.DEVNULL)
    return program


async def _run(program: Path, options: argparse.Namespace) -> int:
    os.environ["CRYPTO_MCP_ACCESS__PEPPER"] = secrets.token_hex(16)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        system = System(Path(folder))
        try:
            await system.start()
            for name in ("backtest:queue", "alerts:pending", "notifications:queue"):
                system.launch("worker", name)
            await system.start_front()
            described = Path(folder) / "openapi.json"
            # Asked for here: the program's own patience ends before a busy machine has made it.
            described.write_bytes(httpx2.get(f"{system.url}/openapi.json", timeout=300).content)
            paths = [path for path in json.loads(described.read_bytes())["paths"] if re.search(options.only, path)]
            shares = [share for share in (paths[first::_AT_ONCE] for first in range(_AT_ONCE)) if share]
            runs = [
                _run_share(_command(program, described, system.url, options, share), Path(folder) / f"share-{number}")
                for number, share in enumerate(shares)
            ]
            statuses = await asyncio.gather(*runs)
            _summary(Path(folder), options.seed)
            return max(statuses)
        finally:
            await system.stop()


async def _run_share(command: list[str], place: Path) -> int:
    """One process with one thread: those that share an interpreter trip over Python 3.11's parser (SystemError)."""
    command = [*command, "--report-ndjson-path", str(place.with_suffix(".ndjson"))]
    with place.with_suffix(".log").open("w+") as log:
        # It keeps notes where it is started, which are of no use to anybody else.
        process = await asyncio.create_subprocess_exec(*command, cwd=place.parent, stdout=log, stderr=log)
        status = await process.wait()
        log.seek(0)
        print(log.read(), flush=True)
    return status


def _command(program: Path, described: Path, url: str, options: argparse.Namespace, paths: list[str]) -> list[str]:
    return [
        str(program), "run", str(described), "--url", url, "--checks", "all", "--exclude-checks", _NOT_CHECKED,
        "--max-examples", str(max(1, options.requests // _OPERATIONS)), "--seed", str(options.seed), "--workers", "1",
        "--continue-on-failure", "--suppress-health-check", "all", "--request-timeout", "60",
        "--max-response-time", "60", "--no-color", "--report", "ndjson",
        "--include-path-regex", f"^({'|'.join(re.escape(path) for path in paths)})$",
    ]  # fmt: skip


def _summary(folder: Path, seed: int) -> None:
    """Requests by status, as the last line says."""
    statuses: Counter[int] = Counter()
    for report in folder.glob("*.ndjson"):
        for line in report.read_text().splitlines():
            statuses.update(_statuses(json.loads(line)))
    print(json.dumps({"seed": seed, "requests": statuses.total(), "statuses": dict(sorted(statuses.items()))}))


def _statuses(event: object) -> Iterable[int]:
    """Every status code inside an event."""
    if isinstance(event, dict):
        if isinstance(event.get("status_code"), int):
            yield event["status_code"]
        for value in event.values():
            yield from _statuses(value)
    elif isinstance(event, list):
        for value in event:
            yield from _statuses(value)


if __name__ == "__main__":
    sys.exit(main())
