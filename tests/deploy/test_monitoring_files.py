"""Prometheus rules and dashboards: checked by promtool, and against what /metrics tells."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "compose" / "monitoring"
SOURCES = Path(__file__).parents[2] / "crypto_mcp"
_SUFFIXES = re.compile(r"_(total|bucket|count|sum)$")

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")


@needs_promtool
def test_rules_fire_when_they_should_and_only_then() -> None:
    """`promtool test rules`: each alert at its time, none before."""
    done = subprocess.run(
        ["promtool", "test", "rules", "rules.test.yml"], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested_to_fire_and_every_threshold_to_hold_still_below() -> None:
    """An alert that nobody saw fire may have an expression that never does."""
    rules = yaml.safe_load((FOLDER / "rules.yml").read_text())["groups"][0]["rules"]
    cases = [
        case
        for test in yaml.safe_load((FOLDER / "rules.test.yml").read_text())["tests"]
        for case in test["alert_rule_test"]
    ]
    alerts = {rule["alert"] for rule in rules if "alert" in rule}
    assert alerts == {case["alertname"] for case in cases if case["exp_alerts"]}
    silent = {case["alertname"] for case in cases if not case["exp_alerts"]}
    assert alerts - silent <= {"Watchdog", "SlowAnswers", "FrontEndDown"}


def test_rules_and_dashboards_ask_only_for_figures_that_there_are() -> None:
    """A figure that was renamed would make an alert that never fires."""
    known = set(re.findall(r'"(crypto_mcp_\w+)"', "".join(path.read_text() for path in SOURCES.rglob("*.py"))))
    known |= {f"crypto_mcp_backup_{what}_timestamp_seconds" for what in ("full", "tail", "failed")}
    texts = {path.name: path.read_text() for path in [FOLDER / "rules.yml", *FOLDER.glob("*.json")]}
    for name, text in texts.items():
        asked = {_SUFFIXES.sub("", each) for each in re.findall(r"\bcrypto_mcp_\w+", text)}
        assert asked - known == set(), name
        assert len(asked) >= 5, name


def test_dashboards_are_whole() -> None:
    """Valid JSON, each panel with a title, a unit or a legend, a query, and a place of its own."""
    for path in FOLDER.glob("*.json"):
        panels = json.loads(path.read_text())["panels"]
        places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in panels]
        assert len(set(places)) == len(places)
        for panel in panels:
            assert panel["title"]
            assert all(target["expr"] for target in panel["targets"])
