"""Kernels run as Python until they are compiled, with the same result, and are compiled once on a machine."""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from crypto_mcp.analysis.assess import assess
from crypto_mcp.compiling import Kernel, meanwhile_interpreted
from tests.analysis.nasty import NASTY

SOURCE = """
from crypto_mcp.compiling import compiled

@compiled
def double(x):
    return 2 * x

@compiled
def total(values):
    sum = 0.0
    for value in values:
        sum += double(value)
    return sum
"""

COMPILING = """
import numpy as np
from kernels_of_a_test import double, total
print("ready", flush=True)
input()
total(np.arange(5.0))
print(sum(sum(kernel.stats.cache_misses.values()) for kernel in (total, double)))
"""


@pytest.fixture
def module(tmp_path: Path) -> ModuleType:
    """Kernels that nobody has compiled."""
    path = tmp_path / "kernels_of_a_test.py"
    path.write_text(SOURCE)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_meanwhile_others_run_as_python_and_who_compiles_compiles(module: ModuleType) -> None:
    """What this task calls is compiled; what a task begun before it calls runs as Python."""
    inside = asyncio.Event()

    async def other() -> tuple[float, int]:
        await inside.wait()
        return await asyncio.to_thread(module.total, np.arange(5.0)), len(module.total.overloads)

    before = asyncio.create_task(other())
    await asyncio.sleep(0)
    with meanwhile_interpreted():
        inside.set()
        assert await before == (10 * 2, 0)
        assert await asyncio.to_thread(module.total, np.arange(5.0)) == 10 * 2
        assert len(module.total.overloads) == 1


def test_of_several_processes_one_compiles(tmp_path: Path, module: ModuleType) -> None:
    """The others read what it has kept."""
    command = [sys.executable, "-c", COMPILING]
    processes = [
        subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [int(process.communicate()[0]) for process in processes]
    assert sorted(told) == [0, 2]


def test_what_is_kept_is_not_taken_when_a_called_kernel_has_changed_in_another_file(tmp_path: Path) -> None:
    """Neither right below nor further down; unchanged, it is."""
    deep, middle, top = (tmp_path / f"{name}.py" for name in ("deep", "middle", "top"))
    kernel = "from crypto_mcp.compiling import {kind}\n{imported}\n@{kind}\ndef {name}(x):\n    return {body}\n"
    middle.write_text(
        kernel.format(kind="inlined", imported="from deep import deep", name="middle", body="2 * deep(x)")
    )
    top.write_text(
        kernel.format(kind="compiled_only", imported="from middle import middle", name="top", body="middle(x)")
    )
    command = [sys.executable, "-c", "from top import top; print(top(1), sum(top.stats.cache_misses.values()))"]
    told = []
    for body in ("x + 1", "x + 1", "x + 10"):
        text = kernel.format(kind="compiled", imported="", name="deep", body=body)
        if not deep.exists() or deep.read_text() != text:
            deep.write_text(text)
        told.append(subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout)
    assert told == ["4 1\n", "4 0\n", "22 1\n"]


@pytest.mark.parametrize("name", ["holes", "jumps", "1e-8", "flat"])
def test_an_answer_is_the_same_whether_kernels_are_compiled_or_not(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the letter: who asks while a worker is cold gets no other figures."""
    compiled = assess(NASTY[name], detail="full").model_dump_json()
    with np.errstate(all="ignore"):
        monkeypatch.setattr(Kernel, "__call__", lambda kernel, *args: kernel.py_func(*args))
        assert assess(NASTY[name], detail="full").model_dump_json() == compiled
