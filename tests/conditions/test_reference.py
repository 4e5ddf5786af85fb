"""The reference names every word of the language, and its examples are conditions."""

from __future__ import annotations

import re
from pathlib import Path

from crypto_mcp.conditions import parse
from crypto_mcp.conditions.functions import NAMES
from crypto_mcp.conditions.reference import reference

PAGE = Path(__file__).parents[2] / "docs" / "conditions.md"


def test_the_page_is_what_the_tables_say() -> None:
    assert PAGE.read_text() == reference(), "run: crypto-mcp conditions --markdown > docs/conditions.md"


def test_every_word_is_on_the_page() -> None:
    for name in NAMES:
        assert f"`{name}`" in reference() or f"`{name}(" in reference()


def test_the_examples_on_the_page_are_conditions() -> None:
    for text in re.findall(r"```\n(.*?)```", reference(), re.DOTALL)[0].splitlines():
        assert parse(text)
