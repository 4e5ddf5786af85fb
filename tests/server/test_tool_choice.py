"""Which tool a question is for: by the words of the list of tools alone, as a careful reader would choose.

The scorer knows no meanings: BM25 over stems. What it can tell apart a model can too.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from crypto_mcp.alerts.definition import understand
from crypto_mcp.catalogue import CATALOGUE
from crypto_mcp.conditions import parse
from crypto_mcp.server.tools import Tools
from crypto_mcp.settings import ServerSettings

if TYPE_CHECKING:
    from mcp.types import Tool

_TOOLS = Tools(CATALOGUE, ServerSettings()).by_name
_KINDS = {kind.name: kind for kind in CATALOGUE.tools()}
_ENDINGS = re.compile(r"(ations?|ings?|ies|ed|es|s|e|y)$")
_SAID_BY_ALL = frozenset(
    re.findall(
        r"\w+",
        """a an and any are as at be by can did do does each else for from give had has have how i if in into is it its
        let like look me my now of on one only or over please right see should so some tell that the their them there
        these they this to too up us was way we were what when where which who whose why will with would yet you
        your""",
    )
)
_ARGUMENTS = frozenset(
    re.findall(r"\w+", "ada avax bitcoin bnb btc btcusdt doge eth link sol solana day daily hour hourly week")
)
"""Coins and lengths of bars: most tools take them, so that they say nothing of the tool."""


class Question(NamedTuple):
    """A question, the tool for it, the arguments it needs, and another tool that one could choose."""

    ask: str
    tool: str
    arguments: dict[str, Any]
    other: str | None


def _questions() -> list[Question]:
    read = tomllib.loads(Path(__file__).with_name("questions.toml").read_text(encoding="utf-8"))
    return [
        Question(each["ask"], tool, each["with"], each.get("or")) for tool, listed in read.items() for each in listed
    ]


QUESTIONS = _questions()


def words(text: str) -> list[str]:
    """Stems, roughly: lower case, without the usual endings and without what every sentence has."""
    found = re.findall(r"[a-z]+", text.lower().replace("_", " "))
    return [
        _ENDINGS.sub("", word) if len(word) > 4 else word.rstrip("s")
        for word in found
        if word not in _SAID_BY_ALL | _ARGUMENTS
    ]


def said(tool: Tool) -> list[str]:
    """What the list says of a tool: its name, title and description count three times as much as its parameters."""
    return words(f"{tool.name} {tool.title} {tool.description} " * 3 + _told(tool.input_schema))


def _told(node: Any) -> str:
    """Names, descriptions and values of parameters, without the words of JSON schema."""
    if isinstance(node, dict):
        names = " ".join(node.get("properties", {}))
        parts = [
            _told(each) for each in (*node.get("properties", {}).values(), node.get("items"), *node.get("anyOf", ()))
        ]
        return " ".join([names, node.get("description", ""), *map(str, node.get("enum", ())), *parts])
    return ""


_SAID = {name: Counter(said(tool)) for name, tool in _TOOLS.items()}
_MEAN = sum(counts.total() for counts in _SAID.values()) / len(_SAID)


def ranked(question: str) -> list[str]:
    """Tools by BM25 (Robertson and Zaragoza 2009, k1 1.2, b 0.3), the best first."""

    def score(counts: Counter[str]) -> float:
        total = 0.0
        for word in set(words(question)):
            having = sum(word in each for each in _SAID.values())
            rarity = math.log(1 + (len(_SAID) - having + 0.5) / (having + 0.5))
            often = counts[word]
            total += rarity * often * 2.2 / (often + 1.2 * (0.7 + 0.3 * counts.total() / _MEAN))
        return total

    return sorted(_SAID, key=lambda name: score(_SAID[name]), reverse=True)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.ask)
def test_the_words_of_the_list_lead_to_the_right_tool(question: Question) -> None:
    found = ranked(question.ask)
    allowed = [question.tool] if question.other is None else [question.tool, question.other]
    assert found[0] in allowed, found[:3]
    assert question.tool in found[: len(allowed)], found[:3]


def test_there_are_sixty_questions_or_more_and_some_for_each_tool() -> None:
    """Few of them could go to another tool."""
    asked = Counter(question.tool for question in QUESTIONS)
    assert asked.total() == len({question.ask for question in QUESTIONS}) >= 60
    assert set(asked) == set(_TOOLS)
    assert sum(question.other is not None for question in QUESTIONS) <= 3


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.ask)
def test_the_arguments_are_on_the_list_and_are_taken(question: Question) -> None:
    """A model knows only the parameters it is shown; conditions and strategies are read as the workers read them."""
    schema = _TOOLS[question.tool].input_schema
    assert question.arguments.keys() <= schema.get("properties", {}).keys()
    assert set(schema.get("required", ())) <= question.arguments.keys()
    if question.tool in _KINDS:
        _KINDS[question.tool].params.model_validate(question.arguments)
    condition, strategy = (question.arguments.get(name) for name in ("condition", "strategy"))
    if question.tool == "alert_manager" and condition:
        assert understand(condition).sentence
    elif condition:
        parse(condition)
    if isinstance(strategy, dict):
        assert all(parse(strategy[name]) for name in ("entry", "exit"))
    elif strategy:
        assert strategy in schema["properties"]["strategy"]["description"]
