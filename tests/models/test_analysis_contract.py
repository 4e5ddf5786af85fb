"""The contract of `analyze_crypto`: documented field by field, in the shape that MongoDB keeps."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from crypto_mcp.models import analysis, structure
from crypto_mcp.models.analysis import Analysis

MODELS = [
    model
    for room in (analysis, structure)
    for model in vars(room).values()
    if isinstance(model, type) and issubclass(model, BaseModel) and model.__module__ == room.__name__
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_field_says_what_it_is(model: type[BaseModel]) -> None:
    assert model.__doc__
    assert not [name for name, field in model.model_fields.items() if not field.description]


def test_the_fields_of_the_specified_document_are_there() -> None:
    fields = Analysis.model_fields
    assert {"symbol", "timestamp", "timeframe", "analysis", "order_blocks", "recommendation"} <= set(fields)
    assert {"trend", "volatility", "confidence", "intelligent_score"} <= set(analysis.AnalysisSummary.model_fields)
    assert {"level", "type", "strength", "timestamp"} <= set(structure.OrderBlock.model_fields)
    assert {"action", "confidence", "reasoning"} <= set(analysis.Recommendation.model_fields)
