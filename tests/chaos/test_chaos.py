"""A short form of `make chaos`."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.__main__ import Chaos, parse


async def test_nothing_is_lost_or_finished_twice_under_chaos(tmp_path: Path) -> None:
    """A thousand jobs, three workers: kills, a stop, a restart of Redis, and cut sockets."""
    options = ["--jobs", "1000", "--longest", "20", "--restarts", "1", "--restart-every", "4", "--seed", "3"]
    chaos = Chaos(parse([*options, "--kill-every", "1.5", "--heartbeat", "2", "--patience", "120"]), tmp_path)
    tally = await chaos.run()
    assert tally.kept, tally
    assert tally.jobs == 1000
    assert len(chaos.kills) >= 2
    assert chaos.proxy.cuts > 0
