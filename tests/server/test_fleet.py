"""Processes that do the same work: kept running, ended together."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]

_PARENT = """
import os, signal, sys
from crypto_mcp import logs
from crypto_mcp.server.fleet import Fleet
from crypto_mcp.settings import LogSettings
logs.configure(LogSettings(format="json"))
def work():
    os.write(1, b"%d\\n" % os.getpid())  # in one piece, whoever else writes
    {work}
Fleet(2, work, grace=1).run()
print("ended in order", flush=True)
"""


@contextmanager
def fleet(work: str = "signal.pause()") -> Iterator[psutil.Popen]:
    """A parent with two children that print their ids."""
    parent = psutil.Popen(
        [sys.executable, "-c", _PARENT.format(work=work)], cwd=ROOT, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield parent
    finally:
        if parent.is_running():
            parent.kill()
        parent.communicate()


def next_child(parent: psutil.Popen) -> psutil.Process:
    return psutil.Process(int(parent.stdout.readline()))


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_parent_ends_all(signum: int) -> None:
    with fleet() as parent:
        children = [next_child(parent) for _ in range(2)]
        parent.send_signal(signum)
        assert parent.stdout.readline() == "ended in order\n"
        assert parent.wait(20) == 0
        assert not any(child.is_running() for child in children)


def test_a_child_that_dies_is_replaced() -> None:
    with fleet() as parent:
        first, second = next_child(parent), next_child(parent)
        first.kill()
        third = next_child(parent)
        assert {child.pid for child in parent.children()} == {second.pid, third.pid}


def test_a_child_that_cannot_start_is_tried_again_more_and_more_slowly() -> None:
    with fleet(work="sys.exit(3)") as parent:
        for _ in range(4):
            parent.stdout.readline()
        parent.terminate()
        log = parent.communicate()[1]
    assert [orjson.loads(line)["restart_in"] for line in log.splitlines()][:3] == [0.2, 0.4, 0.8]


def test_a_child_that_does_not_end_is_killed() -> None:
    with fleet(work="signal.signal(signal.SIGTERM, signal.SIG_IGN); [signal.pause() for _ in iter(int, 1)]") as parent:
        children = [next_child(parent) for _ in range(2)]
        parent.terminate()
        assert parent.wait(20) == 0
        assert not any(child.is_running() for child in children)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells children of their parent's death on Linux only")
def test_no_child_outlives_a_parent_that_was_killed() -> None:
    with fleet() as parent:
        children = [next_child(parent) for _ in range(2)]
        parent.kill()
        psutil.wait_procs(children, timeout=20)
        assert not any(child.is_running() for child in children)
