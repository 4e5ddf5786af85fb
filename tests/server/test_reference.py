"""docs/rest.md and docs/mcp.md name what is served, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from crypto_mcp.errors import CryptoMcpError
from crypto_mcp.server import app  # noqa: F401 - every error the front end knows is declared then
from crypto_mcp.server.reference import PARTS, renewed

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", ["rest.md", "mcp.md"])
def test_the_tables_are_what_is_served(name: str) -> None:
    page = (DOCS / name).read_text()
    assert page == renewed(page), "run: python -m crypto_mcp.server.reference"


def test_every_part_is_on_a_page() -> None:
    made = {part for name in ("rest.md", "mcp.md") for part in re.findall(r"made: (\w+)", (DOCS / name).read_text())}
    assert made == set(PARTS)


def test_every_code_of_an_error_that_rest_answers_is_on_the_page() -> None:
    page = (DOCS / "rest.md").read_text()
    for error in _below(CryptoMcpError):
        known = error.__module__.startswith(("crypto_mcp.errors", "crypto_mcp.server", "crypto_mcp.access"))
        if known and error.__module__ != "crypto_mcp.server.serve":
            assert f"`{error.code}`" in page, error


def _below(error: type[CryptoMcpError]) -> list[type[CryptoMcpError]]:
    return [error, *(each for child in error.__subclasses__() for each in _below(child))]
