"""The workflows of docs/n8n say what is served, and hold no secret. `make n8n` runs them."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import pytest

from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.server.app import build_app
from crypto_mcp.server.requests import EXECUTION_HEADER
from crypto_mcp.settings import Settings
from tests.n8n.workflows import FILES, FOLDER, set_up

WORKFLOWS = {path.name: json.loads(path.read_text()) for path in FILES.values()}
CALLS = [
    pytest.param(node["parameters"], id=f"{name}: {node['name']}")
    for name, workflow in WORKFLOWS.items()
    for node in workflow["nodes"]
    if ".json.crypto_mcp }}/" in node["parameters"].get("url", "")
]


@pytest.fixture(params=WORKFLOWS)
def workflow(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = WORKFLOWS[request.param]
    return found


def test_the_page_names_each_file() -> None:
    assert set(re.findall(r"\((\S+\.json)\)", (FOLDER / "README.md").read_text())) == set(WORKFLOWS)


def test_credentials_are_named_and_not_there(workflow: dict[str, Any]) -> None:
    text = json.dumps(workflow)
    assert not re.search(r"cmcp_[0-9a-zA-Z]{8}|whsec_[0-9a-zA-Z+/]{8}|\d{8,}:[A-Za-z0-9_-]{30}", text)
    for node in workflow["nodes"]:
        for credential in node.get("credentials", {}).values():
            assert credential.keys() == {"id", "name"}


def test_every_link_leads_to_a_node_and_every_node_is_reached(workflow: dict[str, Any]) -> None:
    names = {node["name"] for node in workflow["nodes"]}
    linked = {
        link["node"] for links in workflow["connections"].values() for ends in links["main"] for link in ends
    } | workflow["connections"].keys()
    notes = {node["name"] for node in workflow["nodes"] if node["type"] == "n8n-nodes-base.stickyNote"}
    assert notes
    assert linked == names - notes


def test_every_node_that_an_expression_names_is_there(workflow: dict[str, Any]) -> None:
    names = {node["name"] for node in workflow["nodes"]}
    assert set(re.findall(r"\$\('([^']+)'\)", json.dumps(workflow))) <= names


@pytest.mark.parametrize("call", CALLS)
def test_every_call_is_of_a_route_with_the_key_and_the_execution(call: dict[str, Any]) -> None:
    path = call["url"].rpartition(".json.crypto_mcp }}")[2]
    wanted = re.sub(r"\{\{.*?\}\}", "{}", path)
    assert (call["method"], wanted) in _routes()
    assert call["genericAuthType"] == "httpHeaderAuth"
    headers = {each["name"]: each["value"] for each in call.get("headerParameters", {"parameters": ()})["parameters"]}
    assert path.startswith("/v1/workflows/") or headers[EXECUTION_HEADER] == "={{ $execution.id }}"
    asked = {each["name"] for each in call.get("queryParameters", {"parameters": ()})["parameters"]}
    assert asked <= _routes()[call["method"], wanted]


def test_a_submission_names_parameters_of_its_kind() -> None:
    for call in (each.values[0] for each in CALLS):
        kind = call["url"].partition("/v1/jobs/")[2]
        if call["method"] == "POST" and kind:
            given = set(re.findall(r"[{,] (\w+): ", call["jsonBody"]))
            assert given
            assert given <= CATALOGUE[kind].params.model_fields.keys()


def test_settings_that_are_not_there_cannot_be_filled_in() -> None:
    with pytest.raises(KeyError, match="colour"):
        set_up(FILES["crypto-errors"], {"colour": "red"})


@cache
def _routes() -> dict[tuple[str, str], set[str]]:
    """Methods and paths that are served, variables as `{}`, with their query parameters."""
    paths = build_app(Settings(_env_file=None)).openapi()["paths"]
    return {
        (method.upper(), re.sub(r"\{\w+\}", "{}", path)): {
            each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"
        }
        for path, operations in paths.items()
        for method, operation in operations.items()
    }
