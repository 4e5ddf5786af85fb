"""`make swarm-trial`: kills, replaces and scales the stack of `make swarm` under load, and counts what that cost.

Prints a line of JSON a part, and one with all figures at the end. Exit status 1 if an accepted job was lost, a call
failed during a rolling update, replicas rose late, or something but 80 and 443 answers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any

from tests.swarm.burst import burst
from tests.swarm.doors import look_from_outside, refused_and_led_on
from tests.swarm.engine import Stack
from tests.swarm.kills import kill_each
from tests.swarm.load import Load
from tests.swarm.rolling import roll
from tests.swarm.verdict import fate

if TYPE_CHECKING:
    from collections.abc import Sequence

_PARTS = ("doors", "kills", "rolling", "burst")
_RISE_WITHIN = 15.0
_ENDS_WITHIN = 300.0
_CALM = 8.0


class Trial:
    """One run against a stack that is up."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.stack = Stack(options.stack)
        self.url = f"https://{options.host}"

    async def run(self, parts: Sequence[str]) -> dict[str, Any]:
        """The figures of each part, and whether all is as promised."""
        figures: dict[str, Any] = {}
        for part in parts:
            figures[part] = await getattr(self, part)()
            print(json.dumps({part: figures[part]}), flush=True)
        return {"right": all(each["right"] for each in figures.values()), **figures}

    async def doors(self) -> dict[str, Any]:
        """From outside."""
        outside = await look_from_outside(self.stack, self.options.authority)
        nginx = await refused_and_led_on(self.url, self.options.authority)
        return {**outside, "nginx": nginx["codes"], "right": outside["right"] and nginx["right"]}

    async def kills(self) -> dict[str, Any]:
        """Nothing accepted may be lost, whatever is killed."""
        victims = tuple(self.options.only.split(",")) if self.options.only else ()
        load = await self._load()
        async with load.running() as tally:
            await asyncio.sleep(_CALM)
            rows = await kill_each(self.stack, tally, _CALM, *([victims] if victims else []))
        return await self._counted(load, rows, may_fail=True)

    async def rolling(self) -> dict[str, Any]:
        """Nothing may fail."""
        load = await self._load()
        async with load.running() as tally:
            await asyncio.sleep(_CALM)
            rows = await roll(self.stack, tally, _CALM)
        return await self._counted(load, rows, may_fail=False)

    async def burst(self) -> dict[str, Any]:
        """Replicas rise in time, and nothing is lost as they go."""
        figures = await burst(self.stack, self.options.jobs, self.options.within)
        risen = figures["more_wanted_after_s"]
        right = risen is not None and risen <= _RISE_WITHIN and figures["lost"] == figures["dead"] == 0
        return {**figures, "right": right}

    async def _counted(self, load: Load, rows: list[dict[str, Any]], *, may_fail: bool) -> dict[str, Any]:
        tally = load.tally
        end = await fate(self.stack, list(tally.accepted), _ENDS_WITHIN)
        failed = len(tally.failures)
        kept = end.lost == end.dead == tally.never_accepted == 0 and all(
            row.get("back_s", 0) is not None for row in rows
        )
        return {
            "parts": rows,
            "submissions": tally.submissions,
            "mcp_calls": tally.mcp_calls,
            "failed_calls": failed,
            "never_accepted": tally.never_accepted,
            **end.as_dict(),
            "right": kept and (may_fail or failed == 0),
        }

    async def _load(self) -> Load:
        keys = [await self._key(number) for number in range(self.options.clients)]
        return Load(self.url, self.options.authority, keys, self.options.pace)

    async def _key(self, number: int) -> str:
        said = await self.stack.inside(
            "front", "crypto-mcp", "keys", "create", f"trial-{number}", "--role", "trader", "--days", "1"
        )
        found = re.search(r"cmcp_[A-Za-z0-9_-]+", said)
        if found is None:
            raise RuntimeError(f"no key in what `keys create` said: {said[:200]}")
        return found.group()


def main() -> None:
    """Reads the command line, runs, prints, exits."""
    parser = argparse.ArgumentParser(description="What does it cost to kill, replace and scale the stack under load?")
    parser.add_argument("parts", nargs="*", choices=[*_PARTS, []], default=list(_PARTS))
    parser.add_argument("--stack", default=os.environ.get("STACK", "crypto"))
    parser.add_argument("--host", default=os.environ.get("HOST", "localhost"))
    parser.add_argument("--authority", default="compose/secrets/ca.crt", help="what nginx' certificate is signed by")
    parser.add_argument("--pace", type=float, default=4.0, help="submissions a second")
    parser.add_argument("--clients", type=int, default=4, help="keys the load is spread over")
    parser.add_argument("--only", default="", help="kill only these services, separated by commas")
    parser.add_argument("--jobs", type=int, default=2000, help="backtests of the burst")
    parser.add_argument("--within", type=float, default=900.0, help="seconds the burst may take")
    options = parser.parse_args()
    figures = asyncio.run(Trial(options).run(options.parts or _PARTS))
    print(json.dumps(figures))
    sys.exit(0 if figures["right"] else 1)


if __name__ == "__main__":
    main()
