"""What the stack is built with: supervision, the lock, log files, passwords."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from crypto_mcp.local import supervisor
from crypto_mcp.local.child import Child, ended
from crypto_mcp.local.errors import AlreadyRunning, LocalError, StartFailed
from crypto_mcp.local.lock import only_stack
from crypto_mcp.local.logfiles import KEPT, rotate
from crypto_mcp.local.passwords import Passwords
from crypto_mcp.local.ports import http_url
from crypto_mcp.local.process import Launch
from crypto_mcp.local.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


class Sleeper(Child):
    """A program that does nothing until it is ended; every start appends a line to its log."""

    def __init__(self, name: str, folder: Path, ends: list[str] | None = None) -> None:
        super().__init__(name, folder / f"{name}.log")
        self.starts = 0
        self.broken = False
        self._ends = ends if ends is not None else []

    def prepare(self) -> Launch:
        self.starts += 1
        return Launch(["false"] if self.broken else ["sleep", "60"])

    async def ready(self) -> None:
        if self.broken:
            raise OSError

    async def stop(self) -> None:
        self._ends.append(self.name)
        await super().stop()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
async def supervised(said: list[str], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Supervisor]:
    monkeypatch.setattr(supervisor, "_FIRST_PAUSE", 0.01)
    owner = Supervisor(said.append)
    yield owner
    await owner.stop()


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.01)


async def test_a_child_that_crashes_is_started_again_and_that_is_said(
    supervised: Supervisor, said: list[str], tmp_path: Path
) -> None:
    child = Sleeper("redis", tmp_path)
    await supervised.start(child, stage=0)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    await _until(lambda: "redis is back" in said)
    assert child.starts == 2
    assert said[0].startswith("redis was ended by SIGKILL. Starting it again in 0.0 s.")
    assert str(child.log) in said[0]


async def test_a_child_that_does_not_start_again_is_tried_until_it_does(
    supervised: Supervisor, said: list[str], tmp_path: Path
) -> None:
    child = Sleeper("mongodb", tmp_path)
    await supervised.start(child, stage=0)
    child.broken = True
    await child.kill()
    await _until(lambda: sum("does not start" in line for line in said) >= 2)
    child.broken = False
    await _until(lambda: "mongodb is back" in said)


async def test_a_child_whose_preparation_breaks_is_tried_again_too(
    supervised: Supervisor, said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong, the keeper must not die of it."""
    child = Sleeper("postgresql", tmp_path)
    await supervised.start(child, stage=0)
    with monkeypatch.context() as full:
        full.setattr(child, "prepare", lambda: (tmp_path / "no" / "such").write_text(""))
        await child.kill()
        await _until(lambda: any("failed while starting: FileNotFoundError" in line for line in said))
    await _until(lambda: "postgresql is back" in said)


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:1"), ("0.0.0.0", "http://127.0.0.1:1"), ("::", "http://[::1]:1")],
)
def test_a_server_that_listens_everywhere_is_reached_on_loopback(host: str, url: str) -> None:
    assert http_url(host, 1) == url


async def test_a_first_start_that_fails_is_an_error(supervised: Supervisor, tmp_path: Path) -> None:
    child = Sleeper("front-end", tmp_path)
    child.broken = True
    with pytest.raises(StartFailed, match="front-end ended with status 1"):
        await supervised.start(child, stage=1)


async def test_a_child_may_be_started_in_the_background(
    supervised: Supervisor, said: list[str], tmp_path: Path
) -> None:
    child = Sleeper("scheduler", tmp_path)
    child.broken = True
    supervised.start_soon(child, stage=1)
    await _until(lambda: any("scheduler does not start" in line for line in said))
    child.broken = False
    await _until(lambda: "scheduler is back" in said)
    await child.kill()
    await _until(lambda: said.count("scheduler is back") == 2)


async def test_the_end_comes_in_reverse_order(said: list[str], tmp_path: Path) -> None:
    owner, ends = Supervisor(said.append), list[str]()
    for name, stage in (("redis", 0), ("worker", 1), ("front-end", 1), ("mongodb", 0)):
        await owner.start(Sleeper(name, tmp_path, ends), stage=stage)
    await owner.stop()
    assert ends == ["worker", "front-end", "redis", "mongodb"]
    assert said == []


def test_an_exit_status_is_told_in_words() -> None:
    assert ended(-9) == "was ended by SIGKILL"
    assert ended(3) == "ended with status 3"


def test_a_second_stack_on_the_same_data_names_the_first(tmp_path: Path) -> None:
    lock = tmp_path / "run.lock"
    with only_stack(lock) as unclean:
        assert unclean is None
        with pytest.raises(AlreadyRunning, match=str(os.getpid())), only_stack(lock):
            pass
    with only_stack(lock) as unclean:
        assert unclean is None


def test_a_stack_that_was_killed_is_told_from_one_that_runs(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, signal, sys; from crypto_mcp.local.lock import only_stack\n"
        "with only_stack(pathlib.Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    lock = tmp_path / "run.lock"
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.Popen([sys.executable, "-c", program, str(lock)], env=env)
    killed.wait()
    with only_stack(lock) as unclean:
        assert unclean == killed.pid


def test_logs_of_the_last_starts_are_kept(tmp_path: Path) -> None:
    for start in range(KEPT + 2):
        rotate(tmp_path)
        assert not (tmp_path / "redis.log").exists()
        (tmp_path / "redis.log").write_text(str(start))
    newest_first = [tmp_path / "redis.log", *(tmp_path / f"redis.log.{n}" for n in range(1, KEPT + 1))]
    assert [path.read_text() for path in newest_first] == [str(n) for n in range(KEPT + 1, 0, -1)]
    assert len(list(tmp_path.iterdir())) == KEPT + 1


def test_passwords_are_made_once_and_for_the_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    made = Passwords.kept_in(path)
    assert Passwords.kept_in(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert made.redis != made.mongo
    assert made.redis not in repr(made)


def test_a_broken_password_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text("{}")
    with pytest.raises(LocalError, match=r"secrets\.json"):
        Passwords.kept_in(tmp_path / "secrets.json")
