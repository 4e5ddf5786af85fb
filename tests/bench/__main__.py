"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import asyncio
import os
from importlib import import_module

from tests.bench.figures import Figures

SECTIONS = ("queue", "front", "analysis")


def main() -> None:
    """Runs one section or all; the last line is the JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", choices=SECTIONS)
    only = parser.parse_args().only
    figures = Figures()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}")
    for section in (only,) if only else SECTIONS:
        asyncio.run(import_module(f"tests.bench.{section}").run(figures))
    print()
    print(figures.json())


if __name__ == "__main__":
    main()
