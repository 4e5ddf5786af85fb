"""Price tags at the right edge that never cover each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Tag:
    """A label for a price. `rank` decides who stays when there is no room for all: lower is more important."""

    text: str
    price: float
    colour: str
    filled: bool = True
    rank: int = 0


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions at least `gap` apart, in their order, within `low`..`high`, each as near to its own as that allows.

    The least-squares solution: labels that would overlap form a block centred on the mean of what its members want
    (pool adjacent violators, Ayer et al. 1955, after subtracting each label's place in the row).

    Raises:
        ValueError: there is no room for so many.
    """
    if (len(positions) - 1) * gap > high - low:
        raise ValueError("more labels than room")
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    blocks: list[tuple[float, int]] = []  # mean of (wanted - place in the row), members
    for place, i in enumerate(order):
        mean, members = positions[i] - place * gap, 1
        while blocks and blocks[-1][0] > mean:
            before, count = blocks.pop()
            mean = (before * count + mean * members) / (count + members)
            members += count
        blocks.append((mean, members))
    flat = [mean for mean, members in blocks for _ in range(members)]
    top = high - (len(positions) - 1) * gap
    placed = [0.0] * len(positions)
    for place, i in enumerate(order):
        placed[i] = min(max(flat[place], low), top) + place * gap
    return placed
