"""Figures of a run: tables for people as they come, one JSON object at the end."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence


class Figures:
    """Collects what the sections measure."""

    def __init__(self) -> None:
        self._values: dict[str, float] = {}

    def add(self, key: str, value: float) -> None:
        """A key of the contract."""
        self._values[key] = round(value, 3)

    def table(self, title: str, rows: Mapping[str, Sequence[float]], columns: Sequence[str]) -> None:
        """Prints what was measured, peers included."""
        print(f"\n{title}\n{'':32}" + "".join(f"{column:>12}" for column in columns))
        for name, values in rows.items():
            print(f"  {name:30}" + "".join(f"{value:12,.2f}" for value in values), flush=True)

    def json(self) -> str:
        """All keys, flat."""
        return json.dumps(self._values)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share / 100) - 1)]
