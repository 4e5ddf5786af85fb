"""The text of a condition, read by Python's parser into a tree; nothing of it is ever run."""

from __future__ import annotations

import ast
import re

from crypto_mcp.conditions import habits
from crypto_mcp.conditions.errors import ConditionError

LONGEST_SOURCE = 1000
_STRINGS = re.compile(r"\"[^\"]*\"|'[^']*'")
_NUMBER = re.compile(r"(?<![\w.])(?:\d[\w.]*|\.\d\w*)(?:(?<=[eE])[+-]\d\w*)?")
_PLAIN = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_PERCENT = re.compile(rf"(?<![\w.])({_PLAIN.pattern})(\s*%)")
_FOREIGN = re.compile(r"[^ -~]")
# What other languages write, and what is written here.
_INSTEAD = {
    "&&": "and",
    "||": "or",
    "=>": ">=",
    "=<": "<=",
    "<>": "!=",
    ":=": "==",
    ";": "and",
    "!(": "not (",
    "\\": "",
}


def read(text: str) -> ast.expr:
    """The tree. Percentages stand in it as imaginary numbers: `5%` has the length of `5j`, so columns stay.

    ConditionError where it is not an expression.
    """
    if len(text) > LONGEST_SOURCE:
        raise ConditionError(
            f"the text has {len(text)} characters, more than {LONGEST_SOURCE}", column=LONGEST_SOURCE + 1
        )
    plain = re.sub(r"\s", " ", text)
    _check_characters(plain)
    try:
        return ast.parse(_marked(plain), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise _explained(plain, error) from None


def _without_strings(text: str) -> str:
    return _STRINGS.sub(lambda quoted: '"' + " " * (len(quoted[0]) - 2) + '"', text)


def _check_characters(text: str) -> None:
    if not text.strip():
        raise ConditionError("there is no condition", column=1)
    foreign = _FOREIGN.search(text)
    if foreign:
        raise ConditionError(
            f"{foreign[0]!r} does not belong here",
            column=foreign.start() + 1,
            found=foreign[0],
            advice='Write >= for at least and quotes as in "demand".',
        )
    bare = _without_strings(text)
    for wrong, right in _INSTEAD.items():
        at = bare.find(wrong)
        if at >= 0:
            raise ConditionError(
                f"{wrong!r} does not belong here", column=at + 1, found=wrong, advice=right and f"Write {right!r}."
            )
    for percent in _PERCENT.finditer(bare):
        if bare[percent.end() : percent.end() + 1].isalnum():
            raise ConditionError("a space is missing", column=percent.end() + 1, found=bare[percent.end()])
    for number in _NUMBER.finditer(bare):
        if not _PLAIN.fullmatch(number[0]):
            raise ConditionError(
                f"{number[0]!r} is not a number",
                column=number.start() + 1,
                found=number[0],
                advice=habits.of_number(number[0]),
            )


def _marked(text: str) -> str:
    """With `j` for each percent sign after a number."""
    bare = _without_strings(text)
    marked = list(text)
    for percent in _PERCENT.finditer(bare):
        marked[percent.start(2) : percent.end(2)] = list("j".ljust(len(percent[2])))
    return "".join(marked)


def _explained(text: str, error: Exception) -> ConditionError:
    column = min(max(1, getattr(error, "offset", None) or 1), len(text) + 1)
    found = text[column - 1 : column + 11].split(" ", maxsplit=1)[0] if column <= len(text) else "the end"
    advice = habits.of_words(_without_strings(text))
    if re.search(r"(?<![<>=!])=(?!=)", _without_strings(text)):
        advice = "Compare with ==, not =."
    elif text.count("(") != text.count(")"):
        advice = f"There are {text.count('(')} opening and {text.count(')')} closing brackets."
    return ConditionError(f"this cannot be read at {found!r}", column=column, found=found, advice=advice)
