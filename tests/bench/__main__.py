"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import os
from importlib import import_module

import uvloop

from tests.bench.figures import Figures
from tests.bench.machine import watched

SECTIONS = ("queue", "front", "analysis", "market", "archive", "backtest", "risk", "alerts")


def main() -> None:
    """Runs one section or all; the last line is the JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", choices=SECTIONS)
    parser.add_argument("--quick", action="store_true", help="few calls and rounds: does it run? Not for comparing")
    options = parser.parse_args()
    figures = Figures()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}{', quick' if options.quick else ''}")
    for section in (options.only,) if options.only else SECTIONS:
        with watched(section):
            uvloop.run(import_module(f"tests.bench.{section}").run(figures, quick=options.quick))
    print()
    print(figures.json())


if __name__ == "__main__":
    main()
