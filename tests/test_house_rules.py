"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_assert_only_narrows_types() -> None:
    """`python -O` leaves it out: whatever has to be checked is checked by an `if`. For this B101 and S101 are off."""
    strange = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"
        for package in ("crypto_mcp", "workers", "scheduler")
        for path in sorted((ROOT / package).rglob("*.py"))
        if "assert" in (text := path.read_text())
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Assert) and not _narrows(node.test)
    ]
    assert strange == []


def test_what_checks_is_not_taken_for_narrowing() -> None:
    """The rule itself: a comparison, a call, a truth value are checks."""
    narrowing = ("x is not None", "isinstance(a.b, str)", "x is not None and isinstance(y, int)")
    checking = (
        "x",
        "x == y",
        "digest.matches(y)",
        "x is None",
        "x is not None and y",
        "x is not y",
        "x is not None or y",
    )
    assert all(_narrows(ast.parse(text, mode="eval").body) for text in narrowing)
    assert not any(_narrows(ast.parse(text, mode="eval").body) for text in checking)


def _narrows(test: ast.expr) -> bool:
    match test:
        case ast.Compare(ops=[ast.IsNot()], comparators=[ast.Constant(None)]):
            return True
        case ast.Call(func=ast.Name("isinstance")):
            return True
        case ast.BoolOp(ast.And(), values):
            return all(_narrows(value) for value in values)
    return False
