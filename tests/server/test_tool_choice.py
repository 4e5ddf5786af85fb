"""Which tool a question is for: by the words of the tools alone, as a careful reader of the list would."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.server.tools import Tools
from crypto_mcp.settings import ServerSettings
from tests.server.questions import QUESTIONS

if TYPE_CHECKING:
    from mcp.types import Tool

_TOOLS = {kind.name: Tools(CATALOGUE, ServerSettings()).by_name[kind.name] for kind in CATALOGUE.tools()}
_FIRST, _AMONG_TWO = 0.8, 0.9


def words(text: str) -> list[str]:
    """Stems, roughly: lower case, without plural and the usual endings."""
    found = re.findall(r"[a-z]+", text.lower().replace("_", " "))
    return [re.sub(r"(ies|es|s|ing|ed|e|y)$", "", word) for word in found if len(word) > 2]


def said(tool: Tool) -> list[str]:
    """Everything the list says of a tool; its name, title and description three times."""
    inner = str(tool.input_schema)
    return words(f"{tool.name} {tool.title} {tool.description} " * 3 + inner)


_SAID = {name: Counter(said(tool)) for name, tool in _TOOLS.items()}


def ranked(question: str) -> list[str]:
    """Tools by BM25 (Robertson and Zaragoza 2009, k1 1.2, b 0.3), the best first."""
    average = sum(counts.total() for counts in _SAID.values()) / len(_SAID)

    def score(counts: Counter[str]) -> float:
        total = 0.0
        for word in set(words(question)):
            having = sum(word in each for each in _SAID.values())
            rarity = math.log(1 + (len(_SAID) - having + 0.5) / (having + 0.5))
            often = counts[word]
            total += rarity * often * 2.2 / (often + 1.2 * (0.7 + 0.3 * counts.total() / average))
        return total

    return sorted(_SAID, key=lambda name: score(_SAID[name]), reverse=True)


def test_the_words_of_the_tools_lead_questions_to_the_right_one() -> None:
    """Four of five come first, nine of ten among the first two: the rest needs to be understood, not matched."""
    places = {question: ranked(question).index(tool) for question, tool, _ in QUESTIONS}
    wrong = [(question, place) for question, place in places.items() if place]
    assert sum(place == 0 for place in places.values()) >= _FIRST * len(QUESTIONS), wrong
    assert sum(place <= 1 for place in places.values()) >= _AMONG_TWO * len(QUESTIONS), wrong


def test_there_are_sixty_questions_and_some_for_each_tool() -> None:
    asked = Counter(tool for _, tool, _ in QUESTIONS)
    assert asked.total() == 60
    assert set(asked) == set(_TOOLS)


@pytest.mark.parametrize(("question", "tool", "arguments"), QUESTIONS)
def test_the_arguments_a_model_should_give_are_accepted(question: str, tool: str, arguments: dict[str, object]) -> None:
    CATALOGUE[tool].params.model_validate(arguments)
