"""Confidence: the shipped table, and what its figures mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from crypto_mcp.analysis.confidence import confidence, table
from crypto_mcp.analysis.score import WEIGHTS


def test_every_movement_has_a_cell_for_every_band() -> None:
    assert set(table().cells) == set(WEIGHTS)
    for row in table().cells.values():
        assert len(row) == len(table().edges) + 1


def test_chances_never_fall_with_the_score_and_stay_near_what_was_counted() -> None:
    for row in table().cells.values():
        chances = [cell.chance for cell in row]
        assert chances == sorted(chances)
        for cell in row:
            assert 0 <= cell.hits <= cell.calls
            assert 0.4 < cell.chance < 0.65


def test_both_sides_of_five_count_alike() -> None:
    assert table().cell("trend", 7.2) == table().cell("trend", 2.8)


def test_a_call_is_as_sure_as_its_cell_and_a_hold_as_sure_as_the_trade_is_not() -> None:
    call = table().cell("trend", 8.0)
    assert confidence("trend", 8.0) == pytest.approx(100 * call.chance, abs=0.06)
    hold = table().cell("range", 5.2)
    assert confidence("range", 5.2) == pytest.approx(100 - 100 * hold.chance, abs=0.06)


def test_the_documented_table_is_the_one_in_use() -> None:
    text = (Path(__file__).parents[2] / "docs" / "analysis-score.md").read_text(encoding="utf-8")
    for row in zip(*(table().cells[movement] for movement in ("trend", "range", "breakout")), strict=True):
        told = " | ".join(f"{cell.hits} of {cell.calls}: {100 * cell.chance:.1f} %" for cell in row)
        assert f"| {told} |" in text
