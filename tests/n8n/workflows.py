"""The files of docs/n8n, set up as a person would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "docs" / "n8n"
FILES = {json.loads(path.read_text())["id"]: path for path in sorted(FOLDER.glob("*.json"))}
EVERY_20_S = "*/20 * * * * *"


def set_up(path: Path, values: dict[str, str]) -> dict[str, Any]:
    """A workflow with values in its node *Settings*, and a clock that strikes while somebody watches."""
    workflow: dict[str, Any] = json.loads(path.read_text())
    nodes = {node["name"]: node for node in workflow["nodes"]}
    fields = {each["name"]: each for each in nodes["Settings"]["parameters"]["assignments"]["assignments"]}
    for name, value in values.items():
        fields[name]["value"] = value
    for node in workflow["nodes"]:
        if node["type"] == "n8n-nodes-base.scheduleTrigger":
            node["parameters"]["rule"]["interval"][0]["expression"] = EVERY_20_S
    return workflow
