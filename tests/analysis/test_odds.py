"""The odds behind confidence."""

from __future__ import annotations

import numpy as np

from crypto_mcp.analysis.odds import FIGURES, models


def test_every_event_has_a_model_that_uses_each_of_its_figures() -> None:
    assert set(models()) == set(FIGURES)
    for event, model in models().items():
        assert set(model.columns) == set(range(len(FIGURES[event])))
        assert len(model.weights) == len(model.columns) + 1


def test_odds_stay_between_0_and_1_whatever_the_figures() -> None:
    rng = np.random.default_rng(1)
    for event, model in models().items():
        figures = rng.choice([-1e9, -1.0, 0.0, 0.5, 1.0, 1e3, 1e300], (500, len(FIGURES[event])))
        bounded = [i for i in range(figures.shape[1]) if (model.halves[model.columns == i] == 0).any()]
        figures[:, bounded] = rng.uniform(0, 1, (500, len(bounded)))
        chances = model.chances(figures)
        assert ((chances > 0) & (chances < 1)).all()
