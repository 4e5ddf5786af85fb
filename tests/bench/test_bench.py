"""The benchmarks run, and their last line keeps the contract. What they measure is not judged here."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.bench.figures import percentile

QUEUE_KEYS = {
    "queue_p50_ms",
    "queue_p99_ms",
    "queue_latency_ratio_arq",
    "queue_latency_ratio_taskiq",
    "queue_throughput_ratio_arq",
    "queue_throughput_ratio_saq",
    "queue_throughput_ratio_dramatiq",
    "queue_scaling_4w",
}


def test_the_queue_section_measures_us_and_every_peer() -> None:
    """Every peer's worker answers; the last line is one flat JSON object with the contract's keys."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--only", "queue", "--quick"],
        capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    figures = json.loads(run.stdout.splitlines()[-1])
    assert figures.keys() == QUEUE_KEYS
    assert all(value > 0 for value in figures.values())


@pytest.mark.parametrize(("share", "expected"), [(50, 5), (95, 10), (90, 9), (99, 10), (1, 1)])
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(share: float, expected: int) -> None:
    assert percentile(list(range(10, 0, -1)), share) == expected
