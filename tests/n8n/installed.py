"""n8n itself, installed once from the npm registry into `.local/n8n` and kept there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

VERSION = "1.123.0"
HOME = Path(".local/n8n")
_OLDEST_NODE, _FIRST_TOO_NEW = (20, 19), (25, 0)
_NEEDED = 3_000_000_000
"""Bytes: it is 1.6 GB when it is there, and npm's cache is as much again."""

_PACKAGE = {
    "name": "crypto-mcp-n8n",
    "private": True,
    "dependencies": {"n8n": VERSION},
    # n8n points it at a download outside the registry.
    "overrides": {"xlsx": "0.18.5"},
}


class NotInstalled(Exception):
    """n8n cannot be had here; the message says what is missing."""


def installed() -> list[str]:
    """The command that runs n8n."""
    node = _node()
    program = (HOME / "node_modules/n8n/bin/n8n").absolute()
    ready = HOME / f".ready-{VERSION}"
    if not ready.exists():
        _install()
        ready.touch()
    return [node, str(program)]


def _node() -> str:
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        raise NotInstalled("Node and npm are needed (Debian: apt-get install nodejs npm)")
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    version = tuple(int(part) for part in re.findall(r"\d+", said)[:2])
    if not _OLDEST_NODE <= version < _FIRST_TOO_NEW:
        raise NotInstalled(f"n8n {VERSION} runs on Node 20.19 to 24; here is {said}")
    return node


def _install() -> None:
    """Without scripts: what they build (SQLite) is not used, for n8n keeps its data in PostgreSQL here."""
    HOME.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(HOME).free < _NEEDED:
        raise NotInstalled(f"n8n needs 3 GB below {HOME.absolute()}, and there is less")
    print(f"Installing n8n {VERSION} into {HOME} (once: some minutes, 1.6 GB)", flush=True)
    (HOME / "package.json").write_text(json.dumps(_PACKAGE, indent=2))
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        subprocess.run(command, cwd=HOME, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        raise NotInstalled(
            f"npm cannot install n8n {VERSION}: a registry is needed. It said:\n{said[-1500:]}"
        ) from None
