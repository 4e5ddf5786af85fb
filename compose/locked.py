"""Picks from requirements.lock what one role needs, and writes what is in an image as a CycloneDX list.

    python compose/locked.py pick server              the lock's lines for the base and the extra `server`
    python compose/locked.py pick --only hatchling    those of one package and what it needs
    python compose/locked.py sbom                     what is installed beside this interpreter

Only the standard library: it runs before anything is installed. The lock says who needs what (`# via`).
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

_PINNED = re.compile(r"^([a-z0-9][a-z0-9._-]*)==\S+", re.IGNORECASE)
_NAME = re.compile(r"^[A-Za-z0-9._-]+")


def canonical(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def blocks(lock: str) -> dict[str, list[tuple[str, set[str]]]]:
    """Lines of the lock by package, and the packages that need it; a package may be pinned twice, for two Pythons."""
    found: dict[str, list[tuple[str, set[str]]]] = {}
    for block in re.split(r"\n(?=[A-Za-z0-9])", lock):
        if (pinned := _PINNED.match(block)) is not None:
            comments = re.findall(r"^[ ]+#(?: via)?[ ]+(\S+)", block, re.MULTILINE)
            found.setdefault(canonical(pinned[1]), []).append((block.rstrip(), {canonical(each) for each in comments}))
    return found


def picked(lock: str, roots: set[str]) -> str:
    """The lock's lines for these packages and all that they need."""
    pinned = blocks(lock)
    needed, before = {root for root in roots if root in pinned}, 0
    while len(needed) > before:
        before = len(needed)
        needed |= {name for name, lines in pinned.items() if any(parents & needed for _, parents in lines)}
    return "\n".join(text for name in sorted(needed) for text, _ in pinned[name]) + "\n"


def roots_of(project: dict[str, object], extras: list[str]) -> set[str]:
    """Direct dependencies of the base and of these extras."""
    section = project["project"]
    wanted = [*section["dependencies"], *(each for e in extras for each in section["optional-dependencies"][e])]
    return {canonical(_NAME.match(each)[0]) for each in wanted}


def sbom() -> str:
    """CycloneDX 1.5, one component a package."""
    found = sorted({(canonical(d.metadata["Name"]), d.version) for d in distributions()})
    components = [
        {"type": "library", "name": name, "version": version, "purl": f"pkg:pypi/{name}@{version}"}
        for name, version in found
    ]
    return json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": components})


def main(arguments: list[str]) -> None:
    """Prints what was asked for."""
    root = Path(__file__).parent.parent
    if arguments == ["sbom"]:
        print(sbom())
        return
    names = arguments[1:]
    if names[:1] == ["--only"]:
        roots = {canonical(name) for name in names[1:]}
    else:
        roots = roots_of(tomllib.loads((root / "pyproject.toml").read_text()), names)
    print(picked((root / "requirements.lock").read_text(), roots), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
