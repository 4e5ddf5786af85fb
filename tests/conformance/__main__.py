"""Runs the suite against the front end, as it is and with sessions, for both revisions of the protocol."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import re
import subprocess
import sys
import tempfile
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from crypto_mcp.settings import RedisSettings, ServerSettings, Settings
from tests.conformance.merged import merged
from tests.conformance.tools import HOME, NotInstalled, fixture, suite
from tests.servers import Servers

_ASKED_BACK = (
    "tools-call-sampling", "tools-call-elicitation", "elicitation-sep1034-defaults", "elicitation-sep1330-enums",
)  # fmt: skip
"""Scenarios in which the server asks the client over HTTP in the older protocol, which has to keep a session for it."""

_LONGEST = 600

RUNS: tuple[tuple[str, bool, tuple[str, ...]], ...] = (
    ("2026-07-28", False, ()),
    ("2025-11-25", True, ()),
    ("2025-11-25", False, _ASKED_BACK),
)


def main() -> int:
    """0 if everything that a revision requires is met."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--scenario", help="Only this one, of 2026-07-28, with all it says.")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    warnings.simplefilter("ignore")  # the fixture's: it plays older clients' servers too
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    try:
        command, served = suite(), fixture()
    except NotInstalled as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 2
    return asyncio.run(_all(command, served.mcp._lowlevel_server, options.scenario))


async def _all(command: list[str], fixture_server: Any, scenario: str | None) -> int:
    from tests.server.running import front_end

    with tempfile.TemporaryDirectory() as folder:
        servers = Servers.under(Path(folder))
        await servers.redis.start()
        urls = {f"{use}_url": servers.redis.url(db) for db, use in enumerate(("cache", "session", "queue"))}
        failed = []
        try:
            for revision, sessions, expected in RUNS:
                settings = Settings(
                    _env_file=None,
                    redis=RedisSettings.model_validate(urls),
                    server=ServerSettings(workers=1, mcp_sessions=sessions),
                )
                async with front_end(settings, make_mcp=partial(merged, fixture_server)) as url:
                    how = [f"--scenario={scenario}", "--verbose"] if scenario else [f"--requirements={revision}"]
                    run = await asyncio.to_thread(_run, [*command, "server", f"--url={url}/mcp", *how])
                if scenario:
                    print(run)
                    return 0
                failed += _judged(run, revision, sessions, expected)
        finally:
            await servers.redis.kill()
    return 1 if failed else 0


def _run(command: list[str]) -> str:
    """Its output, which is kept where one that hangs can be looked at."""
    with (HOME / "run.log").open("w+") as log:
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False, timeout=_LONGEST)
        log.seek(0)
        return log.read()


def _judged(run: str, revision: str, sessions: bool, expected: tuple[str, ...]) -> list[str]:
    """Prints the counts; the scenarios that count, failed, and were not expected to."""
    summary, _, unscored = run.partition("=== SUMMARY ===")[2].partition("Not scored for")
    scored = {name: mark == "✓" for mark, name in re.findall(r"^([✓✗]) ([\w/-]+):", summary, re.MULTILINE)}
    for name in re.findall(r"^\s+[✓✗] ([\w/-]+) \(", unscored, re.MULTILINE):
        scored.pop(name, None)
    failed = sorted(name for name, passed in scored.items() if not passed)
    surprising = [name for name in failed if name not in expected]
    how = "with sessions" if sessions else "without sessions"
    print(f"{revision} {how}: {len(scored) - len(failed)} of {len(scored)} scenarios that count")
    for name in failed:
        print(f"  failed: {name}{'' if name in surprising else ', as expected: it needs sessions'}")
    return surprising if scored else ["nothing ran"]


if __name__ == "__main__":
    sys.exit(main())
