"""Numbers of the language by themselves, and the parts of a condition with the figures behind them."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from crypto_mcp.conditions.condition import Condition
from crypto_mcp.conditions.operations import Context, run
from crypto_mcp.conditions.parser import Parser
from crypto_mcp.conditions.plan import Kind, Plan
from crypto_mcp.conditions.source import read


@dataclass(frozen=True, slots=True)
class Measure:
    """A number of the language, such as `change(close, 24)`; `percent` if it counts in points."""

    text: str
    plan: Plan
    words: str
    percent: bool


@dataclass(frozen=True, slots=True)
class Part:
    """One of the things that a condition joins by `and`: as it is written, and what it compares, if it compares."""

    text: str
    left: Measure | None


@lru_cache(maxsize=1024)
def parse_number(text: str) -> Measure:
    """The number that `text` says. ConditionError, with the column, where it is none."""
    return _measure(read(text), text)


@lru_cache(maxsize=1024)
def parts(condition: Condition) -> tuple[Part, ...]:
    """What the condition joins by `and`, in order."""
    found = []
    for node in _conjuncts(read(condition.text)):
        compared = node.left if isinstance(node, ast.Compare) and not isinstance(node.left, ast.Constant) else None
        left = None if compared is None else _measure(compared, _written(condition.text, compared))
        found.append(Part(_written(condition.text, node), left))
    return tuple(found)


def last_value(measure: Measure, context: Context) -> float:
    """At the newest bar; NaN where history is too short to say."""
    value = np.asarray(run(measure.plan, context))
    if not value.ndim:
        return float(value)
    return float(value[-1]) if len(value) else float("nan")


def holds_last(condition: Condition, context: Context) -> bool:
    """Whether the condition is true at the newest bar, with what `context` has found already."""
    return bool(len(context.candles) and run(condition.plan, context)[-1])


def told(condition: Condition, context: Context) -> list[str]:
    """The figures that the condition compares, as `rsi(14) 24.3`; its other parts as they are written, after them."""
    figures, others = [], []
    for part in parts(condition):
        value = last_value(part.left, context) if part.left is not None else float("nan")
        if part.left is not None and np.isfinite(value):
            figures.append(f"{part.left.text} {value:.4g}{' %' if part.left.percent else ''}")
        else:
            others.append(part.text)
    return figures + others


def _conjuncts(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
        return [part for value in node.values for part in _conjuncts(value)]
    return [node]


def _written(text: str, node: ast.expr) -> str:
    """The part of the text that a node was read from."""
    return " ".join(text[node.col_offset : node.end_col_offset].split())


def _measure(node: ast.expr, text: str) -> Measure:
    parser = Parser(text)
    term = parser.number(node, 0)
    return Measure(text, parser.builder.plan(term.step), term.words, term.kind is Kind.PERCENT)
