"""What docs/rest.md and docs/mcp.md say of what is served, made of it: `python -m crypto_mcp.server.reference`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.server.app import build_app
from crypto_mcp.server.prompts import Prompts
from crypto_mcp.server.resources import Resources
from crypto_mcp.server.tool_reference import contracts, errors, tools
from crypto_mcp.settings import Settings

_METHODS = ("get", "post", "put", "patch", "delete")


def routes() -> str:
    """Every documented route, by its tag."""
    paths = build_app(Settings(_env_file=None)).openapi()["paths"]
    rows = ["| route | | answers |", "|---|---|---|"]
    found = [(path, method, item[method]) for path, item in paths.items() for method in _METHODS if method in item]
    for path, method, operation in sorted(found, key=lambda each: (each[2].get("tags", [""])[0], each[0])):
        query = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"]
        asked = f"?{'&'.join(query)}" if query else ""
        rows.append(f"| `{method.upper()} {path}{asked}` | {operation['summary']} | {_statuses(operation)} |")
    return "\n".join(rows)


def prompts() -> str:
    """Every prompt."""
    rows = ["| prompt | |", "|---|---|"]
    rows += [f"| `{t.name}({', '.join(t.arguments)})` | {t.description} |" for t in Prompts().by_name.values()]
    return "\n".join(rows)


def resources() -> str:
    """Every resource and template."""
    places = Resources(CATALOGUE, 0).places
    return "\n".join(["| resource | |", "|---|---|", *(f"| `{each.uri}` | {each.description} |" for each in places)])


PARTS = {
    "routes": routes,
    "tools": tools,
    "contracts": contracts,
    "errors": errors,
    "prompts": prompts,
    "resources": resources,
}


def renewed(page: str) -> str:
    """A page with its made parts, each between `<!-- made: NAME -->` and `<!-- end -->`, made anew."""

    def part(found: re.Match[str]) -> str:
        return f"<!-- made: {found[1]} -->\n{PARTS[found[1]]()}\n<!-- end -->"

    return re.sub(r"<!-- made: (\w+) -->\n.*?<!-- end -->", part, page, flags=re.DOTALL)


def _statuses(operation: dict[str, Any]) -> str:
    return " ".join(status for status in sorted(operation["responses"]) if status not in ("401", "422", "429", "503"))


if __name__ == "__main__":
    for name in sys.argv[1:] or ("docs/rest.md", "docs/mcp.md"):
        path = Path(name)
        path.write_text(renewed(path.read_text()))
